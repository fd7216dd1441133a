"""What can be done to a gallery, as data: a node returns an operation, and whoever saves it carries it out.

It is carried out by one method of `Gallery`, which takes the gallery's lock and is safe against a kill: the change is
there wholly or not at all. What it did is returned in sentences.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from reid_pipeline.gallery.gallery import Gallery
from reid_pipeline.gallery.manifest import MANIFEST, IndexKind
from reid_pipeline.schema.errors import first_few
from reid_pipeline.schema.origin import Origin


def is_gallery(folder: Path) -> bool:
    """Return whether there is a gallery in a folder."""
    return (folder / MANIFEST).is_file()


class Operation(Protocol):
    """One operation on the gallery of a folder."""

    def carry_out(self, folder: Path) -> Sequence[str]:
        """Change the gallery, and return what was done, in sentences."""
        ...


@dataclass(frozen=True)
class Changed:
    """A gallery, and what the operation of this run did to it, in sentences; none where this run changed nothing."""

    gallery: Gallery
    done: tuple[str, ...] = ()


@dataclass(frozen=True)
class Enrolment:
    """Images that are enrolled; a gallery that is not there is made.

    Attributes:
        vectors: float32 [n, D], unit rows.
        entries: path, identity, camera, time, collection, trackid, confirmed, in that order of rows.
        model: SHA-256 of the tensors of the model that embedded them.
        origin: of the embeddings; a new gallery takes it.
        index: of a new gallery.
        sources: files that hold the vectors, too, which `forget` lists.
        notes: sentences on what was left out before.
    """

    vectors: np.ndarray
    entries: pd.DataFrame
    model: str
    origin: Origin | None
    index: IndexKind = "exact"
    sources: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    def carry_out(self, folder: Path) -> list[str]:
        """Enrol."""
        is_new = not is_gallery(folder)
        if is_new:
            width = int(self.vectors.shape[1])
            Gallery.create(folder, model=self.model, width=width, origin=self.origin, index=self.index)
        gallery = Gallery.open(folder)
        before = len(gallery)
        if len(self.entries):
            gallery.enrol(self.vectors, self.entries, model=self.model, sources=self.sources)
        count = len(gallery) - before
        identities = self.entries["identity"].nunique()
        made = f"Gallery {folder.name} was made. " if is_new else ""
        return [f"{made}{count:,} entries of {identities:,} identities were enrolled.", *self.notes]


@dataclass(frozen=True)
class Merge:
    """Identities that become one, `into`."""

    into: str
    identities: tuple[str, ...]

    def carry_out(self, folder: Path) -> list[str]:
        """Merge."""
        Gallery.open(folder).merge(self.into, *self.identities)
        return [f"{first_few(self.identities)} became {self.into}. The pipeline undo takes the last merge back."]


@dataclass(frozen=True)
class Undo:
    """The last merge taken back."""

    def carry_out(self, folder: Path) -> list[str]:
        """Take it back."""
        into, apart = Gallery.open(folder).undo()
        return [f"{first_few(apart)} stand apart from {into} again."]


@dataclass(frozen=True)
class Rename:
    """An identity that gets another name, which confirms it."""

    old: str
    new: str

    def carry_out(self, folder: Path) -> list[str]:
        """Rename."""
        Gallery.open(folder).rename(self.old, self.new)
        return [f"{self.old} is called {self.new} now, and counts as confirmed."]


@dataclass(frozen=True)
class Removal:
    """Entries that are forgotten: of an identity, of a camera, before a moment; of several, what meets all of them."""

    identity: str | None = None
    camera: str | None = None
    before: str | None = None

    def carry_out(self, folder: Path) -> list[str]:
        """Forget."""
        done = Gallery.open(folder).forget(identity=self.identity, camera=self.camera, before=self.before)
        outside = (
            "These files outside of the gallery may still hold the vectors, and are yours to remove:"
            f" {first_few(done.copies, 50)}."
            if done.copies
            else "No file outside of the gallery is known to hold the vectors."
        )
        pages = "Pages and tables of earlier questions may still show names and pictures."
        return [f"{done.entries:,} entries were forgotten; no file of the gallery holds them.", outside, pages]


@dataclass(frozen=True)
class Promise:
    """The promise that identify makes from now on; see `Gallery.calibrate`."""

    false_alarm: float
    unsure: float | None = None
    other_cameras: bool = False

    def carry_out(self, folder: Path) -> list[str]:
        """Calibrate."""
        gallery = Gallery.open(folder)
        made = gallery.calibrate(self.false_alarm, unsure=self.unsure, other_cameras=self.other_cameras)
        return [
            f"Known is now what scores above {made.threshold:.4f}. Of newcomers like the {made.identities:,} confirmed"
            f" identities at most {100 * self.false_alarm:g} % do, on average. The threshold is computed anew when the"
            " gallery has changed."
        ]


@dataclass(frozen=True)
class RenewedPromise:
    """The threshold computed anew where the gallery has changed since."""

    def carry_out(self, folder: Path) -> list[str]:
        """Calibrate for the same rates, if there is a calibration and it is of an earlier revision."""
        gallery = Gallery.open(folder)
        old = gallery.calibration
        if old is None or gallery.is_calibrated:
            return []
        new = gallery.calibrate(old.false_alarm, unsure=old.unsure, other_cameras=old.other_cameras)
        return [f"The gallery has changed: its threshold was {old.threshold:.4f} and is {new.threshold:.4f}."]


@dataclass(frozen=True)
class Reembedding:
    """The same entries with vectors of another model.

    Attributes:
        ids: int64 [n], all entries that the gallery had when they were embedded anew.
        vectors: float32 [n, D], unit rows.
        model: SHA-256 of the model's tensors.
        origin: of the embeddings.
    """

    ids: np.ndarray
    vectors: np.ndarray
    model: str
    origin: Origin | None

    def carry_out(self, folder: Path) -> list[str]:
        """Put the new vectors in the place of the old."""
        Gallery.open(folder).embed_anew(self.ids, self.vectors, model=self.model, origin=self.origin)
        return [
            f"{len(self.ids):,} entries were embedded anew, by model {self.model[:12]}. The threshold was of the model"
            " before: calibrate anew."
        ]
