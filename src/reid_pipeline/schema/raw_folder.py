"""What a raw folder is to the nodes that read from it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RawFolder:
    """A listed folder.

    Attributes:
        root: where it lies.
        files: POSIX paths below it, sorted.
    """

    root: Path
    files: tuple[str, ...]
