"""card.json: what was exported, and what shows that it is the model."""

from typing import Literal

from reid_pipeline.schema.record import Count, Digest, Finite, Fraction, OriginatedRecord, Points, Record


class TensorFacts(Record):
    """An input or output of an exported network."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]  # a text is a size that changes from call to call
    words: str


class Latency(Record):
    """Milliseconds an image, the median of repeated calls."""

    batch: Count
    exported: Finite
    model: Finite  # the same graph by torch


class FeatureAgreement(Record):
    """How near features are to the model's, over all images of the proof."""

    largest_difference: Finite  # of a number of the unit vectors
    mean_difference: Finite
    cosine_min: Finite
    cosine_mean: Finite
    mAP: Fraction | None = None  # None without labels
    mAP_difference: Points | None = None  # less the model's


class ExportedFile(Record):
    """One file, and its proof."""

    file: str
    format: Literal["onnx", "pt2"]
    precision: str
    arithmetic: str  # in words: what is computed how
    refused: tuple[str, ...] = ()  # of int8: arithmetic that was tried before, and why it was not taken
    sha256: Digest
    bytes: Count
    agreement: FeatureAgreement
    bound: str
    latency: tuple[Latency, ...]


class ResizeCost(Record):
    """What another filter before the network costs; by the model itself, in float32."""

    resize: str
    agreement: FeatureAgreement


class ProofFacts(Record):
    """What the proof rests on."""

    images: Count
    source: str
    queries: Count | None = None
    mAP: Fraction | None = None  # by the model in float32, on the same inputs; None without labels


class ExportMachine(Record):
    """Where latency was measured, and by what."""

    cpu: str
    cpus: Count
    threads: Count
    packages: dict[str, str]


class ExportCard(OriginatedRecord):
    """What an export is, and its proof."""

    version: Literal[1] = 1
    name: str
    description: str
    licence: str
    signature: str
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    opset: Count | None  # None without an ONNX file
    image_size: tuple[int, int]  # rows, columns of the model
    resize: str  # filter that images come to that size by, in the words of `ResizeCost`
    pixel_mean: tuple[float, float, float]
    pixel_std: tuple[float, float, float]
    proof: ProofFacts
    files: tuple[ExportedFile, ...]
    resizes: tuple[ResizeCost, ...]
    machine: ExportMachine
