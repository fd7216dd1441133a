"""The pictures of a dataset page: a contact sheet of each split, and the images that a problem is about."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reid_pipeline.reporting.contact_sheets import Picture, as_webp, source_of


@dataclass(frozen=True)
class SheetRow:
    """A row of a contact sheet: what it shows, and the paths of its images."""

    caption: str
    paths: Sequence[str]


@dataclass(frozen=True)
class DatasetPictures:
    """What a dataset page shows of the images themselves.

    Attributes:
        splits: rows of each split's contact sheet.
        identities: paths of some images of the identities that a problem is about.
        pictures: thumbnails by path, uint8 [H, W, 3]; None for one that cannot be decoded.
    """

    splits: Mapping[str, Sequence[SheetRow]] = field(default_factory=dict)
    identities: Mapping[str, Sequence[str]] = field(default_factory=dict)
    pictures: Mapping[str, Picture | None] = field(default_factory=dict)

    def sheets(self) -> list[dict[str, Any]]:
        """Return what the template shows of each split that has images."""
        rows = {
            split: [{"caption": row.caption, "images": self.images(row.paths)} for row in sheet]
            for split, sheet in self.splits.items()
        }
        return [{"split": split, "rows": shown} for split, shown in rows.items() if shown]

    def images(self, paths: Iterable[str]) -> list[dict[str, str]]:
        """Return path and source of each image; the source of one that cannot be decoded is empty."""
        found = ((path, self.pictures[path]) for path in paths if path in self.pictures)
        return [{"path": path, "source": "" if shown is None else source_of(as_webp(shown))} for path, shown in found]
