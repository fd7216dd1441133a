"""An ONNX network in whole numbers of 8 bits: as much of it as can be, and what is less where that is too coarse.

Weights are int8 with a scale for each output channel, symmetric; activations are uint8 by the ranges that calibration
images show. Weights take 7 of the 8 bits: processors without VNNI add products of full weights in 16 bits, which
overflow, and a file must give the same vectors there. Source: onnxruntime's documentation of quantization ("Quantize
ONNX models", on reduce_range).
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

Batch = Mapping[str, np.ndarray]
WEIGHED = ("Conv", "MatMul", "Gemm")
"""Operators with weights; the products of attention, which have none, stay in float32."""
_LEAST = 1024  # numbers of a weight; smaller ones take no room
_INT8 = 127


def int8_models(model: Any, calibration: Sequence[Batch]) -> Iterator[tuple[str, Any]]:
    """Yield networks, the smallest and fastest first, each with words for its arithmetic.

    Args:
        model: `onnx.ModelProto` in float32; stays as it is.
        calibration: batches of inputs, from training images.
    """
    weighed = _weighed(model)
    yield "weights and activations int8, attention's products float32", _quantised(model, calibration, ())
    ends = (weighed[0], *weighed[-2:])
    yield "the same, with the first and the last two weighed operators in float32", _quantised(model, calibration, ends)
    yield "weights int8, all computed in float32", with_int8_weights(model)


@dataclass(frozen=True)
class _Reader:
    """Batches as onnxruntime asks for them."""

    batches: Iterator[Batch]

    def get_next(self) -> Batch | None:
        return next(self.batches, None)


def _weighed(model: Any) -> list[str]:
    """Return the names of the nodes whose second input is a weight, in the network's order."""
    stored = {each.name for each in model.graph.initializer}
    return [node.name for node in model.graph.node if node.op_type in WEIGHED and node.input[1] in stored]


def _quantised(model: Any, calibration: Sequence[Batch], left_out: Sequence[str]) -> Any:
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises, by the root's own functions, what does not apply here
    try:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "int8.onnx"
            quantize_static(
                copied,
                file,
                _Reader(iter(calibration)),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                op_types_to_quantize=list(WEIGHED),
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=list(left_out),
                extra_options={"MatMulConstBOnly": True},
            )
            return onnx.load(file)
    finally:
        root.setLevel(level)


def with_int8_weights(model: Any) -> Any:
    """Return a network whose weights are stored as int8 with a scale for each output channel, and used as float32."""
    import onnx
    from onnx import helper, numpy_helper

    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    channel = {}  # axis of the output channels, by weight
    for node in graph.node:
        if node.op_type in WEIGHED:
            turned = any(each.name == "transB" and each.i for each in node.attribute)
            channel[node.input[1]] = 0 if node.op_type == "Conv" or turned else -1
    nodes = []
    for weight in [each for each in graph.initializer if each.name in channel]:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < _LEAST:
            continue
        axis = channel[weight.name] % values.ndim
        stored, scale = quantised(values, axis)
        graph.initializer.remove(weight)
        graph.initializer.append(numpy_helper.from_array(stored, f"{weight.name}_int8"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{weight.name}_scale"))
        nodes.append(
            helper.make_node(
                "DequantizeLinear", [f"{weight.name}_int8", f"{weight.name}_scale"], [weight.name], axis=axis
            )
        )
    others = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *others])
    return made


def quantised(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return weights as int8 and the scale of each channel of `axis`, float32; a channel of zeros has scale 1."""
    others = tuple(each for each in range(values.ndim) if each != axis)
    largest = np.abs(values).max(axis=others)
    scale = np.where(largest > 0, largest / _INT8, 1.0).astype(np.float32)
    shape = [-1 if each == axis else 1 for each in range(values.ndim)]
    stored = np.clip(np.rint(values / scale.reshape(shape)), -_INT8, _INT8).astype(np.int8)
    return stored, scale
