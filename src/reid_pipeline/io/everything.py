"""What all environments have left on disk: trained embedders, test splits with their images, results."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset

from reid_pipeline.io.results import RunResultsDataset
from reid_pipeline.io.weights import EmbedderDataset
from reid_pipeline.schema.addresses import parse_folder
from reid_pipeline.schema.columns import PATH
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.records import Run

if TYPE_CHECKING:
    from reid_pipeline.engine.cross_benchmark import TestSplit, TrainedEmbedder

_SEED = re.compile(r"seed_(0|[1-9][0-9]*)")


class _ReadOnly(AbstractDataset[Any, Any]):
    """A folder that other pipelines fill."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = Path(filepath)
        self.metadata = metadata

    def save(self, data: Any) -> None:
        """Refuse: other pipelines write there."""
        raise UserError(f"{self._folder} is read only here; {type(data).__name__} was not written.")

    def _exists(self) -> bool:
        return self._folder.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}


class TrainedEmbeddersDataset(_ReadOnly):
    """Every `<benchmark>/<method>[+<variant>]/seed_<n>/embedder.safetensors`; loaded when asked for.

    Args:
        filepath: the folder of models of all benchmarks.
    """

    def load(self) -> "list[TrainedEmbedder]":
        """List the embedders by benchmark, method, variant and seed.

        Raises:
            UserError: there is none.
        """
        from reid_pipeline.engine.cross_benchmark import TrainedEmbedder

        found = []
        for file in self._folder.glob("*/*/seed_*/embedder.safetensors"):
            if match := _SEED.fullmatch(file.parent.name):
                folder = file.parent.parent
                method, variant = parse_folder(folder.name)
                load = EmbedderDataset(filepath=str(file)).load
                found.append(TrainedEmbedder(folder.parent.name, method, int(match[1]), load, variant))
        if not found:
            raise UserError(
                f"There is no embedder in {self._folder}: nothing to evaluate. Run a method first: kedro run"
                " --pipeline=zero_shot"
            )
        return sorted(found, key=lambda each: (each.benchmark, each.method, each.variant, each.seed))


class TestSplitsDataset(_ReadOnly):
    """Every `<benchmark>/split_table.parquet` whose images are there.

    Args:
        filepath: the folder of tables of all benchmarks.
        raw: name of the folder beside it with the raw images of all benchmarks.
    """

    def __init__(self, *, filepath: str, raw: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self._raw = self._folder.with_name(raw)

    def load(self) -> "list[TestSplit]":
        """List the test splits by benchmark; those without images are left out.

        Raises:
            UserError: none is left; pandera's errors for a table that is not as it should be.
        """
        import pandas as pd

        from reid_pipeline.engine.cross_benchmark import TestSplit
        from reid_pipeline.schema.tables import GALLERIES, SPLIT_TABLE
        from reid_pipeline.splits import SplitTables

        found = []
        for file in sorted(self._folder.glob("*/split_table.parquet")):
            table = SPLIT_TABLE.validate(pd.read_parquet(file))
            galleries = GALLERIES.validate(pd.read_parquet(file.with_name("galleries.parquet")))
            raw = RawFolder(self._raw / file.parent.name, ())
            if all((raw.root / path).is_file() for path in table[PATH].iloc[[0, -1]]):
                found.append(TestSplit(file.parent.name, SplitTables(table, galleries), raw))
        if not found:
            raise UserError(
                f"There is no split table in {self._folder} with its images in {self._raw}. Run ingestion"
                " first: kedro run --pipeline=ingestion --env=<benchmark>"
            )
        return found


class AllResultsDataset(_ReadOnly):
    """Every finished run, `<benchmark>/<method>[+<variant>]/seed_<n>/`, as `RunResultsDataset` reads them.

    Args:
        filepath: the folder of results of all benchmarks.
    """

    def load(self) -> dict[str, list[Run]]:
        """Return the runs of each benchmark that has any, by name.

        Raises:
            UserError: there is no finished run, or one that is not whole.
        """
        folders = sorted(folder for folder in self._folder.glob("*") if folder.is_dir())
        of_benchmark = {folder.name: RunResultsDataset(filepath=str(folder)) for folder in folders}
        found = {name: results.load() for name, results in of_benchmark.items() if results.exists()}
        if not found:
            raise UserError(
                f"There are no results in {self._folder}: nothing to compare. Run a method first: kedro run"
                " --pipeline=zero_shot"
            )
        return found
