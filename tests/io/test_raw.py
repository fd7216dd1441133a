"""Raw folders, and the drawn benchmark that fills its own."""

import json
import re

import pytest
from kedro.io import DatasetError

from reid_drawings import SyntheticBenchmark
from reid_pipeline.io.raw import RawFolderDataset, SyntheticBenchmarkDataset
from reid_pipeline.readers.market1501 import read
from reid_pipeline.readers.synthetic_vehicles import read as read_vehicles
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.user_errors import user_error_text

INGESTION = IngestionParameters(reader="market1501")


def message_of(call) -> str:
    """The words that the command line prints for a failing call."""
    with pytest.raises(DatasetError) as caught:
        call()
    message = user_error_text(caught.value)
    assert message is not None, "it is an error of the user"
    return message


class TestRawFolder:
    def test_files_are_listed_sorted_and_not_opened(self, tmp_path):
        for name in ("b/2.jpg", "a/deep/1.jpg", "z.txt", "a/0.jpg"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"no image")
        found = RawFolderDataset(filepath=str(tmp_path)).load()
        assert found.root == tmp_path
        assert found.files == ("a/0.jpg", "a/deep/1.jpg", "b/2.jpg", "z.txt")

    def test_a_link_to_a_folder_and_links_within(self, tmp_path):
        (tmp_path / "disk/query").mkdir(parents=True)
        (tmp_path / "disk/query/1.jpg").touch()
        (tmp_path / "raw").mkdir()
        (tmp_path / "raw/query").symlink_to(tmp_path / "disk/query")
        (tmp_path / "link").symlink_to(tmp_path / "raw")
        assert RawFolderDataset(filepath=str(tmp_path / "link")).load().files == ("query/1.jpg",)
        assert RawFolderDataset(filepath=str(tmp_path / "link")).exists()

    def test_missing(self, tmp_path):
        dataset = RawFolderDataset(filepath=str(tmp_path / "none"))
        assert not dataset.exists()
        says = rf"Raw folder {tmp_path}/none does not exist\. Link .*\(ln -s .*\), or pass --params raw_root="
        assert re.match(says, message_of(dataset.load))

    def test_a_dangling_link(self, tmp_path):
        (tmp_path / "link").symlink_to(tmp_path / "gone")
        says = rf"Raw folder {tmp_path}/link is a link to {tmp_path}/gone, which does not exist"
        assert re.match(says, message_of(RawFolderDataset(filepath=str(tmp_path / "link")).load))

    def test_a_file(self, tmp_path):
        (tmp_path / "Market.zip").touch()
        says = r"Raw folder .*Market\.zip is a file\. Unpack the archive"
        assert re.match(says, message_of(RawFolderDataset(filepath=str(tmp_path / "Market.zip")).load))

    def test_empty(self, tmp_path):
        says = r"Raw folder .* is empty\. Put or link the benchmark's files there"
        assert re.match(says, message_of(RawFolderDataset(filepath=str(tmp_path)).load))

    def test_empty_folders_within_are_the_readers_to_refuse(self, tmp_path):
        for name in ("query", "bounding_box_train", "bounding_box_test"):
            (tmp_path / name).mkdir()
        found = RawFolderDataset(filepath=str(tmp_path)).load()
        with pytest.raises(UserError, match="No images in bounding_box_test, bounding_box_train, query"):
            read(found, INGESTION)

    def test_the_check_before_a_run_says_the_same(self, tmp_path):
        with pytest.raises(UserError, match="does not exist"):
            RawFolderDataset(filepath=str(tmp_path / "none")).check()
        (tmp_path / "a.jpg").touch()
        RawFolderDataset(filepath=str(tmp_path)).check()

    def test_it_is_never_written(self, tmp_path):
        says = rf"Raw folder {tmp_path} is read only; list was not written"
        assert re.match(says, message_of(lambda: RawFolderDataset(filepath=str(tmp_path)).save([1])))
        assert not list(tmp_path.iterdir())


SMALL = {
    "train_identities": 2,
    "test_identities": 1,
    "cameras_per_identity": [2, 2],
    "images_per_camera": [2, 2],
    "distractors": 1,
    "junk": 1,
}


