"""What of a plan depends on the image tower: chunks, rates by its width, rates that fall from layer to layer."""

from collections.abc import Mapping

from torch import nn

from reid_pipeline.models.chunks import batch_norms
from reid_pipeline.models.image_encoder import ImageEncoder
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.parameters import TowerPlan, TrainingPlan

PLANNED_WIDTH = 768
"""That of ViT-B/16, whose plans were published."""
_PROJECTION = "proj"
"""The one parameter of a tower itself, and of none of its modules, that comes after the blocks."""
_RATES = ("learning_rate", "warmup_learning_rate", "final_learning_rate")


def image_encoder_of(model: nn.Module) -> ImageEncoder | None:
    """Return the image tower in a model, None where there is none."""
    return next((module for module in model.modules() if isinstance(module, ImageEncoder)), None)


def set_chunks(plan: TrainingPlan, model: nn.Module) -> None:
    """Let the image tower in a model take as many images at once as the plan says."""
    encoder = image_encoder_of(model)
    if encoder is not None:
        encoder.chunk_size = plan.chunk_size if isinstance(plan, TowerPlan) else None


def require_possible(plan: TrainingPlan, model: nn.Module) -> None:
    """Refuse (UserError) what the plan asks of the model's image tower, and this one cannot do."""
    if not isinstance(plan, TowerPlan):
        return
    given = {"chunk_size": plan.chunk_size is not None, "rate_by_width": plan.rate_by_width}
    given["layer_decay"] = plan.layer_decay != 1.0
    encoder = image_encoder_of(model)
    if encoder is None:
        if named := [f"plan.{name}" for name, asked in given.items() if asked]:
            raise UserError(f"The model has no image tower, which {' and '.join(named)} is of. Leave it out.")
        return
    if plan.chunk_size is not None and (names := batch_norms(encoder)):
        raise UserError(
            f"plan.chunk_size is {plan.chunk_size}, and the image tower of {encoder.name!r} has {len(names)} batch"
            f" norms ({first_few(names, 2)}), whose statistics are those of the whole batch: by chunks it would be"
            " another training. Set plan.chunk_size to null, or backbone.name to a ViT such as ViT-B-16-quickgelu."
        )
    if plan.rate_by_width and encoder.WIDENS:
        raise UserError(
            f"plan.rate_by_width scales the rate of ViT-B/16 by {PLANNED_WIDTH} / width, and the image tower of"
            f" {encoder.name!r} has a width for every stage. Set plan.rate_by_width to false, and plan.learning_rate"
            " to a rate of its own; overlay=rn50 has the published one of RN50."
        )


def fitted_plan(plan: TrainingPlan, model: nn.Module) -> TrainingPlan:
    """Return the plan with its rates scaled by 768 / width of the image tower, where it asks for that."""
    encoder = image_encoder_of(model)
    if not isinstance(plan, TowerPlan) or not plan.rate_by_width or encoder is None:
        return plan
    factor = PLANNED_WIDTH / encoder.penultimate_width
    rates = {name: getattr(plan, name) for name in _RATES}
    return plan.model_copy(update={name: rate * factor for name, rate in rates.items() if rate is not None})


def layer_factors(model: nn.Module, plan: TrainingPlan) -> Mapping[str, float]:
    """Return the factor of the rate of each parameter of the image tower, by its name in `model`; others have 1.

    Layer 0 is what precedes the blocks, i + 1 block i, and of n blocks n + 1 is what follows them; layer l has
    `layer_decay` ** (n + 1 - l). A table of side information is no part of a pretrained tower, and has 1.
    Source: Bao et al., BEiT, ICLR 2022; timm's `param_groups_layer_decay`, where the last norm is of the last block.
    """
    encoder = image_encoder_of(model)
    if not isinstance(plan, TowerPlan) or plan.layer_decay == 1.0 or encoder is None:
        return {}
    last = len(blocks_of(encoder.visual)) + 1
    values, layers = dict(encoder.visual.named_parameters()), layer_of(encoder.visual)
    factors = {id(values[name]): plan.layer_decay ** (last - layer) for name, layer in layers.items()}
    return {name: factors[id(value)] for name, value in model.named_parameters() if id(value) in factors}


def layer_of(tower: nn.Module) -> dict[str, int]:
    """Return the layer of each parameter of an image tower, by name: 0 before n blocks, 1 to n in them, n + 1 after.

    Modules are registered in the order of their use; parameters of no module are those of tokens and positions, before
    the blocks, but for `proj`.
    """
    blocks = blocks_of(tower)
    inside = {id(value): place for place, block in enumerate(blocks, start=1) for value in block.parameters()}
    layers, reached = {}, 0
    for name, value in tower.named_parameters():
        if id(value) in inside:
            reached = len(blocks) + 1
        after = len(blocks) + 1 if name == _PROJECTION else reached
        layers[name] = inside.get(id(value), after)
    return layers


def blocks_of(tower: nn.Module) -> list[nn.Module]:
    """Return the blocks of an image tower, or the stages of a convolutional one, in their order.

    `layer1` and so on where a tower has these, as ResNets do; otherwise the entries of the list of modules that holds
    most parameters: open_clip's `transformer.resblocks`, timm's `trunk.blocks` and `trunk.stages`.
    """
    return _resnet_stages(tower) or list(_largest_list(tower).children())


def _resnet_stages(tower: nn.Module) -> list[nn.Module]:
    return [child for name, child in tower.named_children() if name.startswith("layer") and name[5:].isdigit()]


def _largest_list(tower: nn.Module) -> nn.Module:
    lists = [module for module in tower.modules() if isinstance(module, nn.ModuleList | nn.Sequential)]
    return max(lists, key=_size, default=nn.ModuleList())


def _size(module: nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())
