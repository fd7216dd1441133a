"""Where a study is stored."""

import os
import time

from reid_pipeline.io.base import ReadOnlyDataset, UnreadableFile, reading
from reid_pipeline.schema.parsing import ParsingError, parse_json
from reid_pipeline.schema.regular_files import read_regular

_ENTRY = {"op_code", "worker_id"}  # of Optuna's journal
_WRITTEN = 0.5  # seconds after which whoever writes an entry has written it


class StudyFileDataset(ReadOnlyDataset[str]):
    """The file that a study writes itself, trial by trial and from several processes; loading gives its path."""

    _refusal = "{path} is the study's own; {kind} was not written."

    def load(self) -> str:
        """Make the folder and return the path; a file that is no study is refused."""
        self._filepath.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(self._filepath):
            again = (
                "Its trials cannot be used. If the lines before are whole, remove that one and those after it, and the"
                " study goes on from there; or begin another one: --params study=<name>; or remove the file."
            )
            with reading(self._filepath, again):
                self._check(again)
        return str(self._filepath)

    def _check(self, again: str) -> None:
        """Refuse the first line that is no entry; one without an end may be in another process's hands."""
        lines = read_regular(self._filepath).splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            time.sleep(_WRITTEN)
            lines = read_regular(self._filepath).splitlines(keepends=True)
        for number, line in enumerate(lines, start=1):
            try:
                whole = line.endswith(b"\n") and parse_json(line).keys() >= _ENTRY
                fault = "" if whole else "it is no entry of a study"
            except AttributeError:
                fault = "it is no entry of a study"
            except ParsingError as error:
                fault = str(error)
            if fault:
                fault = f"{self._filepath} is damaged in line {number}: {fault}."
                raise UnreadableFile(self._filepath, fault, again)

    def _exists(self) -> bool:
        return True  # a study that has not begun is an empty one, so that there is always something to load
