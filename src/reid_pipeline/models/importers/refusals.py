"""What a file is that holds no published ReID model of CLIP, by the names of its tensors."""

from collections.abc import Mapping, Sequence

from reid_pipeline.models.torch_pickles import NoWeightsError
from reid_pipeline.schema.errors import first_few

_OPTIMISER = {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "square_avg", "lr", "weight_decay"}
_START = "To train from it, give it as `backbone.pretrained`."
_OTHER_TOWER = "Its tower is not CLIP's, and no method here has it."
# The first whose every group of beginnings is met, each by one name at least.
_KINDS: tuple[tuple[tuple[tuple[str, ...], ...], str, str], ...] = (
    ((("encoder.visual.",), ("classifiers.", "prompts.")), "is a checkpoint of this project's own training", ""),
    ((("encoder.visual.",),), "is an embedder of this project, which is a cell already", ""),
    ((("base.patch_embed.", "base.cls_token", "base.blocks."),), "is a model of TransReID", _OTHER_TOWER),
    ((("base.layer1.", "backbone.layer1."),), "is a ReID model on a plain ResNet", _OTHER_TOWER),
    ((("visual.", "text.transformer.", "transformer.resblocks."),), "is a plain CLIP, not trained for ReID", _START),
    ((("class_embedding",), ("conv1.weight",)), "is the image tower of a plain CLIP, not trained for ReID", _START),
    ((("vision_model.", "text_model."),), "is a CLIP by the names of Hugging Face transformers", ""),
    ((("patch_embed.", "cls_token", "blocks."),), "is a ViT by timm's names, as DINO and TransReID-SSL have", _START),
    ((("layer1.0.",), ("fc.", "conv1.weight", "bn1.")), "is a plain ResNet", _OTHER_TOWER),
)
_RELEASES = "Give a checkpoint of CLIP-ReID, SVLL-ReID, PCL-CLIP or PCL-CLIP-USL, whose tower is `image_encoder...`."


def what_it_is(sets: Mapping[str, Sequence[str]]) -> NoWeightsError:
    """Return the refusal of a file whose sets of names, by their place in it, are of no release."""
    if all(set(names) <= _OPTIMISER for names in sets.values()):
        return NoWeightsError("is the state of an optimiser, which holds no weights", _RELEASES)
    names = [name for named in sets.values() for name in named]
    for groups, what, remedy in _KINDS:
        if all(any(name.startswith(beginnings) for name in names) for beginnings in groups):
            return NoWeightsError(what, f"{remedy} {_RELEASES}".strip())
    return NoWeightsError(f"holds {len(names)} tensors of no ReID model that is known: {first_few(names)}", _RELEASES)
