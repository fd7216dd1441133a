"""Graphs of near rows (HNSW), by faiss: quick to search, slow to build, and without removal: they are built anew.

Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using hierarchical navigable small world
graphs", TPAMI 2020. The file holds the graph alone; vectors are copied into memory from the segment's.
"""

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from reid_pipeline.gallery.durable import sync_file
from reid_pipeline.gallery.kinds._index import Candidates, Index, scan
from reid_pipeline.gallery.rows import Float32s, Mask

_LINKS, _BUILD_BREADTH, _SEARCH_BREADTH = 32, 80, 96
_SUFFIX = ".hnsw"


class Graph(Index):
    """A graph over a segment.

    Args:
        graph: faiss's `IndexHNSWFlat`, with its vectors.
    """

    kind = "hnsw"

    def __init__(self, graph: Any) -> None:
        self.graph = graph

    def save(self, stem: Path) -> None:
        """Write the graph, without vectors."""
        faiss = _faiss()
        file = stem.with_suffix(_SUFFIX)
        faiss.write_index(self.graph, str(file), faiss.IO_FLAG_SKIP_STORAGE)
        sync_file(file)

    def candidates(
        self, vectors: Float32s, probes: Float32s, count: int, passing: Mask | None, wanted: Mask | None
    ) -> Candidates:
        """Return candidates by walks through the graph; where too few rows pass, by comparing those."""
        del wanted
        faiss = _faiss()
        if passing is not None and 4 * passing.sum() < len(passing):
            return scan(vectors, probes, count, passing)
        count = min(count, len(vectors))
        selector = None
        if passing is not None:
            bits = np.packbits(passing, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(passing), faiss.swig_ptr(bits))
        breadth = max(_SEARCH_BREADTH, 2 * count)
        how = faiss.SearchParametersHNSW(efSearch=breadth, sel=selector)
        scores, rows = self.graph.search(np.ascontiguousarray(probes), count, params=how)
        enough = count if passing is None else min(count, int(passing.sum()))
        if ((rows >= 0).sum(axis=1) < enough).any():
            return scan(vectors, probes, count, passing)
        return np.where(rows < 0, np.float32(-np.inf), scores), rows

    def without(self, vectors: Float32s, stays: Mask) -> None:
        """Return None: a graph cannot do without rows."""
        del vectors, stays


def build(vectors: Float32s) -> Graph:
    """Return the graph of a segment's vectors."""
    faiss = _faiss()
    graph = faiss.IndexHNSWFlat(vectors.shape[1], _LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = _BUILD_BREADTH
    graph.add(vectors)
    return Graph(graph)


def load(stem: Path, vectors: Float32s) -> Graph:
    """Read a graph that `save` wrote, and give it the segment's vectors."""
    faiss = _faiss()
    graph = faiss.read_index(str(stem.with_suffix(_SUFFIX)), faiss.IO_FLAG_SKIP_STORAGE)
    storage = faiss.IndexFlatIP(vectors.shape[1])
    storage.add(np.ascontiguousarray(vectors))
    graph.storage, graph.own_fields = storage, True
    storage.this.disown()
    return Graph(graph)


def _faiss() -> Any:
    """Return faiss, whose annotations lack what is used here."""
    return importlib.import_module("faiss")
