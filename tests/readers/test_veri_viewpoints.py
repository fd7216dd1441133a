"""VeRi-776 whose key-point files leave images out: what `ingestion.without_viewpoint` does, from folder to page."""

import re
from pathlib import Path

import pandas as pd
import pytest
from reader_checks import laid_out

from reid_pipeline.images.check import check_images
from reid_pipeline.pipelines.ingestion import make_dataset_page, make_split_table, read_manifest, summarise_collection
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import EvaluationParameters, IngestionParameters, SplitParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.summary import DatasetSummary
from reid_pipeline.splits import data_hash

EVALUATION = EvaluationParameters()
Made = tuple[pd.DataFrame, pd.DataFrame, DatasetSummary]


def folder_of(root: Path, files: dict[str, bytes]) -> RawFolder:
    return RawFolder(root, tuple(sorted(files)))


def ingest(root: Path, files: dict[str, bytes], without_viewpoint: str, sample: int | None = None) -> Made:
    """Return manifest, split table and summary of a folder, by the nodes of ingestion."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    ingestion = IngestionParameters(reader="veri776", without_viewpoint=without_viewpoint)
    manifest, reading = read_manifest(folder_of(root, files), None, ingestion, SplitParameters(), sample)
    facts = check_images(root, manifest["path"].tolist())
    tables = make_split_table(manifest, facts, reading, ingestion, SplitParameters(), EVALUATION)
    return manifest, tables[0], summarise_collection(reading, manifest, facts, *tables, ingestion, EVALUATION)


def without_lines(files: dict[str, bytes], split: str, names: list[str]) -> dict[str, bytes]:
    """Return a folder whose key-point file of a split does not mention some images."""
    path = f"VeRi/keypoint_{split}.txt"
    lines = files[path].decode().splitlines(keepends=True)
    left = [line for line in lines if line.split()[0].rsplit("/", 1)[-1] not in names]
    assert len(left) == len(lines) - len(names)
    return {**files, path: "".join(left).encode()}


@pytest.fixture(scope="module")
def whole() -> dict[str, bytes]:
    return laid_out("veri776", "vehicle")


@pytest.fixture(scope="module")
def dropped(whole: dict[str, bytes]) -> tuple[dict[str, bytes], list[str], list[str]]:
    """A folder without viewpoints of three training images, and of a query; and the names of these."""
    train = sorted(path.rsplit("/", 1)[-1] for path in whole if "/image_train/" in path)[::5][:3]
    query = sorted(path.rsplit("/", 1)[-1] for path in whole if "/image_query/" in path)[:1]
    return without_lines(without_lines(whole, "train", train), "test", query), train, query


def test_drop_leaves_them_out_and_says_so(
    dropped: tuple[dict[str, bytes], list[str], list[str]], tmp_path: Path
) -> None:
    files, train, query = dropped
    manifest, table, summary = ingest(tmp_path, files, "drop")
    # A query lies in image_test, too, under the same name; the key points are those of either.
    gone = {f"VeRi/image_train/{name}" for name in train} | {
        f"VeRi/{folder}/{name}" for folder in ("image_query", "image_test") for name in query
    }
    assert set(manifest["path"]) - set(table["path"]) == gone
    assert table["viewid"].notna().all()
    images = [path for path in files if path.endswith(".jpg")]
    assert len(manifest) == len(images), "the manifest is as published, and so are its counts"
    in_test = int(any("/image_test/" in path for path in gone & set(images)))
    assert summary.left_out.without_viewpoint == {"train": 3, "query": 1} | ({"gallery": 1} if in_test else {})
    assert summary.left_out.other.count == 0
    sentence = "Dropped for want of a viewpoint (ingestion.without_viewpoint: drop): 3 of train, 1 of"
    assert sentence in re.sub(r"\s+", " ", make_dataset_page(summary, table, folder_of(tmp_path, files)))


def test_keep_is_as_before(dropped: tuple[dict[str, bytes], list[str], list[str]], tmp_path: Path) -> None:
    files, train, query = dropped
    manifest, table, summary = ingest(tmp_path, files, "keep")
    assert table["path"].tolist() == manifest["path"].tolist()
    assert table["viewid"].isna().sum() >= len(train) + len(query)
    assert summary.left_out.without_viewpoint == {}
    assert "keypoint_train.txt does not mention 3 images; their viewid is null." in " ".join(summary.notes)
    assert "for want of a viewpoint" not in make_dataset_page(summary, table, folder_of(tmp_path, files))


def test_a_sample_drops_what_the_whole_drops(whole: dict[str, bytes], tmp_path: Path) -> None:
    """Half the training vehicles have viewpoints: the whole drops the others, and a sample takes none of these."""
    train = sorted(path.rsplit("/", 1)[-1] for path in whole if "/image_train/" in path)
    vehicles = sorted({name.split("_")[0] for name in train})
    others = [name for name in train if name.split("_")[0] in vehicles[2:]]
    files = without_lines(whole, "train", others)
    _, table, _ = ingest(tmp_path, files, "drop")
    for sample in (2, 1000):
        _, sampled, summary = ingest(tmp_path, files, "drop", sample)
        assert not set(sampled["path"]) - set(table["path"])
        assert set(sampled.loc[sampled["split"] == "train", "pid"]) == {int(name) for name in vehicles[:2]}
        assert f"{len(others)} images of the whole were dropped for want of a viewpoint" in " ".join(summary.notes)
    assert set(sampled["path"]) == set(table["path"])


@pytest.mark.parametrize("sample", [None, 2])
def test_one_viewpoint_and_nothing_left_names_the_cause(
    whole: dict[str, bytes], tmp_path: Path, sample: int | None
) -> None:
    train = sorted(path.rsplit("/", 1)[-1] for path in whole if "/image_train/" in path)
    words = rf"{len(train) - 1} images without a viewpoint were dropped.*ingestion\.without_viewpoint=keep"
    with pytest.raises(UserError, match=words):
        ingest(tmp_path, without_lines(whole, "train", train[1:]), "drop", sample)


@pytest.mark.parametrize("absent", [("train", "test"), ("test",), ()])
def test_a_split_without_key_point_file_loses_nothing(
    whole: dict[str, bytes], tmp_path: Path, absent: tuple[str, ...]
) -> None:
    files = {
        path: content for path, content in whole.items() if path not in {f"VeRi/keypoint_{each}.txt" for each in absent}
    }
    manifest, table, summary = ingest(tmp_path, files, "drop")
    assert table["path"].tolist() == manifest["path"].tolist()
    assert summary.left_out.without_viewpoint == {}
    kept = ingest(tmp_path, files, "keep")[1]
    assert data_hash(table) == data_hash(kept)
