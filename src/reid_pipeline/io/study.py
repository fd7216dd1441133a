"""Where a study is stored."""

import os
import time
from typing import Any

from reid_pipeline.io.base import ReadOnlyDataset, UnreadableFile, reading
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parsing import ParsingError, parse_json
from reid_pipeline.schema.regular_files import read_regular

_ENTRY = {"op_code", "worker_id"}  # of Optuna's journal
_WRITTEN = 0.5  # seconds after which whoever writes an entry has written it


class StudyFileDataset(ReadOnlyDataset[str]):
    """The file that a study writes itself, trial by trial and from several processes; loading gives its path.

    Args:
        filepath: where it lies among the results.
        shared: the file of a study that machines share, in the place of it.
        metadata: for kedro viz.
    """

    _refusal = "{path} is the study's own; {kind} was not written."

    def __init__(self, *, filepath: str, shared: str | None = None, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath=shared or filepath, metadata=metadata)
        self._shared = shared

    def load(self) -> str:
        """Make the folder and return the path; a file that is no study is refused, and a shared folder that is not."""
        if self._shared and not self._filepath.parent.is_dir():
            raise UserError(
                f"tuning.storage names {self._shared}, and there is no folder {self._filepath.parent} on this machine."
                " Make it, or mount the disk that the machines share."
            )
        self._filepath.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(self._filepath):
            again = "Its trials cannot be used. Begin another study, --params study=<name>, or move that one away."
            with reading(self._filepath, again):
                self._check()
        return str(self._filepath)

    def _check(self) -> None:
        """Refuse the first line that is no entry; one without an end may be in another process's hands."""
        lines = read_regular(self._filepath).splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            time.sleep(_WRITTEN)
            lines = read_regular(self._filepath).splitlines(keepends=True)
        for number, line in enumerate(lines, start=1):
            if fault := _fault(line):
                raise UnreadableFile(
                    self._filepath,
                    f"{self._filepath} is damaged in line {number}: {fault}.",
                    "Copy it, remove that line and those after it, and the study goes on from there; or begin another"
                    " one: --params study=<name>.",
                )

    def _exists(self) -> bool:
        return True  # a study that has not begun is an empty one, so that there is always something to load


def _fault(line: bytes) -> str:
    """Return why a line is no entry of a study; empty for one that is."""
    if not line.endswith(b"\n"):
        return "it has no end"
    try:
        entry = parse_json(line)
    except ParsingError as error:
        return str(error)
    return "" if isinstance(entry, dict) and entry.keys() >= _ENTRY else "it is no entry of a study"
