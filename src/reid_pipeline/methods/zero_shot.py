"""The pretrained image encoder as it is: what every method is compared with (methods.md section 3)."""

from typing import TYPE_CHECKING

from pydantic import field_validator

from reid_pipeline.engine.stage import Method
from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.parameters import BackboneParameters
from reid_pipeline.schema.population import Population

if TYPE_CHECKING:
    from reid_pipeline.models.reid_model import ReIDModel


class ZeroShotParameters(Parameters):
    """Parameters of `zero_shot`: nothing is trained, so there is only the backbone."""

    backbone: BackboneParameters

    @field_validator("backbone")
    @classmethod
    def _nothing_learnt(cls, value: BackboneParameters) -> BackboneParameters:
        if value.sie != "none":
            raise ValueError(f"backbone.sie {value.sie!r} is learnt, and zero_shot learns nothing. Write none")
        return value


def build(parameters: ZeroShotParameters, population: Population) -> "ReIDModel":
    """Return the pretrained encoder; its embedding is [final, projected], before any neck."""
    from reid_pipeline.models.reid_model import ReIDModel

    del population
    return ReIDModel.from_backbone(parameters.backbone, neck="before")


METHOD = Method(
    name="zero_shot",
    params=ZeroShotParameters,
    build=build,
    stages=lambda _: (),
    stage_names=(),
    label_use="none",
    description="The pretrained encoder, not adapted.",
)
