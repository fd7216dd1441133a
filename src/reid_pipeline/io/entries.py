"""Catalog entries by what they are: their class, and the record in their file."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from kedro.io import DataCatalog
from kedro.pipeline import Node

from reid_pipeline.io.records import RecordDataset
from reid_pipeline.schema.record import Record

T = TypeVar("T")


def entry(catalog: DataCatalog, name: str, kind: type[T]) -> T:
    """Return the dataset of that name; a `TypeError` says that it is no `kind`."""
    found = catalog.get(name)
    if not isinstance(found, kind):
        raise TypeError(f"Catalog entry {name} is a {type(found).__name__}, and a {kind.__name__} is needed.")
    return found


def file_of(dataset: object) -> Path | None:
    """Return the file of a dataset that has one."""
    path = getattr(dataset, "_filepath", None)
    return None if path is None else Path(str(path))


def written(nodes: Iterable[Node], catalog: DataCatalog, kind: type[T]) -> Iterator[tuple[Node, T]]:
    """Yield the datasets of class `kind` that `nodes` write, with their node."""
    for node in nodes:
        for name in node.outputs:
            if isinstance(found := catalog.get(name), kind):
                yield node, found


def records_of_methods(
    nodes: Iterable[Node], catalog: DataCatalog, record: type[Record]
) -> Iterator[tuple[str, RecordDataset]]:
    """Yield method and dataset of each `record` that a method's nodes write, without the versions of earlier runs."""
    for node, dataset in written(nodes, catalog, RecordDataset):
        if node.namespace and dataset.record is record and not dataset.has_versions:
            yield node.namespace, dataset
