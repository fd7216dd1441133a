"""Parameters of the demo CLIP's pretraining."""

from pydantic import Field

from reid_pipeline.schema.base import Parameters


class ContrastParameters(Parameters):
    """The schedule of pretraining."""

    seed: int = Field(0, ge=0, lt=2**32)
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    warmup_share: float = Field(ge=0, lt=1, description="share of all steps in linear warm-up")
    weight_decay: float = Field(ge=0)
    padding: int = Field(ge=0, description="pixels of the random shift")
    held_out: int = Field(ge=2, description="drawings, from the end, that are only measured on")
