"""What all environments have left on disk: trained embedders, test splits with their images, results."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset

from reid_pipeline.io.atomic import EarlierTableDataset
from reid_pipeline.io.results import RunResultsDataset
from reid_pipeline.io.weights import EmbedderDataset
from reid_pipeline.schema.addresses import parse_folder
from reid_pipeline.schema.columns import PATH
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.records import Run

if TYPE_CHECKING:
    from reid_pipeline.evaluation.cross_benchmark import TestSplit, TrainedEmbedder
    from reid_pipeline.splits import SplitTables

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
        from reid_pipeline.evaluation.cross_benchmark import TrainedEmbedder

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
        intermediate: name of the folder beside it with what ingestion noted of the files.
    """

    def __init__(self, *, filepath: str, raw: str, intermediate: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self._raw = self._folder.with_name(raw)
        self._intermediate = intermediate

    def load(self) -> "list[TestSplit]":
        """List the test splits by benchmark; those without images are left out.

        Raises:
            UserError: none is left, or a table is not as it should be.
        """
        from reid_pipeline.evaluation.cross_benchmark import TestSplit

        found = []
        for file in sorted(self._folder.glob("*/split_table.parquet")):
            tables, name = _tables_at(file), file.parent.name
            raw = RawFolder(self._raw / name, ())
            if all((raw.root / path).is_file() for path in tables.split_table[PATH].iloc[[0, -1]]):
                stamps = self._folder.with_name(self._intermediate) / name / "scratch/image_stamps.parquet"
                known = EarlierTableDataset(filepath=str(stamps)).load()
                found.append(TestSplit(name, tables, raw, known))
        if not found:
            raise UserError(
                f"There is no split table in {self._folder} with its images in {self._raw}. Run ingestion"
                " first: kedro run --pipeline=ingestion --env=<benchmark>"
            )
        return found


def _tables_at(file: Path) -> "SplitTables":
    """Return a benchmark's split table and the galleries beside it.

    Raises:
        UserError: one of them is not there, or is not as it should be; an earlier version may have made it.
    """
    import pandas as pd
    from pandera.errors import SchemaError

    from reid_pipeline.schema.tables import GALLERIES, SPLIT_TABLE
    from reid_pipeline.splits import SplitTables

    try:
        return SplitTables(
            SPLIT_TABLE.validate(pd.read_parquet(file)),
            GALLERIES.validate(pd.read_parquet(file.with_name("galleries.parquet"))),
        )
    except (OSError, ValueError, SchemaError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{file} and the galleries beside it cannot be used: {reason}. An earlier version of this project"
            f" may have made them. Run ingestion again for {file.parent.name}, or remove {file.parent}."
        ) from error


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
