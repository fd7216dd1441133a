"""What a model must know of the training split."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

_Count = Annotated[int, Field(ge=0, strict=True)]


@dataclass(frozen=True)
class Population:
    """Whom the training split shows, and from where.

    Attributes:
        identities: number of labels; 0 where nothing is labelled.
        cameras: highest camid + 1; 0 where there are no cameras.
        views: highest viewid + 1; 0 where there are no viewpoints.
    """

    identities: _Count
    cameras: _Count = 0
    views: _Count = 0
