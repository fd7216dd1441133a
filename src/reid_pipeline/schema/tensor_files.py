"""Safetensors files of this project: tensors, a header that says what they are, and the digests of both."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reid_pipeline.schema.digests import digest_of_json
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.parsing import parse_json

ORIGIN = "origin"
_HEADER, _SHA256 = "header", "sha256"
_FIRST = {"embedder", "checkpoint"}  # the header's entry in files of the first version


class TensorFileError(ValueError):
    """A file cannot be used; the message goes on where the file's name ends: "is no safetensors file: ..."."""


def read_tensor_file(file: Path, framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return tensors, on the CPU, and the header of a file.

    Args:
        file: that is read.
        framework: whose arrays are made: "pt" or "np".

    Raises:
        TensorFileError: it is no safetensors file, or its header is not the one written.
        OSError: it is missing or cannot be opened.
    """
    from safetensors import SafetensorError, safe_open

    file.open("rb").close()  # safetensors takes a file without permission for a missing one
    try:
        with safe_open(file, framework=framework) as opened:
            metadata = dict(opened.metadata() or {})
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, TypeError) as error:  # a header that names unknown types
        raise TensorFileError(f"is no safetensors file: {error}.") from error
    return tensors, _header(metadata)


def origin_in(header: Mapping[str, Any], digest: str, file: Path) -> Origin | None:
    """Return the origin in the header of `file`, None where it has none.

    Raises:
        TensorFileError: its tensors, which have this `digest`, are not those that the origin is of.
    """
    if ORIGIN not in header:
        return None
    origin = Origin.model_validate(header[ORIGIN]).replace(file=str(file))
    if origin.digest not in (None, digest):
        raise TensorFileError(
            f"is damaged or was changed: its tensors are not those that {origin.made_by} wrote"
            f" (SHA-256 {digest[:12]} instead of {str(origin.digest)[:12]})."
        )
    return origin.replace(digest=digest)


def metadata_of(origin: Origin | None = None, **header: Any) -> dict[str, str]:
    """Return a header as one entry: the order of several entries is random in safetensors."""
    if origin is not None:
        header[ORIGIN] = origin.model_dump(mode="json")
    return {_HEADER: json.dumps({**header, _SHA256: digest_of_json(header)}, sort_keys=True)}


def _header(metadata: dict[str, str]) -> dict[str, Any]:
    """Return the entries of the header; the first version had one at most, and no digest of it."""
    if _HEADER not in metadata and metadata.keys() <= _FIRST:
        return {name: parse_json(text) for name, text in metadata.items()}
    try:
        header = dict(parse_json(metadata[_HEADER]))
        whole = header.pop(_SHA256) == digest_of_json(header)
    except (KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise TensorFileError("is damaged or was changed: its description is not the one written.")
    return header
