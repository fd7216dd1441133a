"""The build of each kind of animal, in lengths of its trunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Build:
    """A kind's build.

    Attributes:
        legs: their length.
        trunk: radii of rump, belly and chest.
        neck: its length.
        rise: of the neck above the horizontal, in degrees.
        neck_radius: of the neck.
        head: length of the head.
        head_radius: of the head.
        tail: length of the tail.
        horned: chance of horns.
    """

    legs: float
    trunk: tuple[float, float, float]
    neck: float
    rise: float
    neck_radius: float
    head: float
    head_radius: float
    tail: float
    horned: float


BUILDS: Mapping[str, Build] = MappingProxyType(
    {
        "cow": Build(0.46, (0.23, 0.27, 0.25), 0.30, 28.0, 0.14, 0.32, 0.110, 0.55, 0.5),
        "horse": Build(0.66, (0.20, 0.20, 0.20), 0.50, 52.0, 0.11, 0.36, 0.085, 0.60, 0.0),
        "goat": Build(0.46, (0.17, 0.20, 0.18), 0.32, 50.0, 0.08, 0.26, 0.075, 0.16, 0.7),
        "deer": Build(0.72, (0.16, 0.17, 0.17), 0.44, 60.0, 0.07, 0.26, 0.065, 0.12, 0.5),
        "dog": Build(0.44, (0.15, 0.14, 0.19), 0.22, 48.0, 0.10, 0.30, 0.095, 0.45, 0.0),
        "cat": Build(0.34, (0.15, 0.16, 0.15), 0.14, 40.0, 0.10, 0.22, 0.125, 0.70, 0.0),
        "pig": Build(0.26, (0.24, 0.27, 0.25), 0.14, 8.0, 0.19, 0.32, 0.140, 0.16, 0.0),
        "sheep": Build(0.36, (0.24, 0.28, 0.24), 0.22, 40.0, 0.12, 0.24, 0.090, 0.14, 0.3),
    }
)
