"""Kinds of index behind one interface: `exact` compares all rows, `ivf` some lists of them, `hnsw` walks a graph."""

import importlib.util
from pathlib import Path

from reid_pipeline.gallery.kinds import hnsw, ivf
from reid_pipeline.gallery.kinds._index import Exact as Exact
from reid_pipeline.gallery.kinds._index import Index as Index
from reid_pipeline.gallery.kinds._index import scan as scan
from reid_pipeline.gallery.manifest import IndexKind, SegmentRecord
from reid_pipeline.gallery.rows import Float32s, Ids
from reid_pipeline.schema.errors import UserError

KINDS: tuple[IndexKind, ...] = ("exact", "ivf", "hnsw")


def build_index(kind: IndexKind, vectors: Float32s) -> tuple[Ids | None, Index]:
    """Return the order that a segment's vectors get, None: as they are, and their index."""
    if kind == "exact":
        return None, Exact()
    require_faiss(kind)
    return ivf.build(vectors) if kind == "ivf" else (None, hnsw.build(vectors))


def load_index(record: SegmentRecord, stem: Path, vectors: Float32s) -> Index:
    """Return the index of a segment that lies in files `<stem>.*`.

    Raises:
        FileNotFoundError: a file is gone.
    """
    if record.index == "exact":
        return Exact()
    if record.index == "ivf":
        return ivf.load(stem)
    require_faiss(record.index)
    if not stem.with_suffix(".hnsw").is_file():  # faiss raises its own error
        raise FileNotFoundError(stem.with_suffix(".hnsw"))
    return hnsw.load(stem, vectors)


def require_faiss(kind: str) -> None:
    """Raise `UserError` where faiss is not installed."""
    if importlib.util.find_spec("faiss") is None:
        raise UserError(
            f"A gallery with index {kind!r} needs faiss, which is not installed: pip install faiss-cpu."
            " With index 'exact' it does without."
        )
