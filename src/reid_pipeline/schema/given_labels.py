"""Identities that a user confirmed, `labels_from=<clusters.csv>`: the file, and what its collection is called then."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reid_pipeline.schema.addresses import component
from reid_pipeline.schema.record import Count, Digest, Record
from reid_pipeline.schema.sample import whole_and_identities

LABELS_FROM = "labels_from"
"""The parameter that names the file."""
CLUSTERS_FILE = "clusters.csv"
"""How runs call the file that is edited and read back."""
_NAME = re.compile(r"(?P<collection>.+)\+labels=(?P<labels>[^+]+-[0-9a-f]{8})")
_LONGEST = 40  # characters of the file's name in the collection's


class LabelFacts(Record):
    """Where the identities of a collection come from: noted in reading.json."""

    file: str
    sha256: Digest
    run: str = ""  # of the clusters, as the file says; empty: it says none
    images: Count  # that have an identity by it
    identities: Count


@dataclass(frozen=True)
class GivenLabels:
    """A file of identities, the collection that they are for, and the cells by the `run` that their own file has."""

    file: Path
    collection: str
    runs: Mapping[str, str] = field(default_factory=dict)  # to the cell's address, "zoo/unsupervised_pcl/seed_0"


def labelled_name(collection: str, file: Path, digest: str) -> str:
    """Return what stands in the place of a collection in every address: "zoo+labels=clusters-1a2b3c4d".

    The digits are those of the file's SHA-256: what is edited once more is another collection, and overwrites nothing.
    """
    stem = component(file.stem[:_LONGEST].replace("+", "_") or "labels", LABELS_FROM)
    return f"{collection}+labels={stem}-{digest[:8]}"


def collection_and_labels(benchmark: str) -> tuple[str, str | None]:
    """Return the collection that a name is of, and its labels, "clusters-1a2b3c4d"; None where it has its own."""
    found = _NAME.fullmatch(benchmark)
    return (found["collection"], found["labels"]) if found else (benchmark, None)


def images_of(benchmark: str) -> str:
    """Return the benchmark or collection whose images these are, without labels and sample."""
    return collection_and_labels(whole_and_identities(benchmark)[0])[0]
