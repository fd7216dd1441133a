"""Where a study is stored."""

from reid_pipeline.io.base import ReadOnlyDataset


class StudyFileDataset(ReadOnlyDataset[str]):
    """The file that a study writes itself, trial by trial and from several processes; loading gives its path."""

    _refusal = "{path} is the study's own; {kind} was not written."

    def load(self) -> str:
        """Make the folder and return the path."""
        self._filepath.parent.mkdir(parents=True, exist_ok=True)
        return str(self._filepath)

    def _exists(self) -> bool:
        return True  # a study that has not begun is an empty one, so that there is always something to load
