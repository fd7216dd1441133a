"""No reader ever meets half of a file or folder."""

# ruff: noqa: ARG002 - each test of TestDatasets takes the whole case

import os
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import torch
import yaml
from kedro.io import DatasetError, Version
from kedro_datasets.json import JSONDataset

from reid_pipeline.engine.checkpoint import Checkpoint
from reid_pipeline.io.atomic import (
    AtomicJSONDataset,
    AtomicParquetDataset,
    AtomicPlotlyDataset,
    AtomicSave,
    AtomicYAMLDataset,
)
from reid_pipeline.io.base import replacing
from reid_pipeline.io.embedded_images import EmbeddedImagesDataset
from reid_pipeline.io.page import HTMLPageDataset, TextDataset
from reid_pipeline.io.weights import (
    CheckpointDataset,
    EmbedderDataset,
    EmbeddingsDataset,
    TensorsDataset,
    TrainingStateDataset,
)
from reid_pipeline.models.reid_model import ReIDModel
from reid_pipeline.schema.embedded_images import EmbeddedImages
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.parameters import BackboneParameters
from reid_pipeline.schema.population import Population
from reid_pipeline.schema.records import StageDescription


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def interrupted(target: Path, error: type[BaseException], *, folder: bool = False) -> None:
    """Write half of `target`, then fail."""
    with replacing(target) as written:
        if folder:
            written.mkdir()
        (written / "half.txt" if folder else written).write_text("half")
        raise error


class TestFile:
    def test_it_is_written_and_nothing_else_stays(self, tmp_path):
        with replacing(tmp_path / "deep/er/a.txt") as written:
            written.write_text("new")
            assert not (tmp_path / "deep/er/a.txt").exists(), "not before it is complete"
        assert (tmp_path / "deep/er/a.txt").read_text() == "new"
        assert names(tmp_path / "deep/er") == ["a.txt"]

    def test_the_old_one_is_there_until_the_new_one_is(self, tmp_path):
        target = tmp_path / "a.txt"
        target.write_text("old")
        with replacing(target) as written:
            written.write_text("new")
            assert target.read_text() == "old"
        assert target.read_text() == "new"

    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
    def test_a_failure_leaves_the_old_one(self, tmp_path, error):
        target = tmp_path / "a.txt"
        target.write_text("old")
        with pytest.raises(error):
            interrupted(target, error)
        assert target.read_text() == "old"
        assert names(tmp_path) == ["a.txt"]

    def test_a_failure_leaves_nothing_where_nothing_was(self, tmp_path):
        with pytest.raises(RuntimeError):
            interrupted(tmp_path / "a.txt", RuntimeError)
        assert names(tmp_path) == []

    def test_nothing_written_is_an_error_and_the_old_one_stays(self, tmp_path):
        target = tmp_path / "a.txt"
        target.write_text("old")
        with pytest.raises(FileNotFoundError), replacing(target):
            pass
        assert target.read_text() == "old"
        assert names(tmp_path) == ["a.txt"]

    def test_its_mode_is_that_of_any_new_file(self, tmp_path):
        (tmp_path / "plain").write_text("x")
        with replacing(tmp_path / "a.txt") as written:
            written.write_text("x")
        modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "a.txt")]
        assert modes[0] == modes[1]

    def test_a_hard_link_to_the_old_one_keeps_its_content(self, tmp_path):
        """So that DVC's cache is never written into."""
        (tmp_path / "a.txt").write_text("old")
        os.link(tmp_path / "a.txt", tmp_path / "cache")
        with replacing(tmp_path / "a.txt") as written:
            written.write_text("new")
        assert (tmp_path / "cache").read_text() == "old"


class TestFolder:
    @pytest.fixture
    def target(self, tmp_path):
        (tmp_path / "raw/old").mkdir(parents=True)
        (tmp_path / "raw/old/a.txt").write_text("old")
        return tmp_path / "raw"

    def test_it_is_replaced_whole(self, target, tmp_path):
        with replacing(target) as written:
            (written / "new").mkdir(parents=True)
            (written / "new/b.txt").write_text("new")
            assert (target / "old/a.txt").exists()
        assert names(target) == ["new"]
        assert (target / "new/b.txt").read_text() == "new"
        assert names(tmp_path) == ["raw"]

    def test_a_failure_leaves_the_old_one(self, target, tmp_path):
        with pytest.raises(RuntimeError):
            interrupted(target, RuntimeError, folder=True)
        assert names(target) == ["old"]
        assert names(tmp_path) == ["raw"]

    def test_nothing_written_leaves_the_old_one(self, target, tmp_path):
        with pytest.raises(FileNotFoundError), replacing(target):
            pass
        assert (target / "old/a.txt").read_text() == "old"
        assert names(tmp_path) == ["raw"]


