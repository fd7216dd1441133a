"""The files of an export: ONNX with its metadata, and torch.export's own `.pt2`."""

import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from reid_pipeline.export.graph import EMBEDDINGS, ExportGraph, traced
from reid_pipeline.schema.errors import UserError

OPSET = 18
"""Of ONNX: what onnxruntime reads since 1.14, TensorRT since 8.6, and the exporter writes without conversion."""
_LARGEST = 2**31 - 1  # bytes of a protocol buffer
METADATA = "reid_pipeline.json"
"""The file within a `.pt2` that has what an ONNX file has as its metadata."""


class Traced:
    """A graph, traced and turned into ONNX once, for all files that are made of it."""

    def __init__(self, graph: ExportGraph) -> None:
        self.graph = graph

    @cached_property
    def program(self) -> Any:
        """The `torch.export.ExportedProgram`."""
        with _refused_by_name(self.graph, "traced"):
            return traced(self.graph)

    @cached_property
    def model(self) -> Any:
        """The `onnx.ModelProto`."""
        program = self.program
        with _refused_by_name(self.graph, "written as ONNX"):
            return onnx_model(self.graph, program)


def onnx_model(graph: ExportGraph, program: Any) -> Any:
    """Return the `onnx.ModelProto` of a traced graph: batches of any size, operators of `OPSET`.

    Traces of this machine's files, which the exporter notes with each node, are left out.
    """
    import torch

    names = list(graph.example())
    with _quiet():
        made = torch.onnx.export(
            program, (), input_names=names, output_names=[EMBEDDINGS], opset_version=OPSET, dynamo=True, verbose=False
        )
    model: Any = made.model_proto if made is not None else None  # onnx need not be there for type checkers
    _require_size(model.ByteSize())
    for part in _noted(model):
        del part.metadata_props[:]
        part.doc_string = ""
    return model


def onnx_bytes(model: Any, metadata: Mapping[str, str], description: str) -> bytes:
    """Return an ONNX file with its description and metadata; the model given stays as it is."""
    import onnx

    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    whole.doc_string, whole.producer_name = description, "reid_pipeline"
    whole.producer_version = metadata["reid_pipeline"]
    del whole.metadata_props[:]
    for key, value in metadata.items():
        whole.metadata_props.add(key=key, value=value)
    _require_size(whole.ByteSize())
    content: bytes = whole.SerializeToString(deterministic=True)
    return content


def pt2_bytes(program: Any, metadata: Mapping[str, str]) -> bytes:
    """Return a `.pt2` file: `torch.export.load(file, extra_files={METADATA: ""})` reads network and metadata."""
    import torch

    written = io.BytesIO()
    with _quiet():
        torch.export.save(program, written, extra_files={METADATA: json.dumps(dict(metadata))})
    return written.getvalue()


def _noted(model: Any) -> Iterator[Any]:
    """Yield whatever in a model has notes of its own."""
    for function in model.functions:
        yield function
        yield from function.node
    yield model.graph
    yield from model.graph.node
    for values in (model.graph.input, model.graph.output, model.graph.value_info, model.graph.initializer):
        yield from values


def _require_size(size: int) -> None:
    if size > _LARGEST:
        raise UserError(
            f"The network takes {size / 1e9:.1f} GB, and one ONNX file holds {_LARGEST / 1e9:.1f} GB. Give"
            " export.precision=float16, or format=pt2."
        )


@contextmanager
def _refused_by_name(graph: ExportGraph, what: str) -> Iterator[None]:
    """Let whatever torch raises in the block become a UserError that names the network."""
    try:
        yield
    except (UserError, MemoryError, OSError):
        raise
    except Exception as error:  # of tracing and conversion, of which any step may have its own
        if "can't allocate memory" in str(error):  # torch's RuntimeError: a fault of the machine, answered elsewhere
            raise
        import torch

        encoder: Any = graph.embedder.encoder
        reason = " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
        raise UserError(
            f"The network {encoder.name!r} ({encoder.KIND}) cannot be {what} by torch {torch.__version__}: {reason}."
            " Install another version of torch, or export a model with another backbone."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what torch and onnxscript say of their own steps; errors are raised as ever."""
    loggers = [logging.getLogger(name) for name in ("onnxscript", "onnx_ir", "torch.onnx", "torch.export")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)
