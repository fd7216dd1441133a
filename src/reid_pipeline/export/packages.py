"""The packages of the extra `export`, imported where they are used."""

import importlib.util
from collections.abc import Sequence
from importlib.metadata import version

from reid_pipeline.schema.errors import UserError

_OF_FORMAT = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "pt2": ()}


def require_formats(formats: Sequence[str]) -> None:
    """Refuse formats whose packages are not installed; one sentence says how they are."""
    wanted = [name for each in formats for name in _OF_FORMAT[each]]
    if missing := [name for name in wanted if importlib.util.find_spec(name) is None]:
        raise UserError(
            f"An ONNX file needs the package{'s' if len(missing) > 1 else ''} {', '.join(missing)}, which the extra"
            " export brings: pip install 'reid-pipeline[export]'."
        )


def versions(formats: Sequence[str]) -> dict[str, str]:
    """Return the versions of what makes and runs the files."""
    return {name: version(name) for name in ("torch", *(each for kind in formats for each in _OF_FORMAT[kind]))}
