"""What can be done to a gallery, as data: a node returns an operation, and whoever saves it carries it out.

It is carried out by one method of `Gallery`, which takes the gallery's lock and is safe against a kill: the change is
there wholly or not at all. What it did is said in sentences.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd

from reid_pipeline.gallery.gallery import Gallery
from reid_pipeline.schema.errors import first_few

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reid_pipeline.schema.origin import Origin


class Operation(Protocol):
    """One operation on the gallery of a folder."""

    def carry_out(self, folder: Path) -> "Sequence[str]":
        """Change the gallery, and return what was done, in sentences."""
        ...


@dataclass(frozen=True)
class Changed:
    """A gallery, and what the change of this run did to it, in sentences; none where this run changed nothing."""

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
    origin: "Origin | None"
    index: str = "exact"
    sources: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    def carry_out(self, folder: Path) -> list[str]:
        """Enrol."""
        is_new = not Gallery.exists(folder)
        if is_new:
            width = int(self.vectors.shape[1])
            Gallery.create(folder, model=self.model, width=width, origin=self.origin, index=self.index)
        gallery = Gallery.open(folder)
        gallery.enrol(self.vectors, self.entries, model=self.model, sources=list(self.sources))
        identities = self.entries["identity"].nunique()
        made = "The gallery was made. " if is_new else ""
        done = f"{made}{len(self.entries):,} images of {identities:,} identities were enrolled."
        return [done, *self.notes]


@dataclass(frozen=True)
class Merge:
    """Identities that become one, `into`."""

    into: str
    identities: tuple[str, ...]

    def carry_out(self, folder: Path) -> list[str]:
        """Merge."""
        Gallery.open(folder).merge(self.into, *self.identities)
        return [
            f"{first_few(self.identities)} became {self.into}. If that was wrong, the pipeline undo takes it back:"
            " it undoes the last merge."
        ]


@dataclass(frozen=True)
class Undo:
    """The last merge taken back."""

    def carry_out(self, folder: Path) -> list[str]:
        """Take it back."""
        return [str(Gallery.open(folder).undo())]


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
    """Entries that are forgotten: of an identity, of a camera, before a moment; of several, what all of them hold of."""

    identity: str | None = None
    camera: str | None = None
    before: str | None = None

    def carry_out(self, folder: Path) -> list[str]:
        """Forget."""
        done = Gallery.open(folder).forget(identity=self.identity, camera=self.camera, before=self.before)
        outside = (
            f"Files outside of the gallery may hold these vectors still, and are yours to remove:"
            f" {first_few(done.copies, 20)}."
            if done.copies
            else "No file outside of the gallery is known to hold them."
        )
        return [f"{done.entries:,} images were forgotten; {done.segments:,} files were written anew.", outside]


@dataclass(frozen=True)
class Promise:
    """The promise that identify makes from now on."""

    false_alarm: float
    unsure: float | None = None

    def carry_out(self, folder: Path) -> list[str]:
        """Calibrate."""
        made = Gallery.open(folder).calibrate(self.false_alarm, unsure=self.unsure)
        return [
            f"Threshold {made.threshold:.4f}, from {made.identities:,} confirmed identities: of newcomers like those"
            f" enrolled at most {100 * self.false_alarm:g} % are taken for a known one, on average over galleries."
            " It is computed anew whenever the gallery changes."
        ]


@dataclass(frozen=True)
class Reembedding:
    """The same entries with vectors of another model.

    Attributes:
        ids: int64 [n], all entries that the gallery had when they were embedded anew.
        vectors: float32 [n, D], unit rows.
        model: SHA-256 of the model's tensors.
        origin: of the embeddings.
        left_out: paths whose picture is gone, which the gallery no longer has.
    """

    ids: np.ndarray
    vectors: np.ndarray
    model: str
    origin: "Origin | None"
    left_out: tuple[str, ...] = ()

    def carry_out(self, folder: Path) -> list[str]:
        """Put the new vectors in the place of the old."""
        Gallery.open(folder).reembed(self.ids, self.vectors, model=self.model, origin=self.origin)
        return [f"{len(self.ids):,} images were embedded anew, under the model {self.model[:12]}."]
