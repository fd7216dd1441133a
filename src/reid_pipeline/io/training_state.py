"""The state from which a killed run goes on."""

import logging
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from reid_pipeline.io.atomic import replacing

_DIGEST, _STATE = "digest", "state"
_UNREADABLE = (
    AttributeError, EOFError, IndexError, KeyError, OSError, RuntimeError, TypeError, ValueError,
    pickle.UnpicklingError, zipfile.BadZipFile,
)  # fmt: skip
"""What torch.load says of bytes that are not what it wrote."""
_log = logging.getLogger(__name__)


class TrainingStateDataset(AbstractDataset[dict[str, Any], "dict[str, Any] | None"]):
    """The state from which a killed run goes on; a scratch file that a finished run removes.

    It is no DVC output, since DVC deletes outputs before it runs a stage again.

    Args:
        filepath: the `.pt` file. Loading a file that is not there gives None: nothing to resume.
    """

    # To `--only-missing-outputs` a training lacks nothing if what is kept of it is there.
    _EPHEMERAL = True

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> dict[str, Any] | None:
        """Return the stored state on the CPU, or None; one that is damaged, or of the first version, is none.

        Such a state is said by a warning, and overwritten after the first epoch.
        """
        if not self._filepath.is_file():
            return None
        state, fault = self._read()
        if fault:
            _log.warning("The state of a killed run in %s %s: training starts anew.", self._filepath, fault)
        return state

    def _read(self) -> tuple[dict[str, Any] | None, str]:
        """Return the state, or None and what is wrong with the file."""
        import torch

        try:
            stored: Any = torch.load(self._filepath, map_location="cpu", weights_only=True)
        except _UNREADABLE as error:
            return None, f"cannot be read ({type(error).__name__})"
        if not isinstance(stored, dict) or not {_DIGEST, _STATE} <= stored.keys():
            return None, "was written by an earlier version, which did not note the weights it started from"
        if stored[_DIGEST] != digest_of_state(stored[_STATE]):
            return None, "is damaged: its numbers are not those that were written"
        return stored[_STATE], ""

    def save(self, data: dict[str, Any]) -> None:
        """Write the state and its digest; tensors are copied as they are now."""
        import torch

        with replacing(self._filepath) as written:
            torch.save({_DIGEST: digest_of_state(data), _STATE: data}, written)

    def _release(self) -> None:
        """Keep the file: kedro releases datasets as soon as no node needs them."""

    def discard(self) -> None:
        """Remove the file, once the run that wrote it has finished."""
        self._filepath.unlink(missing_ok=True)

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


def digest_of_state(state: Any) -> str:
    """Return the SHA-256 of nested mappings and lists of tensors and plain values."""
    from reid_pipeline.engine.checkpoint import digest_of_tensors
    from reid_pipeline.schema.digests import digest_of_json

    tensors: dict[str, Any] = {}
    return digest_of_json([_without_tensors(state, "", tensors), digest_of_tensors(tensors)])


def _without_tensors(value: Any, name: str, tensors: dict[str, Any]) -> Any:
    """Return a value in which every tensor is its name, and put the tensors into `tensors`."""
    import torch

    if isinstance(value, torch.Tensor):
        tensors[name] = value
        return name
    if isinstance(value, Mapping):
        return [[str(key), _without_tensors(each, f"{name}/{key}", tensors)] for key, each in value.items()]
    if isinstance(value, list | tuple):
        return [_without_tensors(each, f"{name}/{place}", tensors) for place, each in enumerate(value)]
    return repr(value)
