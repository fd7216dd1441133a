"""Segments: unit vectors that are mapped from their file, their rows, and what they are searched by.

A segment's files are written once and never change; a change writes new ones, under a name that was never used.
"""

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa

from reid_pipeline.gallery import kinds
from reid_pipeline.gallery.durable import check_of_file, new_file
from reid_pipeline.gallery.manifest import SEGMENTS, IndexKind, SegmentRecord
from reid_pipeline.gallery.rows import SCHEMA, Float32s, Ids, Mask
from reid_pipeline.schema.errors import UserError

SEGMENT_BYTES = {"exact": 8_000_000, "ivf": 8_000_000, "hnsw": 64_000_000}
"""The greatest size of a segment's vectors: forgetting writes that much for each segment that an entry is in. A graph
is quicker to search when it is large, and slow to change at any size."""
INDEXED_FROM = 1024
"""Rows from which a segment has an index; fewer are searched exactly at once."""
_MOST_ROWS = 100_000  # of narrow vectors: their rows' texts take more than they do
_HEADER = 4096


def capacity(width: int, kind: IndexKind) -> int:
    """Return how many vectors a segment holds at most."""
    return max(1, min(_MOST_ROWS, (SEGMENT_BYTES[kind] - _HEADER) // (4 * width)))


@dataclass(frozen=True)
class Segment:
    """A segment that is open: it can be read on after its files were removed."""

    record: SegmentRecord
    vectors: Float32s  # [n, d], mapped from its file
    table: pa.Table
    index: kinds.Index

    @cached_property
    def ids(self) -> Ids:
        """Ids of the entries, `[n]`."""
        return np.asarray(self.table["id"])

    @cached_property
    def keys(self) -> Ids:
        """Keys of their identities, as enrolled, `[n]`."""
        return np.asarray(self.table["identity"])

    @cached_property
    def times(self) -> Ids:
        """Microseconds since 1970, `[n]`."""
        return np.asarray(self.table["time"])

    def is_one_of(self, column: str, values: Iterable[str]) -> Mask:
        """Return which rows have one of `values` in a column of texts (camera, collection), `[n]`."""
        wanted = set(values)
        matching = np.array([text in wanted for text in self.distinct(column)], dtype=bool)
        return np.asarray(matching[self.codes(column)])

    def codes(self, column: str) -> Ids:
        """Return which of the column's `distinct` texts each row has, `[n]`."""
        return np.asarray(self.table[column].chunk(0).indices)

    def distinct(self, column: str) -> list[str]:
        """Return the texts of a column, each once, in the order of their codes."""
        return list(self.table[column].chunk(0).dictionary.to_pylist())


def open_segment(folder: Path, record: SegmentRecord) -> Segment:
    """Map a segment's files, whose content is what was written.

    Raises:
        FileNotFoundError: a writer has replaced it since the manifest was read.
        UserError: a file is damaged.
    """
    stem = folder / SEGMENTS / record.name
    try:
        damaged = [end for end, check in record.checks.items() if check_of_file(stem.with_suffix(end)) != check]
        if not damaged:
            return _opened(stem, record)
        cause = None
    except UserError:  # faiss is not installed
        raise
    except (ValueError, EOFError, SyntaxError, BadZipFile, RuntimeError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in {None, errno.EISDIR, errno.ENOTDIR}:
            raise  # of the machine, or a writer has replaced it
        damaged, cause = [".*"], error
    raise UserError(
        f"Gallery {folder.name} is damaged: {SEGMENTS}/{record.name}{damaged[0]} is not as it was written. Bring the"
        " gallery's folder back whole from a copy, or enrol its images into another gallery."
    ) from cause


def _opened(stem: Path, record: SegmentRecord) -> Segment:
    vectors: Float32s = np.load(stem.with_suffix(".npy"), mmap_mode="r")
    with pa.memory_map(str(stem.with_suffix(".arrow"))) as source:
        table = pa.ipc.open_file(source).read_all()
    return Segment(record, vectors, table, kinds.load_index(record, stem, vectors))


def write_segment(
    folder: Path, name: str, vectors: Float32s, table: pa.Table, index: kinds.Index | None
) -> SegmentRecord:
    """Write the files of a segment, for good, and return what the manifest says of it; nothing names it yet."""
    stem = folder / SEGMENTS / name
    with new_file(stem.with_suffix(".npy")) as file:
        np.lib.format.write_array(file, vectors, allow_pickle=False)
    with new_file(stem.with_suffix(".arrow")) as file, pa.ipc.new_file(file, SCHEMA) as writer:
        writer.write_table(_one_chunk(table))
    found = index or kinds.Exact()
    found.save(stem)
    checks = {file.suffix: check_of_file(file) for file in sorted(stem.parent.glob(f"{name}.*"))}
    return SegmentRecord(name=name, rows=len(vectors), index=found.kind, checks=checks)


def _one_chunk(table: pa.Table) -> pa.Table:
    """Return a table in one piece, whose dictionaries have no text that no row has: a name may be forgotten."""
    for name in ("camera", "collection"):
        texts = table[name].cast(pa.string())
        place = table.schema.get_field_index(name)
        table = table.set_column(place, SCHEMA.field(name), texts.dictionary_encode().cast(SCHEMA.field(name).type))
    return table.combine_chunks()


def joined(segments: Sequence[Segment]) -> tuple[Float32s, pa.Table]:
    """Return the vectors and rows of several segments, one after another."""
    return np.concatenate([each.vectors for each in segments]), pa.concat_tables([each.table for each in segments])


def indexes(rows: int, kind: IndexKind) -> IndexKind:
    """Return the kind of index that a segment of so many rows gets in a gallery of `kind`."""
    return kind if rows >= INDEXED_FROM else "exact"


def indexed(vectors: Float32s, table: pa.Table, kind: IndexKind) -> tuple[Float32s, pa.Table, Any]:
    """Return vectors and rows in the order that an index of `kind` wants, and the index."""
    order, index = kinds.build_index(indexes(len(vectors), kind), vectors)
    return (vectors, table, index) if order is None else (vectors[order], table.take(order), index)
