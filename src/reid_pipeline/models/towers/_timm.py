"""What all towers of timm within open_clip share: a trunk of timm, its classifier, and open_clip's head behind it."""

from typing import Any

from torch import Tensor, nn

from reid_pipeline.models.image_encoder import ImageEncoder


def trunk_of(visual: Any) -> Any:
    """Return timm's network within open_clip's tower; None of a tower of open_clip's own, or with a pool of its own."""
    if type(visual).__name__ != "TimmModel" or hasattr(visual.head, "pool"):
        return None
    return visual.trunk


def set_widths(tower: ImageEncoder, penultimate_width: int) -> None:
    """Set the widths, and whether there is a projection: timm's classifier, open_clip's head, or neither."""
    trunk = tower.visual.trunk
    layers = [
        each for part in (trunk.get_classifier(), tower.visual.head) for each in part.modules() if _is_linear(each)
    ]
    tower.penultimate_width, tower.width = penultimate_width, int(trunk.head_hidden_size)
    tower.projects = bool(layers)
    tower.projected_width = layers[-1].out_features if layers else tower.width


def projected(tower: ImageEncoder, final_BD: Tensor) -> Tensor:
    """Return what the heads make of `final`, float [B, projected_width]; `final` itself where there are none."""
    visual: Any = tower.visual
    projected_BE: Tensor = visual.head(visual.trunk.get_classifier()(final_BD)) if tower.projects else final_BD
    return projected_BE


def alone(tower: ImageEncoder, tokens_ND: Tensor) -> tuple[Tensor, ...]:
    """Return `final` and, with a projection, `projected` of tokens that pooling reads one at a time.

    Special tokens, where pooling leaves them out, are put before each as zeros.
    """
    trunk: Any = tower.visual.trunk
    reads_all = type(trunk).__name__ == "Eva" and trunk.attn_pool is not None
    skipped = 0 if trunk.global_pool == "token" or reads_all else trunk.num_prefix_tokens
    if getattr(trunk, "pool_include_prefix", False):
        skipped = 0
    sequence_NLD = nn.functional.pad(tokens_ND[:, None], (0, 0, skipped, 0))
    final_NW: Tensor = trunk.forward_head(sequence_NLD, pre_logits=True)
    return (final_NW, projected(tower, final_NW)) if tower.projects else (final_NW,)


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear)
