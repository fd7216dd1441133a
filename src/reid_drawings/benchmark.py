"""The drawn benchmark: names to JPEG bytes, the same for any number of processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from io import BytesIO
from types import MappingProxyType

import numpy as np
from PIL import Image

from reid_drawings.camera import Camera
from reid_drawings.describe import describe
from reid_drawings.identity import Identity, draw_identity
from reid_drawings.network import camera_at, lit
from reid_drawings.parameters import SyntheticBenchmark
from reid_drawings.pedestrian import draw_scene
from reid_drawings.pictures import Picture, Subset
from reid_drawings.plan import GALLERY, QUERY, TRAIN, ImagePlan, Purpose, benchmark_images, generator_for
from reid_drawings.processes import map_chunks
from reid_drawings.shot import Shot, draw_shot, spoil_shot, vary_shot

_CHUNK = 64
_SUBSETS: Mapping[str, Subset] = MappingProxyType({TRAIN: "train", QUERY: "query", GALLERY: "gallery"})


def draw_benchmark(
    parameters: SyntheticBenchmark, *, processes: int | None = None, on_image: Callable[[int], None] | None = None
) -> dict[str, bytes]:
    """Draw the benchmark.

    Args:
        parameters: seed, size and difficulty.
        processes: how many processes draw; None takes the cores this process may use. The images do not
            depend on it.
        on_image: called with the number of images drawn so far.

    Returns:
        JPEG bytes by relative POSIX path, sorted by path.
    """
    plans = benchmark_images(parameters)
    chunks = [plans[start : start + _CHUNK] for start in range(0, len(plans), _CHUNK)]
    drawn: dict[str, bytes] = {}
    for images in map_chunks(_draw_chunk, parameters, chunks, processes):
        drawn.update(images)
        if on_image is not None:
            on_image(len(drawn))
    return drawn


def draw_people(parameters: SyntheticBenchmark, *, processes: int | None = None) -> list[Picture]:
    """Draw the benchmark's people, distractors and junk without a layout; see `draw_benchmark`."""
    drawn = draw_benchmark(parameters, processes=processes)
    return [
        Picture(drawn[plan.path], _SUBSETS[plan.subset], plan.pid, plan.camera, plan.frame)
        for plan in benchmark_images(parameters)
    ]


def _draw_chunk(parameters: SyntheticBenchmark, plans: Sequence[ImagePlan]) -> dict[str, bytes]:
    return {plan.path: draw_image(parameters, plan) for plan in plans}


def draw_image(parameters: SyntheticBenchmark, plan: ImagePlan) -> bytes:
    """Draw one image of the benchmark.

    Args:
        parameters: the benchmark's parameters.
        plan: which image.

    Returns:
        its JPEG bytes.
    """
    camera = camera_at(parameters, plan.camera, _place_of(parameters, plan))
    camera = lit(camera, parameters.lighting, _light_of(parameters, plan))
    generator = generator_for(parameters.seed, Purpose.IMAGE, plan.pid + 1, plan.person, plan.camera, plan.frame)
    shot = _shot_of(parameters, plan, camera)
    bystander = None
    if generator.random() < parameters.crowding or plan.kind == "junk":
        bystander = draw_identity(generator, spread=parameters.identity_spread)
    identity = None if plan.kind == "empty" else _identity(parameters, plan.person)
    image = draw_scene(identity, camera, shot, generator, bystander=bystander if identity else None)
    return encode(image, int(generator.integers(camera.quality[0], camera.quality[1] + 1)))


def caption_of(parameters: SyntheticBenchmark, plan: ImagePlan) -> str:
    """Say in English what the camera sees of the person in an image of the benchmark.

    Args:
        parameters: the benchmark's parameters.
        plan: which image; one of a person.

    Returns:
        one sentence, the same each time, that leaves nothing out but the side that is seen.

    Raises:
        ValueError: there is no person in the image.
    """
    if plan.kind == "empty":
        raise ValueError(f"{plan.path} shows nobody")
    shot = _shot_of(parameters, plan, camera_at(parameters, plan.camera, _place_of(parameters, plan)))
    words = np.random.default_rng([parameters.seed, plan.person, plan.camera, plan.frame])
    return describe(_identity(parameters, plan.person), shot, words, completeness=1.0, view_share=0.0)


def encode(image: Image.Image, quality: int) -> bytes:
    """Encode a picture as JPEG.

    Args:
        image: RGB picture.
        quality: JPEG quality in 1..100.

    Returns:
        the file's bytes.
    """
    buffer = BytesIO()
    image.save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


def _light_of(parameters: SyntheticBenchmark, plan: ImagePlan) -> np.random.Generator:
    return generator_for(parameters.seed, Purpose.LIGHT, plan.pid + 1, plan.person, plan.camera, plan.frame)


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


@lru_cache(maxsize=512)
def _identity(parameters: SyntheticBenchmark, person: int) -> Identity:
    people = parameters.train_identities + parameters.test_identities
    purpose = Purpose.IDENTITY if person <= people else Purpose.STRANGER
    return draw_identity(generator_for(parameters.seed, purpose, person), spread=parameters.identity_spread)
