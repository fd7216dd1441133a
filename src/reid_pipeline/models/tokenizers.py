"""The tokenizer of a network: open_clip's own, which ships with it, or one of Hugging Face, which does not."""

import importlib.util
from pathlib import Path
from typing import Any

from reid_pipeline.models.open_clip_lists import DEMO_MODEL, OWN_CONFIGS, ModelConfig
from reid_pipeline.models.published_weights import require_reachable
from reid_pipeline.models.text_configs import EXAMPLES
from reid_pipeline.schema.errors import UserError

_PACKAGE = "transformers"
_LOCAL = "local-dir:"


def tokenizer_of(name: str, config: ModelConfig) -> Any:
    """Return the tokenizer of a network that open_clip lists: texts to int64 [B, context length].

    Raises:
        UserError: it needs a package that is not installed, or files that are neither here nor can be fetched.
    """
    source = str((config.get("text_cfg") or {}).get("hf_tokenizer_name") or "")
    if source and name.startswith(_LOCAL):
        source = name.removeprefix(_LOCAL)  # open_clip reads the tokenizer from the network's folder
    if source:
        _require_package(name, source)
        if not Path(source).is_dir():
            require_reachable(f"The tokenizer {source} of {name!r}", source, "tokenizer_config.json")
    import open_clip

    if name == DEMO_MODEL and name not in open_clip.list_models():
        open_clip.add_model_config(OWN_CONFIGS)
    try:
        return open_clip.get_tokenizer(name)
    except Exception as error:
        if not source:
            raise
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(
            f"The tokenizer {source} of {name!r} cannot be made: {reason}. {_package_remedy()} Or set `backbone` to a "
            f"network whose tokenizer ships with open_clip, such as ViT-B-16-quickgelu."
        ) from error


def _require_package(name: str, source: str) -> None:
    if importlib.util.find_spec(_PACKAGE) is None:
        raise UserError(
            f"The text tower of {name!r} reads the tokens of {source}, for which the package {_PACKAGE} is needed, and "
            f"it is not installed. {_package_remedy()} Or set `backbone` to a network whose tokenizer ships with "
            f"open_clip ({EXAMPLES.replace(' ViT-B-16-SigLIP2-256,', '')}), or train a method without text (baseline, "
            f"pcl, unsupervised_pcl)."
        )


def _package_remedy() -> str:
    return f"Install it with `pip install {_PACKAGE} sentencepiece`."
