"""What a model must know of the training split."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

_Count = Annotated[int, Field(ge=0, strict=True)]


@dataclass(frozen=True)
class Population:
    """Whom the training split shows, and from where; 0 where nothing is labelled, and without cameras or viewpoints."""

    identities: _Count  # number of labels
    cameras: _Count = 0  # highest camid + 1
    views: _Count = 0  # highest viewid + 1