def dataset_at(folder, **drawing):
    return SyntheticBenchmarkDataset(filepath=str(folder), drawing={**SMALL, **drawing})


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestSyntheticBenchmark:
    def test_it_draws_once_and_then_reads(self, tmp_path):
        folder = tmp_path / "01_raw/synthetic"
        assert not dataset_at(folder).exists()
        found = dataset_at(folder).load()
        assert dataset_at(folder).exists()
        assert len(found.files) == len(read(found, INGESTION).manifest) == 3 * 2 * 2 + 2
        assert (folder / "drawn_from.json").is_file()
        assert "drawn_from.json" not in found.files
        listed = sorted(folder.rglob("*"))
        marked = folder / sorted(found.files)[0]
        marked.write_bytes(b"still mine")  # a second drawing would overwrite it
        assert dataset_at(folder).load() == found
        assert marked.read_bytes() == b"still mine"
        assert sorted(folder.rglob("*")) == listed
        assert [path.name for path in folder.parent.iterdir()] == ["synthetic"]

    def test_it_draws_into_an_empty_folder(self, tmp_path):
        assert len(dataset_at(tmp_path).load().files) == 14

    def test_what_it_was_drawn_from_stands_beside(self, tmp_path):
        dataset_at(tmp_path / "raw", seed=4).load()
        record = json.loads((tmp_path / "raw/drawn_from.json").read_text())
        assert record["seed"] == 4
        assert record["train_identities"] == 2
        assert record["camera_strength"] == SyntheticBenchmark().camera_strength, "defaults stand there too"

    def test_a_changed_parameter_draws_again(self, tmp_path):
        folder = tmp_path / "raw"
        dataset_at(folder).load()
        first = contents(folder)
        dataset_at(folder, seed=9).load()
        other = contents(folder)
        assert first.keys() - {"drawn_from.json"} != other.keys() - {"drawn_from.json"}
        dataset_at(folder).load()
        assert contents(folder) == first, "and back again gives the same bytes, and no leftovers"

    def test_null_is_the_default(self, tmp_path):
        folder = tmp_path / "raw"
        dataset_at(folder).load()
        before = (folder / "drawn_from.json").stat().st_ino
        dataset_at(folder, seed=None).load()
        assert (folder / "drawn_from.json").stat().st_ino == before

    def test_a_foreign_folder_is_not_touched(self, tmp_path):
        (tmp_path / "query").mkdir()
        (tmp_path / "query/holiday.jpg").write_bytes(b"mine")
        says = r"holds files that this project did not draw \(drawn_from\.json is missing\).*--env=market1501"
        assert re.search(says, message_of(dataset_at(tmp_path).load))
        with pytest.raises(UserError, match=says):
            dataset_at(tmp_path).check()
        assert contents(tmp_path) == {"query/holiday.jpg": b"mine"}

    def test_the_check_before_a_run_draws_nothing(self, tmp_path):
        dataset_at(tmp_path / "raw").check()
        assert not (tmp_path / "raw").exists()

    def test_a_failure_while_drawing_leaves_the_old_drawing(self, tmp_path, monkeypatch):
        folder = tmp_path / "raw"
        dataset_at(folder).load()
        before = contents(folder)

        def full(*_, **__):
            raise OSError("No space left on device")

        monkeypatch.setattr("pathlib.Path.write_bytes", full)
        with pytest.raises(DatasetError, match="No space left"):
            dataset_at(folder, seed=9).load()
        assert contents(folder) == before
        assert [path.name for path in tmp_path.iterdir()] == ["raw"]

    @pytest.mark.parametrize(
        ("drawing", "says"),
        [
            ({"sed": 1}, "synthetic: unknown parameter 'sed'. Did you mean 'seed'?"),
            ({"num_cameras": 1}, "synthetic.num_cameras: Input should be greater than or equal to 2; given 1."),
            ({"jpeg_quality": [90, 40]}, "synthetic.jpeg_quality: the range 90..40 is empty: write the lower"),
        ],
    )
    def test_a_wrong_parameter_is_told_before_anything_is_drawn(self, tmp_path, drawing, says):
        message = message_of(dataset_at(tmp_path / "raw", **drawing).load)
        assert message.startswith(f"Parameter {says}")
        with pytest.raises(UserError, match=re.escape(message)):
            dataset_at(tmp_path / "raw", **drawing).check()
        assert not (tmp_path / "raw").exists()

    def test_it_is_never_saved(self, tmp_path):
        assert "is read only" in message_of(lambda: dataset_at(tmp_path).save("x"))

    def test_vehicles(self, tmp_path):
        """Seen by their own reader; a people's parameter is none of theirs; the folder may change hands."""
        small = {name: SMALL[name] for name in SMALL if name not in ("distractors", "junk")}
        folder = tmp_path / "raw"
        dataset = SyntheticBenchmarkDataset(filepath=str(folder), drawing=small, kind="vehicles")
        found = dataset.load()
        assert dataset.exists()
        manifest = read_vehicles(found, INGESTION).manifest
        assert manifest["subset"].value_counts().to_dict() == {"train": 8, "gallery": 4, "query": 2}
        assert manifest["viewid"].between(0, 7).all()
        assert dataset.load() == found
        wrong = SyntheticBenchmarkDataset(filepath=str(folder), drawing={"junk": 1}, kind="vehicles")
        assert "synthetic: unknown parameter 'junk'" in message_of(wrong.load)
        assert len(dataset_at(folder).load().files) == 14, "people, drawn over vehicles"

    def test_vehicles_in_a_foreign_folder_are_read_as_the_real_ones(self, tmp_path):
        (tmp_path / "holiday.jpg").touch()
        dataset = SyntheticBenchmarkDataset(filepath=str(tmp_path), kind="vehicles")
        assert "--env=veri776 --params raw_root=<folder>" in message_of(dataset.load)

    def test_an_unknown_kind(self, tmp_path):
        with pytest.raises(UserError, match=r"kind: 'vehicle' cannot be drawn\. Did you mean 'vehicles'"):
            SyntheticBenchmarkDataset(filepath=str(tmp_path), kind="vehicle")
