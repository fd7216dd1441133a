"""Networks that open_clip does not list: folders and repositories of Hugging Face in the form that it saves them in.

Such a folder holds `open_clip_config.json`, with the configuration (`model_cfg`) and the pixels (`preprocess_cfg`), and
a file of weights beside it. A name means one where it is

- `hf-hub:<organisation>/<repository>`: from huggingface_hub's cache, or downloaded once;
- `local-dir:<folder>`, or the path of a folder.

Nothing of them is executed: both files are read as data.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from reid_pipeline.models.folder_configs import fault_of_config, fault_of_pixels
from reid_pipeline.models.open_clip_lists import ModelConfig, configs, file_names
from reid_pipeline.models.published_weights import Naming, published_file
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.user_paths import user_path

HUB, LOCAL = "hf-hub:", "local-dir:"
CONFIG = "open_clip_config.json"
_PARTS = ("embed_dim", "vision_cfg", "text_cfg")
# What Hugging Face allows: no ".." or "--", no name that begins or ends with "." or "-".
_REPOSITORY = re.compile(r"(?!.*(?:--|\.\.|\.git$))(?=.{1,96}$)\b[\w.-]+\b/\b[\w.-]+\b", re.ASCII)
_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")


class ModelFolder(NamedTuple):
    """What a folder says of its network, the weights apart."""

    config: ModelConfig
    preprocessing: Mapping[str, Any]  # `mean` and `std` of pixels in 0..1 among it; may be empty


def is_model_folder(name: str) -> bool:
    """Return whether a backbone's name means a folder or a repository, and not a network that open_clip lists."""
    if name.startswith((HUB, LOCAL)):
        return True
    return name not in configs() and (name.startswith(("/", ".", "~")) or Path(name).is_dir())


def read_model_folder(name: str) -> ModelFolder:
    """Read the configuration of a folder or repository.

    Raises:
        UserError: it is missing, cannot be downloaded, or is no configuration of open_clip.
    """
    path = _repository_file(name, CONFIG) if name.startswith(HUB) else _folder(name) / CONFIG
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            f"The folder {str(path.parent)!r} has no {CONFIG}, so it is no network that open_clip saved. Set "
            f"`backbone.name` to a folder with {CONFIG} and its weights, or to a name that open_clip lists."
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"The configuration {path} cannot be read: {error}. Get it again.") from error
    config = read.get("model_cfg", read) if isinstance(read, dict) else None
    missing = [part for part in _PARTS if not isinstance(config, dict) or part not in config]
    if missing or not isinstance(config, dict) or not all(isinstance(config[part], dict) for part in _PARTS[1:]):
        raise UserError(
            f"The configuration {path} is none of open_clip's: `model_cfg` lacks {first_few(missing or _PARTS)}. "
            f"Needed: {', '.join(_PARTS)}, the last two as blocks."
        )
    preprocessing = read.get("preprocess_cfg")
    preprocessing = {} if preprocessing is None else preprocessing
    if fault := fault_of_config(config) or fault_of_pixels(preprocessing):
        raise UserError(f"The configuration {path} cannot be used: {fault}. Correct it there, or get the file again.")
    trunk = str(config["vision_cfg"].get("timm_model_name") or "")
    if not re.fullmatch(r"[\w.]*", trunk):
        raise UserError(
            f"The configuration {path} names a network of timm that lies elsewhere ({trunk!r}). Allowed: a name that "
            f"timm lists. Correct `timm_model_name` in it."
        )
    return ModelFolder(config, preprocessing)


def folder_weights(name: str) -> Path:
    """Return the file of weights of a folder or repository; UserError where there is none, or more than one."""
    if name.startswith(HUB):
        return published_file(f"of {name!r}", {"hf_hub": f"{_repository(name)}/"})
    folder = _folder(name)
    found = sorted(each.name for each in folder.iterdir() if each.suffix in _SUFFIXES and each.is_file())
    usual = [each for each in file_names() if each in found]
    if usual or len(found) == 1:
        return folder / (usual or found)[0]
    which = f"several files of weights ({first_few(found)})" if found else "no file of weights"
    raise UserError(
        f"The folder {str(folder)!r} has {which}; {file_names()[0]} is the usual name. Set `backbone.pretrained` to "
        f"the path of the one that is meant."
    )


def _folder(name: str) -> Path:
    if name == LOCAL:
        raise UserError(f"Backbone {name!r} lacks the folder. Set `backbone.name` to {LOCAL}<folder>, or to its path.")
    folder = user_path(name.removeprefix(LOCAL), "The folder of a backbone is")
    if not folder.is_dir():
        raise UserError(
            f"Backbone {name!r} means a folder, and there is none. Set `backbone.name` to the path of a folder with "
            f"{CONFIG} and weights, to {HUB}<organisation>/<repository>, or to a name that open_clip lists."
        )
    return folder


def _repository(name: str) -> str:
    repository = name.removeprefix(HUB)
    if not _REPOSITORY.fullmatch(repository):
        raise UserError(
            f"Backbone {name!r} is not allowed. A repository of Hugging Face is named "
            f"{HUB}<organisation>/<repository>, for instance {HUB}timm/ViT-B-16-SigLIP."
        )
    return repository


def _repository_file(name: str, file: str) -> Path:
    use = "set `backbone.name` to a folder that holds it and the weights"
    naming = Naming(f"The configuration and weights of {name!r}", use)
    return published_file(naming, {"hf_hub": f"{_repository(name)}/{file}"})
