"""What a model must know of the training split."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Population:
    """Whom the training split shows, and from where.

    Attributes:
        identities: number of labels; 0 where nothing is labelled.
        cameras: highest camid + 1; 0 where there are no cameras.
        views: highest viewid + 1; 0 where there are no viewpoints.
    """

    identities: int
    cameras: int = 0
    views: int = 0
