"""Which releases there are, what tells their checkpoints apart, and what they do that no checkpoint holds.

Facts of methods.md, sections 1, 8, 11 and 14. All have `image_encoder.*` by OpenAI's names and the two necks
`bottleneck` and `bottleneck_proj`; what stands beside them names the release.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from reid_pipeline.models.architecture import Triple
from reid_pipeline.schema.parameters import Resize

HALF: tuple[Triple, Triple] = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
IMAGENET: tuple[Triple, Triple] = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Family(NamedTuple):
    """A release, and the method of ours that it is of.

    Attributes:
        release: as its authors call it.
        parts: what its state dicts have beside tower and necks, by the first part of the name; no other.
        neck: where the embedding is read, as in `Embedder`.
        vit_pixels: mean and std that pixels are normalised with before a ViT.
        resnet_pixels: likewise, before a ModifiedResNet; None where none was released.
        evaluation_resize: filter of the test images.
    """

    method: str
    release: str
    parts: frozenset[str]
    neck: str
    vit_pixels: tuple[Triple, Triple]
    resnet_pixels: tuple[Triple, Triple] | None
    evaluation_resize: Resize


_CLASSIFIERS = ("classifier", "classifier_proj")
_TEXT = ("prompt_learner", "text_encoder")
_HEADS = ("image_mlp", "text_mlp")
_DECIDING = frozenset((*_CLASSIFIERS, *_TEXT, *_HEADS))

FAMILIES = (
    Family("baseline", "CLIP-ReID's baseline", frozenset(_CLASSIFIERS), "before", HALF, IMAGENET, "bilinear"),
    Family("clip_reid", "CLIP-ReID", frozenset((*_CLASSIFIERS, *_TEXT)), "before", HALF, IMAGENET, "bilinear"),
    Family("svll_reid", "SVLL-ReID", frozenset((*_CLASSIFIERS, *_TEXT, *_HEADS)), "before", HALF, None, "bilinear"),
    Family("pcl", "PCL-CLIP", frozenset({"classifier"}), "after", HALF, None, "bicubic"),
    Family("unsupervised_pcl", "PCL-CLIP-USL", frozenset(), "after", IMAGENET, None, "bicubic"),
)


def family_of(method: str) -> Family | None:
    """Return the release that is of a method of ours; None where no checkpoint of it was published."""
    return next((family for family in FAMILIES if family.method == method), None)


def family_in(names: Iterable[str]) -> Family | None:
    """Return the release whose state dicts have these names; None where they are of none.

    SVLL-ReID with SimSiam has no head for texts, hence either of its heads names it.
    """
    found = deciding_parts(names)
    whole = found | frozenset(_HEADS) if found & set(_HEADS) else found
    return next((family for family in FAMILIES if family.parts == whole), None)


def deciding_parts(names: Iterable[str]) -> frozenset[str]:
    """Return those parts of the names that tell the releases apart."""
    return frozenset(name.split(".")[0] for name in names) & _DECIDING


def described(parts: Collection[str]) -> str:
    """Return parts as messages list them."""
    return ", ".join(f"{part}.*" for part in sorted(parts)) or "neither classifiers nor prompts"
