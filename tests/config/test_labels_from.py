"""`labels_from` in the layers: folders of its own by the file's content, the same images, cards, refusals."""

import json
from pathlib import Path
from typing import Any

import pytest

from reid_pipeline.config.loader import LayeredConfigLoader
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.given_labels import collection_and_labels, images_of
from reid_pipeline.settings import CONFIG_LOADER_ARGS

CONF = Path(__file__).parents[2] / "conf"


def load(environment: str = "custom", **given: Any) -> LayeredConfigLoader:
    return LayeredConfigLoader(str(CONF), environment, given, **CONFIG_LOADER_ARGS)


@pytest.fixture
def file(tmp_path: Path) -> str:
    made = tmp_path / "clusters.csv"
    made.write_text("path,cluster\na.jpg,0\n")
    return str(made)


def test_all_but_the_images_lies_in_folders_of_its_own(file: str) -> None:
    """`printf 'path,cluster\\na.jpg,0\\n' | sha256sum` begins with the digits of the name."""
    loaded = load(collection="zoo", labels_from=file)
    catalog, name = loaded["catalog"], loaded["globals"]["benchmark"]
    assert catalog["raw_images"]["filepath"] == "data/01_raw/zoo"
    assert collection_and_labels(name) == ("zoo", "clusters-" + name[-8:])
    for entry in ("split_table", "manifest", "image_stamps", "{method}.embedder", "{method}.metrics", "image_cache"):
        assert f"/{name}/" in catalog[entry]["filepath"], entry
    assert catalog["given_labels"]["filepath"] == file
    cell = loaded["parameters"]["cells"]["baseline"]
    assert (cell["benchmark"], cell["variant"], cell["differs"]) == (name, "", {})


def test_another_content_is_another_collection(file: str) -> None:
    before = load(labels_from=file)["globals"]["benchmark"]
    Path(file).write_text("path,cluster\na.jpg,1\n")
    after = load(labels_from=file)["globals"]["benchmark"]
    assert before != after
    assert {images_of(before), images_of(after)} == {"custom"}
    sample = load(labels_from=file, sample=5)
    assert sample["globals"] == {"benchmark": f"{after}+sample=5", "seed": 0, "whole": "custom"}
    assert images_of(f"{after}+sample=5") == "custom"
    assert images_of("msmt17+sample=5") == "msmt17"


def test_without_it_nothing_is_named_or_read() -> None:
    loaded = load()
    assert loaded["globals"] == {"benchmark": "custom", "seed": 0}
    assert loaded["catalog"]["given_labels"]["filepath"] is None


def test_a_run_card_needs_the_file_too(file: str, tmp_path: Path) -> None:
    name = load(collection="zoo", labels_from=file)["globals"]["benchmark"]
    card = tmp_path / "run_card.json"
    card.write_text(json.dumps({"method": "pcl", "parameters": {"benchmark": name, "seed": 0, "pcl": {"margin": 1}}}))
    assert load(overlay=str(card), labels_from=file)["globals"]["benchmark"] == name
    with pytest.raises(UserError, match=r"give that one, too, --params labels_from=<clusters\.csv>"):
        load(overlay=str(card))
    Path(file).write_text("path,cluster\na.jpg,2\n")
    with pytest.raises(UserError, match="take another card"):
        load(overlay=str(card), labels_from=file)


def test_what_cannot_be_the_file_is_refused(file: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"labels_from is .*no such file\. Did you mean 'clusters.csv'\? Give the"):
        load(labels_from=str(tmp_path / "cluster.csv"))
    with pytest.raises(UserError, match="which is a folder"):
        load(labels_from=str(tmp_path))
    with pytest.raises(UserError, match="it must be text"):
        load(labels_from=7)
    with pytest.raises(UserError, match="whose folders are those of the labels given to zoo: labels_from=<file>"):
        load(collection="zoo+labels=clusters-0123abcd")
