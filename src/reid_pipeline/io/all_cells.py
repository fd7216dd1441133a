"""What all environments have written: trained embedders, test splits with their images, results."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reid_pipeline.io.atomic import EarlierTableDataset, read_table
from reid_pipeline.io.base import ReadOnlyDataset
from reid_pipeline.io.listing import is_there, subfolders
from reid_pipeline.io.results import RunResultsDataset, cell_of
from reid_pipeline.io.weights import EmbedderDataset
from reid_pipeline.schema.addresses import Cell
from reid_pipeline.schema.columns import PATH
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.layers import IMPORT, IMPORTED
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.records import Run
from reid_pipeline.schema.sample import whole_and_identities

if TYPE_CHECKING:
    from reid_pipeline.evaluation.cross_benchmark import TestSplit, TrainedEmbedder
    from reid_pipeline.splits import SplitTables


_log = logging.getLogger(__name__)


class TrainedEmbeddersDataset(ReadOnlyDataset["list[TrainedEmbedder]"]):
    """Every `<benchmark>/<method>[+<variant>]/seed_<n>/embedder.safetensors` in a folder of models; loaded lazily."""

    def load(self) -> "list[TrainedEmbedder]":
        """List the embedders by benchmark, method, variant and seed; a folder without any is refused."""
        from reid_pipeline.evaluation.cross_benchmark import TrainedEmbedder

        found = []
        methods = [method for benchmark in _of_wholes(self._filepath) for method in subfolders(benchmark)]
        for file in (folder / "embedder.safetensors" for method in methods for folder in subfolders(method)):
            if (cell := cell_of(file.parent)) and is_there(file):
                load = EmbedderDataset(filepath=str(file), again=_again(cell)).load
                found.append(TrainedEmbedder(cell.benchmark, cell.method, cell.seed, load, cell.variant))
        if not found:
            raise UserError(
                f"There is no embedder in {self._filepath}: nothing to evaluate. Run a method first: kedro run"
                " --pipeline=zero_shot"
            )
        return sorted(found, key=lambda each: (each.benchmark, each.method, each.variant, each.seed))


def _of_wholes(folder: Path) -> list[Path]:
    """Return the folders of benchmarks below `folder`, without those of samples: they are nothing to compare with."""
    found = {each: whole_and_identities(each.name)[1] for each in subfolders(folder)}
    if samples := [each.name for each, identities in found.items() if identities]:
        _log.info("Left out of %s, since they are samples: %s", folder, first_few(samples))
    return [each for each, identities in found.items() if not identities]


def _again(cell: Cell) -> str:
    pipeline = IMPORT if cell.variant.startswith(IMPORTED) else cell.method
    return (
        f"Make it anew: kedro run --pipeline={pipeline} --params=seed={cell.seed}, with --env, collection and"
        " other parameters as that run had them; or remove it."
    )


class TestSplitsDataset(ReadOnlyDataset["list[TestSplit]"]):
    """Every `<benchmark>/split_table.parquet` whose images exist.

    `raw` and `intermediate` name the folders beside it with the images and with what ingestion recorded of them.
    """

    def __init__(self, *, filepath: str, raw: str, intermediate: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self._raw = self._filepath.with_name(raw)
        self._intermediate = self._filepath.with_name(intermediate)

    def load(self) -> "list[TestSplit]":
        """List the test splits by benchmark, without those whose images are missing; none at all is refused."""
        found = []
        for file in (folder / "split_table.parquet" for folder in _of_wholes(self._filepath)):
            name = file.parent.name
            raw = RawFolder(self._raw / name, ())
            if is_there(file) and (split := test_split_of(file, raw, self._intermediate / name)):
                found.append(split)
        if not found:
            raise UserError(
                f"There is no split table in {self._filepath} with its images in {self._raw}. Run ingestion"
                " first: kedro run --pipeline=ingestion --env=<benchmark>"
            )
        return found


def test_split_of(file: Path, raw: RawFolder, intermediate: Path) -> "TestSplit | None":
    """Return the test split of the collection whose split table is `file`; None where its images are missing.

    `intermediate` is the folder of what ingestion recorded of the collection. A UserError where tables are damaged.
    """
    from reid_pipeline.evaluation.cross_benchmark import TestSplit

    tables = _tables_at(file)
    if not all(is_there(raw.root / path) for path in tables.split_table[PATH].iloc[[0, -1]]):
        return None
    stamps = EarlierTableDataset(filepath=str(intermediate / "scratch/image_stamps.parquet"), schema="IMAGE_STAMPS")
    return TestSplit(file.parent.name, tables, raw, stamps.load())


test_split_of.__dict__["__test__"] = False  # no test, for pytest


def _tables_at(file: Path) -> "SplitTables":
    """Return a benchmark's split table and the galleries beside it, or refuse files that cannot be used."""
    from reid_pipeline.splits import SplitTables

    again = (
        "An earlier version of this project may have made it. Make it anew: kedro run --pipeline=ingestion"
        f" --env={file.parent.name} (a collection of yours: --env=custom --params=collection={file.parent.name});"
        f" or remove {file.parent}."
    )
    galleries = file.with_name("galleries.parquet")
    return SplitTables(read_table(file, "SPLIT_TABLE", again), read_table(galleries, "GALLERIES", again))


class AllResultsDataset(ReadOnlyDataset[dict[str, list[Run]]]):
    """Every finished run in a folder of results of all benchmarks, as `RunResultsDataset` reads them."""

    def load(self) -> dict[str, list[Run]]:
        """Return the runs of each benchmark that has any, by name; none at all is refused."""
        of_benchmark = {folder.name: RunResultsDataset(filepath=str(folder)) for folder in subfolders(self._filepath)}
        found = {name: results.load() for name, results in of_benchmark.items() if results.exists()}
        if not found:
            raise UserError(
                f"There are no results in {self._filepath}: nothing to compare. Run a method first: kedro run"
                " --pipeline=zero_shot"
            )
        return found
