"""The tokenizer of a network: open_clip's own, which ships with it, or one of Hugging Face, which does not."""

import importlib.util
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from reid_pipeline.models.model_folders import LOCAL
from reid_pipeline.models.open_clip_lists import ModelConfig
from reid_pipeline.models.published_weights import require_reachable
from reid_pipeline.models.text_configs import EXAMPLES
from reid_pipeline.schema.errors import UserError

_PACKAGE = "transformers"
_REMEDY = f"Install it with `pip install {_PACKAGE} sentencepiece`."
_CONTEXT = 77  # open_clip's default


def tokenizer_of(name: str, config: ModelConfig) -> Any:
    """Return the tokenizer of a network by a name that open_clip takes: texts to int64 [B, context length].

    Raises:
        UserError: it needs a package that is not installed, or files that are neither here nor can be fetched.
    """
    tower = config["text_cfg"]
    source = str(tower.get("hf_tokenizer_name") or "")
    if not source:  # not by open_clip's own search, which goes by the name and takes any "siglip" for Google's
        options = {"context_length": tower.get("context_length", _CONTEXT), **tower.get("tokenizer_kwargs", {})}
        return _of_open_clip(json.dumps(options))
    if name.startswith(LOCAL):
        source = name.removeprefix(LOCAL)  # open_clip reads the tokenizer from the network's folder
    _require_package(name, source)
    if not Path(source).is_dir():
        require_reachable(f"The tokenizer {source} of {name!r}", source, "tokenizer_config.json")
    return _from_hugging_face(name, source)


@lru_cache(maxsize=4)
def _of_open_clip(options: str) -> Any:
    """Return open_clip's own tokenizer for options as JSON: its 49,408 words are read once for all towers."""
    import open_clip

    return open_clip.SimpleTokenizer(**json.loads(options))


def _from_hugging_face(name: str, source: str) -> Any:
    import open_clip

    try:
        return open_clip.get_tokenizer(name, trust_remote_code=False)  # whatever a folder's configuration asks for
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(
            f"The tokenizer {source} of {name!r} cannot be made: {reason}. {_REMEDY} Or set `backbone` to a "
            f"network whose tokenizer ships with open_clip, such as ViT-B-16-quickgelu."
        ) from error


def _require_package(name: str, source: str) -> None:
    if importlib.util.find_spec(_PACKAGE) is None:
        raise UserError(
            f"The text tower of {name!r} reads the tokens of {source}, for which the package {_PACKAGE} is needed, and "
            f"it is not installed. {_REMEDY} Or set `backbone` to a network whose tokenizer ships with "
            f"open_clip ({EXAMPLES}), or train a method without text (baseline, "
            f"pcl, unsupervised_pcl)."
        )
