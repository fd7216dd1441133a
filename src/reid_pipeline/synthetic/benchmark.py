"""The drawn benchmark: names to JPEG bytes, the same for any number of processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import lru_cache
from io import BytesIO
from multiprocessing import get_context

import numpy as np
from PIL import Image

from reid_pipeline.synthetic.camera import Camera, draw_camera
from reid_pipeline.synthetic.identity import Identity, draw_identity
from reid_pipeline.synthetic.parameters import SyntheticBenchmark
from reid_pipeline.synthetic.pedestrian import draw_scene
from reid_pipeline.synthetic.plan import ImagePlan, Purpose, benchmark_images, generator_for
from reid_pipeline.synthetic.shot import Shot, draw_shot, spoil_shot, vary_shot

__all__ = ["ImagePlan", "benchmark_images", "draw_benchmark", "draw_image"]

_CHUNK = 64


def draw_benchmark(
    parameters: SyntheticBenchmark,
    *,
    processes: int | None = None,
    on_image: Callable[[int], None] | None = None,
) -> dict[str, bytes]:
    """Draw the benchmark.

    Args:
        parameters: Seed, size and difficulty.
        processes: How many processes draw; None takes the cores this process may use. The images do not
            depend on it.
        on_image: Called with the number of images drawn so far.

    Returns:
        JPEG bytes by relative POSIX path, sorted by path.
    """
    plans = benchmark_images(parameters)
    chunks = [plans[start : start + _CHUNK] for start in range(0, len(plans), _CHUNK)]
    workers = min(processes or usable_cores(), len(chunks))
    drawn: dict[str, bytes] = {}
    for images in _map_chunks(parameters, chunks, workers):
        drawn.update(images)
        if on_image is not None:
            on_image(len(drawn))
    return drawn


def usable_cores() -> int:
    """How many cores this process may use.

    Returns:
        At least 1.
    """
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def _map_chunks(
    parameters: SyntheticBenchmark, chunks: Sequence[Sequence[ImagePlan]], workers: int
) -> Iterator[dict[str, bytes]]:
    if workers <= 1:
        for chunk in chunks:
            yield _draw_chunk(parameters, chunk)
        return
    # "spawn": a forked child of a process that runs torch's threads may hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_draw_chunk, [parameters] * len(chunks), chunks)


def _draw_chunk(parameters: SyntheticBenchmark, plans: Sequence[ImagePlan]) -> dict[str, bytes]:
    return {plan.path: draw_image(parameters, plan) for plan in plans}


def draw_image(parameters: SyntheticBenchmark, plan: ImagePlan) -> bytes:
    """Draw one image of the benchmark.

    Args:
        parameters: The benchmark's parameters.
        plan: Which image.

    Returns:
        Its JPEG bytes.
    """
    camera = _lit(_camera(parameters, plan.camera, _place_of(parameters, plan)), parameters, plan)
    generator = generator_for(
        parameters.seed, Purpose.IMAGE, plan.pid + 1, plan.person, plan.camera, plan.frame
    )
    shot = _shot_of(parameters, plan, camera)
    bystander = None
    if generator.random() < parameters.crowding or plan.kind == "junk":
        bystander = draw_identity(generator, spread=parameters.identity_spread)
    identity = None if plan.kind == "empty" else _identity(parameters, plan.person)
    image = draw_scene(identity, camera, shot, generator, bystander=bystander if identity else None)
    return encode(image, int(generator.integers(camera.quality[0], camera.quality[1] + 1)))


def encode(image: Image.Image, quality: int) -> bytes:
    """Encode a picture as JPEG.

    Args:
        image: RGB picture.
        quality: JPEG quality in 1..100.

    Returns:
        The file's bytes.
    """
    buffer = BytesIO()
    image.save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


def _lit(camera: Camera, parameters: SyntheticBenchmark, plan: ImagePlan) -> Camera:
    """Light a picture by its hour: darker or brighter, warmer or colder, whatever the camera."""
    generator = generator_for(
        parameters.seed, Purpose.LIGHT, plan.pid + 1, plan.person, plan.camera, plan.frame
    )
    level, warmth = generator.normal(0.0, parameters.lighting, size=2).clip(-2.0, 2.0)
    red, green, blue = camera.gains
    tint = float(np.exp(0.12 * warmth))
    return replace(
        camera,
        exposure=camera.exposure * float(np.exp(0.35 * level)),
        gains=(red * tint, green, blue / tint),
    )


def _tracklet(parameters: SyntheticBenchmark, plan: ImagePlan, purpose: Purpose) -> np.random.Generator:
    """Return the generator of what an image shares with the others of its tracklet."""
    number = plan.shot // parameters.tracklet_length if plan.kind == "person" else 0
    return generator_for(parameters.seed, purpose, plan.person, plan.camera, plan.pid + 1, number)


def _place_of(parameters: SyntheticBenchmark, plan: ImagePlan) -> int:
    return int(_tracklet(parameters, plan, Purpose.PLACE).integers(parameters.places_per_camera))


def _shot_of(parameters: SyntheticBenchmark, plan: ImagePlan, camera: Camera) -> Shot:
    generator = _tracklet(parameters, plan, Purpose.TRACKLET)
    crop = parameters.misalignment * (1.6 if plan.kind == "distractor" else 1.0)
    shot = draw_shot(camera, generator, occlusion=parameters.occlusion, misalignment=crop)
    if plan.kind == "junk":
        return spoil_shot(shot, np.random.default_rng([shot.fold_seed, plan.shot]))
    if plan.kind == "empty":
        return replace(shot, occluder=shot.occluder or "bush") if generator.random() < 0.4 else shot
    for _ in range(plan.shot % parameters.tracklet_length):
        shot = vary_shot(shot, generator, misalignment=crop)
    return shot


@lru_cache(maxsize=64)
def _camera(parameters: SyntheticBenchmark, number: int, place: int) -> Camera:
    """Draw a camera looking at one of its places: optics and preferences are the camera's own."""
    strength, quality = parameters.camera_strength, parameters.jpeg_quality
    generator = generator_for(parameters.seed, Purpose.CAMERA, number)
    camera = draw_camera(generator, strength=strength, quality=quality)
    if place == 0:
        return camera
    seen = draw_camera(generator_for(parameters.seed, Purpose.CAMERA, number, place))
    return replace(
        camera,
        ground=seen.ground,
        backdrop=seen.backdrop,
        scene_seed=seen.scene_seed,
        horizon=seen.horizon,
    )


@lru_cache(maxsize=512)
def _identity(parameters: SyntheticBenchmark, person: int) -> Identity:
    people = parameters.train_identities + parameters.test_identities
    purpose = Purpose.IDENTITY if person <= people else Purpose.STRANGER
    return draw_identity(generator_for(parameters.seed, purpose, person), spread=parameters.identity_spread)
