"""Visual fine-tuning with identity and triplet losses: CLIP-ReID's baseline (methods.md section 4).

Source: Li et al., CLIP-ReID, AAAI 2023, arXiv 2211.13977, section 3.1.
"""

from typing import TYPE_CHECKING

from reid_pipeline.engine.stage import Method
from reid_pipeline.methods._fine_tuning import FineTuning, FineTuningParameters
from reid_pipeline.schema.population import Population

if TYPE_CHECKING:
    from reid_pipeline.models.supervised import SupervisedReIDModel


def build(parameters: FineTuningParameters, population: Population) -> "SupervisedReIDModel":
    """Return the pretrained encoder with two necks, each with a classifier; read before the necks."""
    from reid_pipeline.models.backbone import image_tower
    from reid_pipeline.models.supervised import SupervisedReIDModel

    encoder = image_tower(parameters.backbone, population)
    return SupervisedReIDModel(encoder, population.identities, neck="before")


METHOD = Method(
    name="baseline",
    params=FineTuningParameters,
    build=build,
    stages=lambda parameters: (FineTuning(parameters),),
    stage_names=(FineTuning.name,),
    label_use="all",
    description="Visual fine-tuning with identity and triplet losses.",
)
