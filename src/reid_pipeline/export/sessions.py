"""Exported networks, run: an ONNX file by onnxruntime, a `.pt2` by torch; on the CPU, where every machine has one."""

import io
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from reid_pipeline.export.graph import CAMIDS, EMBEDDINGS, IMAGES, VIEWIDS, ExportGraph

Inputs = Mapping[str, np.ndarray]
Run = Callable[[Inputs], np.ndarray]
"""From inputs by name to unit vectors, float32 [B, E]."""
BATCHES = (1, 32)
"""Batches that latency is measured for."""
_LEAST_CALLS = 5


def run_of_onnx(content: bytes, threads: int) -> Run:
    """Return what runs an ONNX file on so many threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(inputs: Inputs) -> np.ndarray:
        vectors: np.ndarray = session.run([EMBEDDINGS], dict(inputs))[0]
        return vectors

    return run


def run_of_pt2(content: bytes) -> Run:
    """Return what runs a `.pt2`."""
    import torch

    return _run_of_module(torch.export.load(io.BytesIO(content)).module())


def run_of_graph(graph: ExportGraph) -> Run:
    """Return what runs the network itself."""
    return _run_of_module(graph)


def _run_of_module(module: Any) -> Run:
    import torch

    def run(inputs: Inputs) -> np.ndarray:
        with torch.no_grad():
            vectors = module(**{name: torch.from_numpy(values) for name, values in inputs.items()})
        found: np.ndarray = vectors.numpy()
        return found

    return run


def inputs_of(graph: ExportGraph, fed: np.ndarray, camids: np.ndarray | None, viewids: np.ndarray | None) -> Inputs:
    """Return what is fed by name; a camera or view that is not known is -1."""
    found = {IMAGES: fed}
    for name, count, ids in ((CAMIDS, graph.cameras, camids), (VIEWIDS, graph.views, viewids)):
        if count:
            found[name] = np.full(len(fed), -1, dtype=np.int64) if ids is None else ids
    return found


def latency(run: Run, graph: ExportGraph, batch: int, seconds: float) -> float:
    """Return milliseconds an image, the median of calls of `batch` images over about so many seconds."""
    pixels = np.random.default_rng(0).integers(0, 256, (batch, 3, *graph.made.size), dtype=np.uint8)
    inputs = inputs_of(graph, graph.made.fed(pixels), None, None)
    run(inputs)  # memory is taken in the first call
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < _LEAST_CALLS or time.perf_counter() < end:
        start = time.perf_counter()
        run(inputs)
        times.append(time.perf_counter() - start)
    return round(1000 * statistics.median(times) / batch, 3)
