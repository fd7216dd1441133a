"""Published ReID checkpoints, read by the names and shapes of their tensors (methods.md, section 14).

A file is read without running anything in it, whatever wraps the state dict: `state_dict` inside, `module.` before
each name, half precision. What is no such checkpoint is refused with what it is instead.

Shape suffixes: S rows of the side information table, D width of the tower, C identities, M learnt tokens, P and S
fixed tokens before and after them, T width of the text tower.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reid_pipeline.models.checkpoint_files import looks_like
from reid_pipeline.models.importers.families import FAMILIES, Family, deciding_parts, described, family_in, family_of
from reid_pipeline.models.importers.refusals import what_it_is
from reid_pipeline.models.importers.shapes import SIDE, require_shapes
from reid_pipeline.models.open_clip_lists import configs
from reid_pipeline.models.torch_pickles import NoWeightsError
from reid_pipeline.models.weight_files import NamedSets, WeightFile, read_weights
from reid_pipeline.schema.digests import digest_of_file
from reid_pipeline.schema.errors import UserError, first_few, nearest
from reid_pipeline.schema.user_paths import user_file

Tensors = Mapping[str, Tensor]

_TOWER = "image_encoder."
_WRAPPER = "module."
_NECKS = ("bottleneck.", "bottleneck_proj.")
_TEXT = "text_encoder."
_PROMPTS = "prompt_learner."
_COUNTER = "num_batches_tracked"
_NECK_PARTS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class PublishedPrompts:
    """Learnt prompts as `PromptLearner` stores them: `learnt` [C, M, T], `prefix` [P, T], `suffix` [S, T]."""

    learnt: Tensor
    prefix: Tensor
    suffix: Tensor  # up to the end-of-text token, without the padding behind it


@dataclass(frozen=True)
class PublishedModel:
    """A published ReID model, all numbers float32 on the CPU.

    Attributes:
        family: the release that it is of, and with it the method.
        architecture: name of its towers in open_clip.
        image_state: the image tower by OpenAI's names, `visual...`; positions are of the trained grid.
        side_table: side information [S, D], one row per camera, viewpoint or pair of both; None without.
        necks: batch norms of `final` and `projected`: weight, bias, running mean and variance by those names.
        prompts: of every training identity; None where the method has none.
        text_state: the text tower by OpenAI's names, without its token embedding, which no release stores.
        identities: of the training; None where no classifier says.
        digest: SHA-256 of the file.
        file: where it was read from.
    """

    family: Family
    architecture: str
    image_state: Tensors
    side_table: Tensor | None
    necks: tuple[Tensors, Tensors]
    prompts: PublishedPrompts | None
    text_state: Tensors
    identities: int | None
    digest: str
    file: str

    @property
    def is_resnet(self) -> bool:
        """Whether the image tower is a ModifiedResNet."""
        return _positions_of(self.image_state).startswith("visual.attnpool.")

    @property
    def positions(self) -> int:
        """Rows of the positional embedding, without that of the class token (ViT) or the mean (ResNet)."""
        return len(self.image_state[_positions_of(self.image_state)]) - 1

    def preferring(self, backbone: str) -> "PublishedModel":
        """Return the same model, whose towers have the name `backbone` where the shapes are its own."""
        return replace(self, architecture=_architecture(Path(self.file), self.image_state, backbone))

    @property
    def untrained_necks(self) -> bool:
        """Whether the necks have never seen a batch, as after CLIP-ReID's first stage, which trains prompts alone."""
        return all(
            bool((neck["running_mean"] == 0).all()) and bool((neck["running_var"] == 1).all()) for neck in self.necks
        )


def read_published(
    path: str | Path, *, method: str | None = None, backbone: str = "ViT-B-16-quickgelu"
) -> PublishedModel:
    """Read a published checkpoint of CLIP-ReID, SVLL-ReID, PCL-CLIP or PCL-CLIP-USL.

    Args:
        path: the file: `.pth`, `.pth.tar`, `.pt` or safetensors, whatever its name.
        method: the method of ours that it must be of; None: whichever its names say.
        backbone: name in open_clip of the towers, taken where the shapes are its own and QuickGELU is not lost.

    Raises:
        UserError: no such file, no such checkpoint (the message says what it is), or one of another method.
    """
    file = user_file(path, "The checkpoint is", "Give the file that a release offers: --params checkpoint=<file>.")
    named = _plain_names(_read(file))
    family = _family(file, named, method)
    states = {name: tensor.detach().float() for name, tensor in named.items() if tensor.is_floating_point()}
    _require_finite(file, states)
    counters = {name: tensor for name, tensor in named.items() if name.endswith(_COUNTER)}
    image = {f"visual.{name}": each for name, each in _below({**states, **counters}, _TOWER).items()}
    classifier = states.get("classifier.weight")
    architecture = _architecture(file, image, backbone)
    _require_positions(file, image)
    positions = _positions_of(image)
    require_shapes(file, named, width=None if "attnpool" in positions else image[positions].shape[1])
    return PublishedModel(
        family=family,
        architecture=architecture,
        image_state=image,
        side_table=states.get(SIDE),
        necks=(_neck(file, states, _NECKS[0]), _neck(file, states, _NECKS[1])),
        prompts=_prompts(states),
        text_state=_below(states, _TEXT),
        identities=None if classifier is None else len(classifier),
        digest=digest_of_file(file),
        file=str(path),
    )


