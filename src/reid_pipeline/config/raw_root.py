"""The folder of images that `raw_root`, or an environment's catalog, names."""

from typing import Any

from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.layers import RAW_ROOT
from reid_pipeline.schema.user_paths import user_path

_RAW_DATASETS = "reid_pipeline.io.raw."


def raw_folder(text: str) -> str:
    """Return the folder that `raw_root` names, with the home folder for `~`; refuse what names none."""
    if not text.strip():
        raise UserError(
            f"Parameter {RAW_ROOT} is empty. Give the folder that holds the images, as in --params"
            f" {RAW_ROOT}=/where/they/lie; or leave it out, to read the folder or link in data/01_raw."
        )
    if "://" in text:
        raise UserError(
            f"Parameter {RAW_ROOT} is {text!r}, an address on the network. Images are read from a folder: copy them"
            " there, or mount it, and give the folder."
        )
    return str(user_path(text, f"Parameter {RAW_ROOT} is"))


def with_raw_folder(catalog: dict[str, Any]) -> dict[str, Any]:
    """Check the raw folder, which an environment's catalog may name itself, as the parameter is."""
    entry = catalog.get("raw_images")
    if not isinstance(entry, dict) or not str(entry.get("type")).startswith(_RAW_DATASETS) or "filepath" not in entry:
        return catalog
    given = entry["filepath"]
    if not isinstance(given, str):
        raise UserError(
            f"The filepath of raw_images in catalog.yml is {given!r}, of type {type(given).__name__}: it must be text."
            f' Put it in quotes, as in filepath: "{given}".'
        )
    path = raw_folder(given)
    # Kedro takes what is before a colon for a drive or the scheme of an address.
    return {**catalog, "raw_images": {**entry, "filepath": f"./{path}" if ":" in path and path[0] != "/" else path}}
