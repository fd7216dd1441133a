"""What is known of a published benchmark, and what a reader makes of a folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Counts:
    """Size of one subset: images with junk and distractors, identities without; None where not published."""

    images: int
    identities: int | None = None


@dataclass(frozen=True)
class Version:
    """One form in which a benchmark is distributed; counts by subset, or by test set where `test` holds several."""

    name: str
    counts: Mapping[str, Counts]


@dataclass(frozen=True)
class Benchmark:
    """A published collection.

    Attributes:
        title: as its authors write it.
        noun: what its individuals are: person, vehicle, individual.
        reference: the paper.
        licence: what its authors allow, in a sentence.
        source: where it comes from, or who withdrew it; nothing is ever downloaded.
        layout: the folders and lists it is made of, for messages and the docs.
        cameras: how many, or None where there are none or they are not published.
        versions: those known, the usual one first; none for one's own data.
        archives: folders that archives hold, in one of which all may lie, one level down; the usual one first.
        forms: values of `ingestion.variant` whose files are laid out differently; none: all versions lie alike.
    """

    title: str
    noun: str
    reference: str
    licence: str
    source: str
    layout: str
    cameras: int | None = None
    versions: tuple[Version, ...] = ()
    archives: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """What a reader made of a raw folder.

    Attributes:
        manifest: as `schema.tables.MANIFEST`, sorted by path.
        version: name of the version that the layout shows, or None where layouts do not differ.
        notes: sentences for the dataset page: what was absent, selected or left aside.
    """

    manifest: "pd.DataFrame"
    version: str | None = None
    notes: tuple[str, ...] = ()