def _read(file: Path) -> WeightFile:
    try:
        return read_weights(file, _reid_among)
    except OSError as error:
        raise UserError(f"The checkpoint {str(file)!r} cannot be read: {error.strerror}.") from error
    except NoWeightsError as error:
        remedy = (error.remedy or "Get the file again, and set `checkpoint` to it.").replace(
            "`pretrained`", "`checkpoint`"
        )
        raise UserError(f"The checkpoint {str(file)!r} cannot be imported: it {error}. {remedy}") from error


def _reid_among(sets: NamedSets) -> str:
    """Return the place of the set of names that has a release's image tower; of several, `state_dict`."""
    plain = {place: [_plain(name) for name in named] for place, named in sets.items()}
    fit = [place for place, names in plain.items() if any(name.startswith(_TOWER) for name in names)]
    if not fit:
        raise what_it_is(plain)
    if len(fit) > 1 and "state_dict" not in fit:
        raise NoWeightsError(f"holds several networks ({first_few(fit)})", "Save the one you mean alone.")
    return "state_dict" if "state_dict" in fit else fit[0]


def _plain(name: str) -> str:
    """Return a name without the wrappers that parallel training puts before it, however many."""
    while name.startswith(_WRAPPER):
        name = name.removeprefix(_WRAPPER)
    return name


def _plain_names(read: WeightFile) -> dict[str, Tensor]:
    return {_plain(name): tensor for name, tensor in read.tensors.items()}


def _family(file: Path, names: Iterable[str], method: str | None) -> Family:
    """Return the release that a state dict is of; refuse one of another method."""
    found = family_in(names)
    if found is None:
        raise UserError(
            f"The checkpoint {str(file)!r} has the image tower of a ReID model and beside it"
            f" {described(deciding_parts(names))}, as no release has. Known are: "
            + "; ".join(f"{each.release}, {described(each.parts)}" for each in FAMILIES)
            + "."
        )
    if method is None or method == found.method:
        return found
    asked = family_of(method)
    if asked is None:
        methods = first_few([family.method for family in FAMILIES])
        raise UserError(
            f"No published checkpoint is of {method}.{nearest(method, [each.method for each in FAMILIES])} Importable"
            f" are those of: {methods}. The names in {str(file)!r} are those of {found.release}: give"
            f" method={found.method}."
        )
    raise UserError(
        f"The checkpoint {str(file)!r} is no model of {asked.release}, which has {described(asked.parts)}: with"
        f" {described(found.parts)} it is one of {found.release}. Give method={found.method}."
    )


def _architecture(file: Path, image_state: Tensors, preferred: str) -> str:
    """Return the name in open_clip of towers of these shapes; every release has QuickGELU, which no shape shows."""
    fit, known = looks_like(image_state, limit=len(configs())), configs()
    quick = [name for name in fit if known[name].get("quick_gelu", False)]
    for name in (preferred, f"{preferred}-quickgelu"):
        if name in quick:
            return name
    if quick and preferred not in fit:
        return quick[0]
    if fit:
        return preferred if preferred in fit else fit[0]
    shapes = [f"{name} {list(image_state[name].shape)}" for name in ("visual.conv1.weight",) if name in image_state]
    raise UserError(
        f"The image tower in {str(file)!r} has the shapes of no CLIP that open_clip lists ({first_few(shapes)})."
        " Import a model of one of its class-token ViTs or ModifiedResNets."
    )


def _positions_of(image_state: Tensors) -> str:
    """Return the name of the positional embedding."""
    is_resnet = any(name.startswith("visual.layer4.") for name in image_state)
    return f"visual.{'attnpool.' if is_resnet else ''}positional_embedding"


def _require_positions(file: Path, image_state: Tensors) -> None:
    name = _positions_of(image_state)
    if name not in image_state or image_state[name].ndim != 2:
        raise UserError(
            f"The checkpoint {str(file)!r} lacks {name.replace('visual.', _TOWER)}, rows by width, which every release"
            " stores. Get the whole file."
        )


def _neck(file: Path, states: Tensors, prefix: str) -> Tensors:
    neck = _below(states, prefix)
    missing = [f"{prefix}{part}" for part in _NECK_PARTS if part not in neck]
    if missing:
        raise UserError(
            f"The checkpoint {str(file)!r} lacks {first_few(missing)}: a release stores both necks. Get the whole file."
        )
    return neck


def _prompts(states: Tensors) -> PublishedPrompts | None:
    """Return the learnt prompts; the padding behind the end-of-text token is one row again and again."""
    parts: Any = [states.get(f"{_PROMPTS}{name}") for name in ("cls_ctx", "token_prefix", "token_suffix")]
    if any(part is None for part in parts):
        return None
    learnt_CMT, prefix_1PT, suffix_1ST = parts
    suffix_ST = suffix_1ST[0]
    differs = (suffix_ST != suffix_ST[-1]).any(dim=1).nonzero()
    length = int(differs[-1]) + 1 if len(differs) else len(suffix_ST)
    return PublishedPrompts(learnt_CMT, prefix_1PT[0].clone(), suffix_ST[:length].clone())


def _require_finite(file: Path, states: Tensors) -> None:
    bad = [name for name, tensor in states.items() if not bool(torch.isfinite(tensor).all())]
    if bad:
        raise UserError(
            f"The checkpoint {str(file)!r} is not finite: {first_few(bad)} hold NaN or infinity. The training that made"
            " it has failed, or the file is damaged: get another one."
        )


def _below(states: Tensors, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in states.items() if name.startswith(prefix)}
