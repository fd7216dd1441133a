"""Architectures: open_clip's configurations by name, and our demo model. Nothing here reads weights.

`open_clip` is imported where a network is built: it takes seconds, and a wrong name is answered before.
"""

import math
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from reid_pipeline.models.model_folders import LOCAL, is_model_folder, read_model_folder
from reid_pipeline.models.open_clip_lists import DEMO_MODEL, ModelConfig, configs, facts_of, shared_statistics
from reid_pipeline.models.person_pretrained import NETWORKS
from reid_pipeline.models.text_configs import fault_of_text, without_prompts
from reid_pipeline.schema.errors import UserError, nearest

Grid = tuple[int, int]
Triple = tuple[float, float, float]

_RESNET_REDUCTION = 32  # pixels per grid cell of a ResNet as CLIP trained it, on each axis

# open_clip's default: OpenAI's.
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)

# Towers that cost nothing, for networks of which only the other is wanted.
_NO_TEXT = {"context_length": 1, "vocab_size": 1, "width": 8, "heads": 1, "layers": 1, "eos_id": 0}
_NO_IMAGE = {"image_size": 8, "patch_size": 8, "width": 8, "head_width": 8, "layers": 1}


class Architecture:
    """A network of open_clip, resolved from its name: what is known of it without weights.

    Attributes:
        name: its name in open_clip, or a folder or repository (`models.model_folders`).
        config: its configuration there.
        grid: token rows and columns that its image tower is configured with.
        from_folder: it is none that open_clip lists, and its configuration is needed to build it again.

    Raises:
        UserError: an unknown name, or a folder or repository that cannot be read.
    """

    def __init__(self, name: str, config: ModelConfig | None = None) -> None:
        """Resolve a name; with the `config` of a folder or repository, that is not looked for."""
        self.name = name
        self._preprocessing: Mapping[str, Any] = {}
        self.from_folder = config is not None or is_model_folder(name)
        if config is not None:
            self.config = config
        elif self.from_folder:
            self.config, self._preprocessing = read_model_folder(name)
        else:
            self.config = model_config(name)
        if self.config["vision_cfg"].get("timm_model_pretrained"):  # open_clip would download timm's own weights
            self.config["vision_cfg"]["timm_model_pretrained"] = False
        self.grid = native_grid(self.config)

    @cached_property
    def tokenizer(self) -> Any:
        """Return the network's tokenizer: texts to int64 [B, context length]; UserError where it cannot be had."""
        from reid_pipeline.models.tokenizers import tokenizer_of

        plain_folder = self.from_folder and ":" not in self.name
        return tokenizer_of(f"{LOCAL}{Path(self.name).expanduser()}" if plain_folder else self.name, self.config)

    def pixel_statistics(self, pretrained: str | Path | None) -> tuple[Triple, Triple]:
        """Return (mean, std) of pixels in 0..1: the folder's or tag's where there is one, else open_clip's default.

        Of a file they are those that all the name's tags share, where they do.
        """
        found = self._statistics(pretrained)
        mean, std = found.get("mean", _MEAN), found.get("std", _STD)
        return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])

    def guesses_statistics(self, pretrained: str | Path | None) -> bool:
        """Return whether nothing says which pixels the weights were trained with: then they are OpenAI's."""
        weights = self.from_folder or pretrained is not None
        return weights and not self._statistics(pretrained).keys() >= {"mean", "std"}

    def _statistics(self, pretrained: str | Path | None) -> Mapping[str, Any]:
        if self.from_folder or pretrained is None:
            return self._preprocessing
        return facts_of(self.name, str(pretrained)) or shared_statistics(self.name)

    def visual(self) -> Any:
        """Return open_clip's image tower as it is configured, built within `parameters_on_meta`; errors as `clip`."""
        with parameters_on_meta():
            return self.clip(text=False).visual

    def require_prompts(self) -> None:
        """Raise a UserError where embedded tokens cannot be fed to the text tower."""
        if fault_of_text(self.config):
            raise UserError(without_prompts(self.name, self.config))

    def text(self) -> Any:
        """Return open_clip's text tower, a `TextTransformer`, built within `parameters_on_meta`.

        Raises:
            UserError: prompts cannot be learnt with it.
        """
        self.require_prompts()
        import open_clip

        config = {key: self.config[key] for key in ("embed_dim", "text_cfg", "quick_gelu") if key in self.config}
        with parameters_on_meta(), self._refusals_named():
            return open_clip.CustomTextCLIP(**config, vision_cfg=_NO_IMAGE).text

    def clip(self, *, text: bool = True, device: str = "cpu") -> Any:
        """Return `open_clip.CLIP`, randomly initialised; the device `"meta"` gives shapes without numbers.

        Without `text` only `.visual` is of use; with it, UserError where prompts cannot be learnt with the text
        tower, and where the installed open_clip or timm cannot build what the configuration asks for. A model with
        open_clip's separate text module is built as the plain one, whose numbers are the same.
        """
        if text:
            self.require_prompts()
            config = {key: value for key, value in self.config.items() if key != "custom_text"}
        else:
            config = {key: self.config[key] for key in ("embed_dim", "vision_cfg", "quick_gelu") if key in self.config}
            config["text_cfg"] = _NO_TEXT
        if config["vision_cfg"].get("timm_model_name") in NETWORKS:
            import reid_pipeline.models.person_networks  # noqa: F401 - timm then knows them
        import open_clip

        with torch.device(device), self._refusals_named():
            return open_clip.CLIP(**config)

    @contextmanager
    def _refusals_named(self) -> Iterator[None]:
        """Let whatever open_clip and timm raise in the block, which builds a network, become a UserError naming it."""
        try:
            yield
        except (UserError, MemoryError, OSError):
            raise
        except Exception as error:
            if "can't allocate memory" in str(
                error
            ):  # torch's RuntimeError: a fault of the machine, answered elsewhere
                raise
            from importlib.metadata import version

            reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
            trunk = self.config["vision_cfg"].get("timm_model_name")
            raise UserError(
                f"The network {self.name!r}{f', {trunk!r} of timm,' if trunk else ''} cannot be built by open_clip "
                f"{version('open_clip_torch')} with timm {version('timm')}: {reason}. Install the versions that it was "
                f"made with, or set `backbone` to another network."
            ) from error


