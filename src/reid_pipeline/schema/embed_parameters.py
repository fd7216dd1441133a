"""Parameters of the pipeline `embed`."""

from typing import Literal

from pydantic import Field

from reid_pipeline.schema.base import Parameters


class EmbedParameters(Parameters):
    """How any images are embedded."""

    batch_size: int = Field(256, ge=1, description="as evaluation.batch_size: other batches give other last digits")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "float32", description="auto: compute.precision"
    )
    identities: Literal["folders", "none"] = Field("folders", description="of images in <identity>/<image>")
