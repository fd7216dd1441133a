"""A benchmark's network of cameras, and the light of its pictures."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from reid_drawings.camera import Camera, draw_camera
from reid_drawings.parameters import DrawnBenchmark
from reid_drawings.plan import Purpose, generator_for


@lru_cache(maxsize=64)
def camera_at(parameters: DrawnBenchmark, number: int, place: int) -> Camera:
    """Draw a camera looking at one of its places: optics and preferences are the camera's own.

    Args:
        parameters: the benchmark's parameters.
        number: 0-based camera.
        place: which of its places.

    Returns:
        the camera, always the same one for the same arguments.
    """
    strength, quality = parameters.camera_strength, parameters.jpeg_quality
    generator = generator_for(parameters.seed, Purpose.CAMERA, number)
    camera = draw_camera(generator, strength=strength, quality=quality)
    if place == 0:
        return camera
    seen = draw_camera(generator_for(parameters.seed, Purpose.CAMERA, number, place))
    return replace(camera, ground=seen.ground, backdrop=seen.backdrop, scene_seed=seen.scene_seed, horizon=seen.horizon)


def lit(camera: Camera, lighting: float, generator: np.random.Generator) -> Camera:
    """Light a picture by its hour: darker or brighter, warmer or colder, whatever the camera.

    Args:
        camera: the camera.
        lighting: how far the light changes from picture to picture.
        generator: the source of randomness.

    Returns:
        the camera with that light in its exposure and gains.
    """
    level, warmth = generator.normal(0.0, lighting, size=2).clip(-2.0, 2.0)
    red, green, blue = camera.gains
    tint = float(np.exp(0.12 * warmth))
    return replace(
        camera, exposure=camera.exposure * float(np.exp(0.35 * level)), gains=(red * tint, green, blue / tint)
    )
