"""Parameters of the pipeline `export`."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.errors import nearest

Format = Literal["onnx", "pt2", "all"]
SignatureName = Literal["pixels", "normalised", "boxmot", "ultralytics"]
PRECISIONS = ("float32", "float16", "int8")


def _precisions(value: object) -> object:
    """Return the precisions that are named: one, several as `float32+int8`, a list, or all."""
    if value == "all":
        return PRECISIONS
    named = value.split("+") if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else [value]
    for each in named:
        if each not in PRECISIONS:
            raise ValueError(
                f"precision {each!r} is not allowed.{nearest(str(each), PRECISIONS)} Allowed: {', '.join(PRECISIONS)},"
                " several of them as float32+int8, or all"
            )
    return tuple(each for each in PRECISIONS if each in named)


class ExportParameters(Parameters):
    """How a trained model is exported, and on how much its proof rests."""

    format: Format = Field("onnx", description="all: both; --params format=<format> is shorter")
    precision: Annotated[tuple[str, ...], BeforeValidator(_precisions), Field(min_length=1)] = Field(
        PRECISIONS, description="float32, float16, int8, several as float32+int8, or all"
    )
    signature: SignatureName = Field(
        "pixels",
        description="what goes in: uint8 pixels, or what a tracker feeds; --params signature=<name> is shorter",
    )
    calibration_images: int = Field(256, ge=1, description="training images that the ranges of int8 are taken from")
    test_images: int = Field(0, ge=0, description="of the proof: about so many, of whole identities; 0: all")
    latency_seconds: float = Field(1.0, gt=0, description="that each latency is measured for")


class SharedExportParameters(Parameters):
    """The shared parameters of the pipeline `export`."""

    format: Format | None = Field(None, description="of an export; null: export.format")
    signature: SignatureName | None = Field(None, description="of an export; null: export.signature")
    export: ExportParameters = ExportParameters()


EXPORT_TEXT = ("format", "signature")
"""Those of them that are text."""