@contextmanager
def parameters_on_meta() -> Iterator[None]:
    """Let the modules that this thread builds in the block have parameters on the meta device, and real buffers.

    Buffers that a state does not hold, such as rotary positions, are computed where a network is built. No random
    number is drawn from torch's global generator.
    """
    thread = threading.get_ident()

    def place(_: nn.Module, __: str, parameter: nn.Parameter | None) -> Any:  # torch's hint says None
        if parameter is None or threading.get_ident() != thread:
            return parameter
        return nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)

    handle = register_module_parameter_registration_hook(place)
    try:
        with torch.random.fork_rng(devices=[]), _MixedOnMeta():
            yield
    finally:
        handle.remove()


# By which networks initialise what they hold, in place.
_SETTING_NUMBERS = {
    *(Tensor.uniform_, Tensor.normal_, Tensor.erfinv_, Tensor.clamp_, Tensor.mul_, Tensor.add_, Tensor.div_),
    *(Tensor.fill_, Tensor.zero_),
}


class _MixedOnMeta(TorchFunctionMode):
    """Functions of tensors on the meta device and others give what they would with all of them there.

    Some towers run a part of themselves while they are built, to see how large its output is. Numbers that are
    set in a tensor there would be computed for nothing.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in _SETTING_NUMBERS and args[0].is_meta:
            return args[0]
        if func in (nn.functional.conv2d, nn.functional.batch_norm, torch.conv2d, torch.batch_norm):
            tensors = [each for each in args if isinstance(each, Tensor)]
            if any(each.is_meta for each in tensors):
                args = tree_map(lambda each: each.to("meta") if isinstance(each, Tensor) else each, args)
        return func(*args, **(kwargs or {}))


def model_names() -> list[str]:
    """Return the name of every open_clip architecture, our demo model among them."""
    return sorted(configs())


def model_config(name: str) -> ModelConfig:
    """Return open_clip's configuration of `name`."""
    known = configs()
    if name not in known:
        names = sorted(known)
        no_folder = " There is no folder of this name either." if "/" in name else ""
        raise UserError(
            f"Unknown backbone {name!r}.{nearest(name, names)}{no_folder} Allowed: the {len(names)} names that "
            f"`python -c 'import open_clip; print(open_clip.list_models())'` prints, and {DEMO_MODEL}; "
            f"for instance ViT-B-16-quickgelu, ViT-L-14-quickgelu, {DEMO_MODEL}; the folder of a network that "
            f"open_clip saved, or hf-hub:<organisation>/<repository>."
        )
    return known[name]


def native_grid(config: ModelConfig) -> Grid:
    """Return the token grid (rows, columns) that a ViT or ResNet is configured with; of timm's, what the name says."""
    vision = config["vision_cfg"]
    size = vision.get("image_size", 224)
    is_resnet = isinstance(vision.get("layers", 12), list | tuple)
    named = re.search(r"patch(\d+)", vision.get("timm_model_name") or "")
    patch = int(named[1]) if named else vision.get("patch_size") or 16
    cell = _RESNET_REDUCTION if is_resnet else patch
    (height, width), (rows, columns) = ((side, side) if isinstance(side, int) else side for side in (size, cell))
    return height // rows, width // columns


def stored_grid(num_tokens: int, native: Grid, special: int = 1) -> Grid | None:
    """Return the grid of a positional embedding with `num_tokens` rows: `native`, a square or 2 : 1, else None.

    `special` rows, the class token's or the mean token's, are not of the grid.
    """
    cells = num_tokens - special
    if cells == native[0] * native[1]:
        return native
    side, half = math.isqrt(max(cells, 0)), math.isqrt(max(cells, 0) // 2)
    if half > 0 and 2 * half * half == cells:  # of people, 256 x 128
        return 2 * half, half
    return (side, side) if side > 0 and side * side == cells else None
