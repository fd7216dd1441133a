"""What one process sends to others as bytes: tensors, arrays, plain values and errors. Nothing of it is executed."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from reid_pipeline.schema.errors import UserError

_ARRAY, _USER, _ERROR = "<array>", "<user's error>", "<error>"


def packed(value: Any) -> bytes:
    """Return bytes; of what cannot be sent, those of an error, since the others would wait for ever."""
    written = io.BytesIO()
    try:
        torch.save(_plain(value), written)
    except TypeError as error:
        return packed(error)
    return written.getvalue()


def unpacked(content: bytes) -> Any:
    """Return what was packed: arrays as arrays, tuples as tuples, errors as a UserError or a RuntimeError."""
    return _whole(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {_ARRAY: torch.from_numpy(np.ascontiguousarray(value))}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Exception):
        return {_USER: str(value)} if isinstance(value, UserError) else {_ERROR: f"{type(value).__name__}: {value}"}
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        made = [_plain(each) for each in value]
        return made if isinstance(value, list) else tuple(made)
    if value is None or isinstance(value, bool | int | float | str | torch.Tensor):
        return value
    raise TypeError(f"{type(value).__name__} cannot be sent to other processes")


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        if _ARRAY in value:
            return value[_ARRAY].numpy()
        if _USER in value:
            return UserError(value[_USER])
        if _ERROR in value:
            return RuntimeError(value[_ERROR])
        return {key: _whole(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_whole, value))
    return value
