"""Drawn or other pictures, which a reader's `lay_out` names as the files of its benchmark."""

from collections.abc import Iterable
from typing import Literal, Protocol

VIEWPOINTS = ("front", "rear", "left", "left front", "left rear", "right", "right front", "right rear")
"""What the numbers of vehicles' viewpoints mean, by index; those of VeRi-776's key-point files."""


class Picture(Protocol):
    """A picture and what is known of it; `reid_drawings.pictures.Picture` is one."""

    @property
    def data(self) -> bytes:
        """Bytes of the image file."""

    @property
    def subset(self) -> Literal["train", "query", "gallery"]:
        """The part it belongs to."""

    @property
    def identity(self) -> int:
        """Number from 1, and train and test share none; 0 is a distractor, -1 junk."""

    @property
    def camera(self) -> int:
        """Number from 0."""

    @property
    def frame(self) -> int:
        """Number of the frame in its camera."""

    @property
    def viewpoint(self) -> int | None:
        """Of a vehicle, by its index in `VIEWPOINTS`; None of a person."""

    @property
    def colour(self) -> str | None:
        """Of a vehicle."""

    @property
    def type(self) -> str | None:
        """Of a vehicle."""

    @property
    def key_points(self) -> tuple[int, ...]:
        """Of a vehicle: x and y in pixels of the 20 key points in turn, -1 where hidden."""


def individuals(pictures: Iterable[Picture]) -> list[Picture]:
    """Return the pictures by identity, camera and frame, without distractors and junk."""
    named = (picture for picture in pictures if picture.identity > 0)
    return sorted(named, key=lambda picture: (picture.identity, picture.camera, picture.frame))


def numbered(pictures: Iterable[Picture], name: str) -> dict[str, Picture]:
    """Return the individuals by the names that a pattern such as `{:06d}.jpg` gives to their numbers from 1."""
    return {name.format(number): picture for number, picture in enumerate(individuals(pictures), 1)}


def lines_of(lines: Iterable[str]) -> bytes:
    """Return lines as a text file."""
    return "".join(f"{line}\n" for line in lines).encode()
