"""CLIP-ReID: learn a prompt for every identity, then fine-tune the images against them.

The stages are those of `methods._prompted`. Source: Li et al., CLIP-ReID, AAAI 2023, arXiv 2211.13977; methods.md
section 5.
"""

from typing import TYPE_CHECKING

from reid_pipeline.engine.stage import Method
from reid_pipeline.methods._prompted import PromptedParameters, PromptLearning, VisualFineTuning, prompted_parts
from reid_pipeline.schema.population import Population

if TYPE_CHECKING:
    from reid_pipeline.models.supervised import PromptedReIDModel


class CLIPReIDParameters(PromptedParameters):
    """Parameters of `clip_reid`."""


def build(parameters: CLIPReIDParameters, population: Population) -> "PromptedReIDModel":
    """Return both towers, a prompt for every identity, necks and classifiers; read before the necks."""
    from reid_pipeline.models.supervised import PromptedReIDModel

    return PromptedReIDModel(*prompted_parts(parameters, population))


METHOD = Method(
    name="clip_reid",
    params=CLIPReIDParameters,
    build=build,
    stages=lambda parameters: (PromptLearning(parameters), VisualFineTuning(parameters)),
    stage_names=(PromptLearning.name, VisualFineTuning.name),
    label_use="all",
    description="A learnt prompt for every identity, then visual fine-tuning against the prompts.",
    reads_text=True,
)
