"""A run on a gallery that cannot succeed is refused before any work, in one sentence that says what would be right."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, DatasetError

from reid_pipeline.gallery import Gallery
from reid_pipeline.gallery.operations import Merge, Rename, RenewedPromise
from reid_pipeline.hooks.gallery_checks import check_gallery
from reid_pipeline.io.gallery import (
    ChangedGalleryDataset,
    GalleryDataset,
    GalleryEmbedderDataset,
    GivenImagesDataset,
    RunClustersDataset,
)
from reid_pipeline.pipelines.gallery import create_pipelines, next_of_gallery
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.gallery_parameters import GalleryParameters
from reid_pipeline.schema.origin import Origin

PIPELINES = create_pipelines()
MODEL = "a" * 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of galleries with one, `zoo`, of Ada and Bo, whose model's file is there."""
    place = tmp_path_factory.mktemp("galleries")
    (place / "model.safetensors").touch()
    origin = Origin(made_by="embed", code="", parameters={"model": str(place / "model.safetensors")})
    gallery = Gallery.create(place / "zoo", model=MODEL, width=2, origin=origin)
    entries = pd.DataFrame({"path": ["1", "2"], "identity": ["Ada", "Bo"]})
    gallery.enrol(np.eye(2, dtype=np.float32), entries, model=MODEL)
    return place


def check(folder: Path, pipeline: str, gallery: str = "zoo", **given: Any) -> None:
    """Check a run of a pipeline as the preflight does."""
    blocks = GalleryParameters.model_validate(
        {key: each for key, each in given.items() if key not in {"images", "model"}}
    )
    catalog = DataCatalog(
        {
            "gallery": GalleryDataset(filepath=str(folder / gallery)),
            "gallery_embedder": GalleryEmbedderDataset(filepath=str(folder / gallery), model=given.get("model")),
            "run_clusters": RunClustersDataset(filepath=str(folder / "cells"), clusters_of=given.get("clusters_of")),
        }
    )
    catalog["parameters"] = {"gallery": gallery, **blocks.model_dump(exclude={"gallery"}), **given}
    check_gallery(PIPELINES[pipeline], catalog)


@pytest.mark.parametrize(
    ("pipeline", "given", "says"),
    [
        ("search", {"gallery": "no_gallery", "images": "x"}, "Which gallery? Give --params gallery=<name>. There"),
        ("search", {"gallery": "zo", "images": "x"}, "no gallery 'zo' in {folder}. Did you mean 'zoo'?"),
        ("enrol", {"gallery": "no_gallery"}, "Which gallery?"),
        ("enrol", {}, "images, clusters_of: kedro run --pipeline=enrol --params gallery=zoo, and images="),
        ("enrol", {"gallery": "new", "images": "x"}, "Which model? A new gallery takes the one of its first images"),
        ("enrol", {"images": "x", "clusters_of": "gate/pcl/seed_0"}, "there is no {folder}/cells/gate/pcl/seed_0/"),
        ("search", {}, "search needs one of images, text"),
        ("search", {"images": "x", "text": "y"}, "Give one of them: pictures to ask by, or words."),
        ("identify", {}, "kedro run --pipeline=identify --params gallery=zoo,images=<folder"),
        ("identify", {"images": "x"}, "Gallery zoo promises nothing yet: how often may somebody new"),
        ("merge", {"into": "Ada"}, "merge needs identity. Give them: kedro run --pipeline=merge --params"),
        ("rename", {}, "rename needs identity and to."),
        ("forget", {}, "forget needs one of identity, camera, before"),
        ("calibrate", {}, "Give calibrate.false_alarm, a share"),
        ("reembed", {}, "reembed needs model."),
    ],
)  # fmt: skip
def test_it_is_refused(folder: Path, pipeline: str, given: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=re.escape(says.format(folder=folder))):
        check(folder, pipeline, **given)


def test_what_can_succeed_is_not_refused(folder: Path) -> None:
    check(folder, "enrol", images="x")
    check(folder, "enrol", gallery="new", images="x", model="y")
    check(folder, "search", text="red")
    check(folder, "calibrate", calibrate={"false_alarm": 0.1})
    check(folder, "forget", before="2026-01-01")
    check(folder, "undo")


def test_a_gallery_whose_model_is_gone_says_where_it_was(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "moved")
    try:
        with pytest.raises(UserError, match=r"The model of gallery zoo lay in .*model\.safetensors, and is not there"):
            check(folder, "search", images="x")
    finally:
        (folder / "moved").rename(folder / "model.safetensors")


def test_only_a_change_that_is_saved_changes_the_gallery(folder: Path) -> None:
    """A refused operation leaves the gallery as it was; one that is saved is there for the next reader."""
    reader, changed = GalleryDataset(filepath=str(folder / "zoo")), ChangedGalleryDataset(filepath=str(folder / "zoo"))
    operation = Rename("Bo", "Bob")
    assert reader.load().identities()["identity"].tolist() == ["Ada", "Bo"]
    changed.save(operation)
    assert changed.load().done == ("Bo is called Bob now, and counts as confirmed.",)
    assert reader.load().identities()["identity"].tolist() == ["Ada", "Bob"]
    with pytest.raises(DatasetError, match="has no identity 'Boo'"):
        changed.save(Merge("Ada", ("Boo",)))
    assert reader.load().identities()["identity"].tolist() == ["Ada", "Bob"]
    changed.save(RenewedPromise())
    assert changed.load().done == (), "it promises nothing, and so there is nothing to renew"
    changed.save(Rename("Bob", "Bo"))
    with pytest.raises(DatasetError, match="a change is saved as changed_gallery"):
        reader.save(operation)


def test_an_absent_gallery_and_no_images_are_nothing(folder: Path) -> None:
    assert GalleryDataset(filepath=str(folder / "none")).load() is None
    assert GivenImagesDataset().load() is None
    assert RunClustersDataset(filepath=str(folder)).load() is None


def test_clusters_are_read_as_a_spreadsheet_saves_them(folder: Path) -> None:
    (folder / "clusters.csv").write_bytes("path;cluster;name\r\na.png;0;Zoë\r\nb.png;-1;\r\n".encode("utf-8-sig"))
    table = RunClustersDataset(filepath=str(folder / "data/08_reporting"), clusters_of="clusters.csv").load()
    assert table.to_dict("list") == {"path": ["a.png", "b.png"], "cluster": ["0", "-1"], "name": ["Zoë", ""]}
    (folder / "other.csv").write_text("file,cluster\na.png,0\n")
    with pytest.raises(Exception, match=r"other\.csv has no column path"):
        RunClustersDataset(filepath=str(folder / "data/08_reporting"), clusters_of="other.csv").load()


def test_what_comes_next_can_be_typed() -> None:
    given = {"gallery": "my zoo", "images": "x"}
    assert next_of_gallery("enrol", given).endswith("--params 'gallery=my zoo,calibrate.false_alarm=0.1'")
    assert next_of_gallery("forget", given) == ""
