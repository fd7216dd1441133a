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
    """A published collection."""

    title: str  # as its authors write it
    noun: str  # what its individuals are: person, vehicle, individual
    reference: str  # the paper
    licence: str  # what its authors allow, in a sentence
    source: str  # where it comes from, or who withdrew it; nothing is ever downloaded
    layout: str  # the folders and lists it is made of, for messages and the docs
    cameras: int | None = None  # how many; None where there are none or they are not published
    versions: tuple[Version, ...] = ()  # those known, the usual one first; none for one's own data
    archives: tuple[str, ...] = ()  # folders, one level down, in one of which all may lie; the usual one first
    forms: tuple[str, ...] = ()  # values of `ingestion.variant` whose files are laid out differently


@dataclass(frozen=True)
class Reading:
    """What a reader made of a raw folder."""

    manifest: "pd.DataFrame"  # as `schema.tables.MANIFEST`, sorted by path
    version: str | None = None  # name of the version that the layout shows; None where layouts do not differ
    notes: tuple[str, ...] = ()  # sentences for the dataset page: what was absent, selected or left aside