TABLE = pd.DataFrame({"path": ["a", "b"], "camid": pd.array([1, pd.NA], dtype="Int64")})
FIGURE = go.Figure(go.Scatter(x=[1, 2], y=[3, 4]))

# dataset class, file name, good data, data that it cannot write
CASES = [
    (AtomicJSONDataset, "a.json", {"mAP": 0.5, "history": [1, 2]}, {"a": 1, "b": {1, 2}}),
    (AtomicParquetDataset, "a.parquet", TABLE, pd.DataFrame({"a": [1, "two", object()]})),
    (AtomicPlotlyDataset, "a.json", FIGURE, "no figure"),
    (HTMLPageDataset, "a.html", "<p>Größe</p>", 3),
]


@pytest.mark.parametrize(("kind", "name", "good", "bad"), CASES)
class TestDatasets:
    def test_round_trip(self, tmp_path, kind, name, good, bad):
        dataset = kind(filepath=str(tmp_path / "new" / name))
        assert not dataset.exists()
        dataset.save(good)
        assert dataset.exists()
        assert names(tmp_path / "new") == [name]
        loaded = kind(filepath=str(tmp_path / "new" / name)).load()
        if isinstance(good, pd.DataFrame):
            pd.testing.assert_frame_equal(loaded, good)
        else:
            assert loaded == good

    def test_a_failed_save_leaves_the_old_file(self, tmp_path, kind, name, good, bad):
        dataset = kind(filepath=str(tmp_path / name))
        dataset.save(good)
        before = (tmp_path / name).read_bytes()
        with pytest.raises(DatasetError, match="Failed while saving"):
            dataset.save(bad)
        assert (tmp_path / name).read_bytes() == before
        assert names(tmp_path) == [name]
        dataset.save(good)  # the dataset still points at its file
        assert (tmp_path / name).read_bytes() == before

    def test_the_metadata_and_the_file_are_known_to_kedro(self, tmp_path, kind, name, good, bad):
        metadata = {"kedro-viz": {"layer": "reporting"}}
        dataset = kind(filepath=str(tmp_path / name), metadata=metadata)
        assert dataset.metadata == metadata
        assert name in str(dataset)


def test_a_tables_types_survive(tmp_path):
    dataset = AtomicParquetDataset(filepath=str(tmp_path / "a.parquet"))
    dataset.save(TABLE.astype({"path": str}))
    assert dataset.load()["camid"].dtype == "Int64"
    assert np.isnan(dataset.load()["camid"].astype("Float64").to_numpy(float, na_value=np.nan)[1])


def test_a_versioned_entry_keeps_what_it_had(tmp_path):
    target = tmp_path / "metrics.json"
    for number, version in enumerate(("2024-01-01T00.00.00.000Z", "2024-01-02T00.00.00.000Z")):
        AtomicJSONDataset(filepath=str(target), version=Version(None, version)).save({"number": number})
    assert names(target) == ["2024-01-01T00.00.00.000Z", "2024-01-02T00.00.00.000Z"]
    assert names(target / "2024-01-01T00.00.00.000Z") == ["metrics.json"]
    latest = AtomicJSONDataset(filepath=str(target), version=Version(None, None))
    assert latest.load() == {"number": 1}
    earlier = AtomicJSONDataset(filepath=str(target), version=Version("2024-01-01T00.00.00.000Z", None))
    assert earlier.load() == {"number": 0}


@pytest.mark.filterwarnings("ignore:Save version")
def test_runs_that_started_at_one_moment_keep_a_version_each(tmp_path):
    target, version = tmp_path / "metrics.json", "2024-12-31T23.59.59.999Z"
    for number in range(3):
        AtomicJSONDataset(filepath=str(target), version=Version(None, version)).save({"number": number})
    assert names(target) == [version, "2025-01-01T00.00.00.000Z", "2025-01-01T00.00.00.001Z"]
    assert AtomicJSONDataset(filepath=str(target), version=Version(None, None)).load() == {"number": 2}


def test_a_version_of_a_chosen_name_is_not_written_over(tmp_path):
    for number in range(2):
        dataset = AtomicJSONDataset(filepath=str(tmp_path / "metrics.json"), version=Version(None, "mine"))
        if number:
            with pytest.raises(DatasetError, match="must not exist"):
                dataset.save({"number": number})
        else:
            dataset.save({"number": number})


def test_a_version_that_failed_is_none(tmp_path):
    target = tmp_path / "metrics.json"
    dataset = AtomicJSONDataset(filepath=str(target), version=Version(None, "2024-01-01T00.00.00.000Z"))
    with pytest.raises(DatasetError):
        dataset.save({"cannot": object()})
    assert not dataset.exists()
    dataset.save({"can": 1})
    assert dataset.load() == {"can": 1}


