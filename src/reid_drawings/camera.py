"""A drawn camera: all that stays the same from person to person, and what it does to a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reid_drawings.palette import draw_name

WIDTH, HEIGHT = 64, 128
VIEWPOINTS = (0.0, 90.0, 180.0, 270.0)
"""Angles of front, facing right, back and facing left, in degrees."""
GROUNDS = {"pavement": 3, "road": 3, "grass": 2, "tiles": 2}
BACKS = {"wall": 3, "shop": 3, "hedge": 2, "building": 2, "open": 1}
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera of the drawn network.

    Attributes:
        gains: colour cast, a factor per channel.
        gamma: exponent of the tone curve; above 1 is darker.
        exposure: brightness factor.
        saturation: 1 leaves colours alone, 0 is grey.
        contrast: factor about the middle grey.
        resolution: Down-sampling factor before the picture is brought back to size; 1 is sharp.
        noise: standard deviation of the sensor's noise in grey levels.
        ground: kind of ground in the scene.
        backdrop: kind of scene above the ground.
        scene_seed: seed of the scene's fixed details.
        horizon: height of the line between ground and backdrop, as a fraction of the picture from the top.
        pitch: how far the camera looks down, in degrees.
        viewpoint_chances: chance of each of `VIEWPOINTS`.
        viewpoint_spread: standard deviation about the drawn viewpoint, in degrees.
        quality: lowest and highest JPEG quality.
        light: where light comes from: -1 left, +1 right.
    """

    gains: tuple[float, float, float]
    gamma: float
    exposure: float
    saturation: float
    contrast: float
    resolution: float
    noise: float
    ground: str
    backdrop: str
    scene_seed: int
    horizon: float
    pitch: float
    viewpoint_chances: tuple[float, float, float, float]
    viewpoint_spread: float
    quality: tuple[int, int]
    light: float


def draw_camera(
    generator: np.random.Generator, *, strength: float = 1.0, quality: tuple[int, int] = (45, 92)
) -> Camera:
    """Draw a camera.

    Args:
        generator: the source of randomness.
        strength: how far cameras differ in colour, tone, sharpness and preferred viewpoint: 0 gives a neutral
            camera that sees all viewpoints alike, 1 the default. The scene differs at any strength.
        quality: lowest and highest JPEG quality of all cameras; each camera keeps to a part of it.

    Returns:
        the camera.
    """
    cast = generator.normal(0.0, 0.15 * strength, size=3).clip(-0.45, 0.45)
    cast = cast - cast.mean()
    tone = generator.normal(0.0, strength, size=4).clip(-2.2, 2.2)
    blur = float(generator.gamma(2.0, 0.32)) * strength
    noise = float(generator.uniform(1.0, 6.5)) * strength
    chances = generator.dirichlet(np.full(4, 0.8)) * strength + 0.25 * max(0.0, 1.0 - strength) + 0.04
    chances = chances / chances.sum()
    low, high = sorted(int(q) for q in generator.integers(quality[0], quality[1] + 1, size=2))
    return Camera(
        gains=(float(np.exp(cast[0])), float(np.exp(cast[1])), float(np.exp(cast[2]))),
        gamma=float(np.exp(0.22 * tone[0])),
        exposure=float(np.exp(0.16 * tone[1])),
        saturation=float(np.clip(1.0 + 0.22 * tone[2], 0.35, 1.6)),
        contrast=float(np.exp(0.14 * tone[3])),
        resolution=float(np.clip(1.0 + blur, 1.0, 2.8)),
        noise=noise,
        ground=draw_name(generator, GROUNDS),
        backdrop=draw_name(generator, BACKS),
        scene_seed=int(generator.integers(2**31)),
        horizon=float(generator.uniform(0.22, 0.5)),
        pitch=float(generator.uniform(3.0, 3.0 + 13.0 * min(strength, 1.5))),
        viewpoint_chances=(float(chances[0]), float(chances[1]), float(chances[2]), float(chances[3])),
        viewpoint_spread=22.0,
        quality=(low, high),
        light=float(generator.uniform(-1.0, 1.0)),
    )


def draw_viewpoint(camera: Camera, generator: np.random.Generator) -> float:
    """Draw the angle from which the camera sees a person.

    Args:
        camera: the camera, with its preference.
        generator: the source of randomness.

    Returns:
        degrees in 0..360: 0 faces the camera, 90 faces right in the picture, 180 shows the back.
    """
    chances = np.asarray(camera.viewpoint_chances)
    centre = VIEWPOINTS[int(generator.choice(4, p=chances / chances.sum()))]
    return float((centre + generator.normal(0.0, camera.viewpoint_spread)) % 360.0)


def expose(
    picture: NDArray[np.float32], camera: Camera, generator: np.random.Generator, *, brightness: float = 1.0
) -> Image.Image:
    """Turn a scene's colours into what the camera delivers.

    Args:
        picture: colours `[height, width, 3]` in 0..255.
        camera: the camera.
        generator: the source of the sensor's noise.
        brightness: this picture's own exposure, beside the camera's.

    Returns:
        the RGB picture at the same size.
    """
    gains = np.asarray(camera.gains, dtype=np.float32) * np.float32(camera.exposure * brightness / 255.0)
    values: NDArray[np.float32] = np.clip(picture * gains, 0.0, 1.0) ** np.float32(camera.gamma)
    values = (values - np.float32(0.46)) * np.float32(camera.contrast) + np.float32(0.46)
    luma = (values @ _LUMA)[..., None]
    graded = (luma + (values - luma) * np.float32(camera.saturation)) * np.float32(255.0)
    image = Image.fromarray(np.clip(graded, 0.0, 255.0).astype(np.uint8))
    if camera.resolution > 1.02:
        small = (max(8, round(image.width / camera.resolution)), max(8, round(image.height / camera.resolution)))
        image = image.resize(small, Image.Resampling.BOX).resize(image.size, Image.Resampling.BICUBIC)
    if camera.noise > 0.0:
        grain = generator.standard_normal(picture.shape, dtype=np.float32) * np.float32(camera.noise)
        image = Image.fromarray(np.clip(np.asarray(image) + grain, 0.0, 255.0).astype(np.uint8))
    return image