NEVER_WRITE = {
    "AllPagesDataset",
    "AllResultsDataset",
    "EarlierEmbeddedDataset",
    "EarlierTableDataset",
    "EmbeddedPartsDataset",
    "GalleryDataset",
    "GalleryEmbedderDataset",
    "GivenImagesDataset",
    "GivenLabelsDataset",
    "ImageCacheDataset",
    "InitialModelDataset",
    "ListedImagesDataset",
    "NamedEmbedderDataset",
    "RawFolderDataset",
    "RunClustersDataset",
    "RunEnvironmentDataset",
    "RunResultsDataset",
    "StudyFileDataset",
    "TestSplitsDataset",
    "TestedCollectionDataset",
    "TrainedEmbeddersDataset",
    "WorkerFilesDataset",
}


def described() -> StageDescription:
    origin = Origin(made_by="toy.train_toy", code="1")
    return StageDescription(origin=origin, stage="toy", population=Population(identities=2), label_map=())


def embedded(path: str) -> EmbeddedImages:
    rows = pd.DataFrame({"path": [path], "identity": "", "camera": "", "time": "", "trackid": -1})
    return EmbeddedImages(rows, np.ones((1, 1), np.float32), Origin(made_by="embed", code="1"), "m", "/")


class TestEveryType:
    """All types of the catalogs: a link to the old file, as DVC's cache may be one, keeps the old content."""

    @pytest.fixture
    def samples(self):
        """By type, two things that it can write."""
        backbone = BackboneParameters(name="demo-vit", image_size=(32, 16))
        embedders = [ReIDModel.from_backbone(backbone, neck=neck).embedder() for neck in ("after", "before")]
        tensors = [{"a": torch.zeros(2)}, {"a": torch.ones(2)}]
        return {
            AtomicJSONDataset: [1, 2],
            AtomicParquetDataset: [TABLE, TABLE.iloc[:1]],
            AtomicPlotlyDataset: [FIGURE, go.Figure()],
            AtomicYAMLDataset: [{"a": 1}, {"a": 2}],
            CheckpointDataset: [Checkpoint(each, described()) for each in tensors],
            EmbeddedImagesDataset: [embedded(each) for each in "ab"],
            EmbedderDataset: embedders,
            EmbeddingsDataset: [Embeddings(np.arange(2), each["a"].numpy()[:, None]) for each in tensors],
            HTMLPageDataset: ["old", "new"],
            TensorsDataset: tensors,
            TextDataset: ["old", "new"],
            TrainingStateDataset: tensors,
        }

    def test_none_writes_into_the_old_file(self, tmp_path, samples):
        for kind, (old, new) in samples.items():
            file = tmp_path / kind.__name__
            dataset = kind(filepath=str(file))
            dataset.save(old)
            before = file.read_bytes()
            os.link(file, tmp_path / "cache")
            dataset.save(new)
            assert file.read_bytes() != before
            assert (tmp_path / "cache").read_bytes() == before, kind.__name__
            (tmp_path / "cache").unlink()

    def test_these_are_all_the_types_there_are(self, project, samples):
        catalogs = [yaml.safe_load(file.read_text()) for file in project.glob("conf/*/catalog.yml")]
        named = {
            entry["type"].rpartition(".")[2]
            for catalog in catalogs
            for entry in catalog.values()
            if isinstance(entry, dict)
        }
        drawn = {name for name in named if name.startswith("Synthetic")}  # a folder, swapped whole: test_raw.py
        # test_record_dataset.py; gallery/test_gallery_killed.py kills its writers; reporting/test_pages_together.py
        # a folder, swapped whole: e2e/test_export_pipeline.py
        elsewhere = {"RecordDataset", "ChangedGalleryDataset", "ExportsDataset", "IndexPageDataset"}
        assert named - drawn - elsewhere == {kind.__name__ for kind in samples} | NEVER_WRITE
        assert len(drawn) == 1


def test_a_class_that_cannot_parse_what_it_writes_cannot_be_made(tmp_path):
    class WithoutParsing(AtomicSave, JSONDataset):
        """JSON that nobody reads."""

    with pytest.raises(TypeError, match="_parsed"):
        WithoutParsing(filepath=str(tmp_path / "a.json"))


def test_what_a_table_notes_comes_back_and_is_copied_with_no_column(tmp_path: Path) -> None:
    dataset = AtomicParquetDataset(filepath=str(tmp_path / "a.parquet"))
    table = pd.DataFrame({"a": [1]})
    table.attrs = {"origin": {"version": 1, "parameters": {"ingestion": {"reader": "x"}}}, "white_value": 4095}
    dataset.save(table)
    loaded = dataset.load()
    assert loaded.attrs == table.attrs
    assert loaded["a"].attrs["origin"] is loaded.attrs["origin"]
    dataset.save(loaded)
    assert dataset.load().attrs == table.attrs
