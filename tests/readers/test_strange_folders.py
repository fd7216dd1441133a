"""Folders with links, names and files that are not as they seem: what ingestion's first node makes of them."""

import os
from pathlib import Path

import pandas as pd
import pytest

from reid_pipeline.io.atomic import AtomicParquetDataset
from reid_pipeline.io.listing import list_files
from reid_pipeline.pipelines.ingestion import read_manifest
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.tables import MANIFEST

OWN = ("a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg")
MARKET = (
    "bounding_box_train/0002_c1s1_000451_03.jpg", "query/0001_c1s1_001051_00.jpg",
    "bounding_box_test/0001_c2s1_001051_00.jpg",
)  # fmt: skip


def ingested(root: Path, *paths: str, reader: str = "custom", **options) -> tuple[list[str], list[str]]:
    """Return paths and notes of the node, the table written and read back."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    manifest, reading = read_manifest(list_files(root), None, IngestionParameters(reader=reader, **options))
    MANIFEST.validate(manifest)
    stored = AtomicParquetDataset(filepath=str(root.parent / "stored/manifest.parquet"))
    stored.save(manifest)
    pd.testing.assert_frame_equal(stored.load(), manifest)
    return manifest["path"].tolist(), reading["notes"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


def test_links_upward_are_on_the_page_first(root):
    (root / "a").mkdir()
    (root / "a/all").symlink_to("..")
    paths, notes = ingested(root, *OWN)
    assert paths == [*OWN]
    assert notes[0] == "Links that lead back to a folder above them, and are not followed: a/all."
    assert notes[1].startswith("Read as folders")


@pytest.mark.parametrize("name", ["a/caf\udce9.jpg", "Jos\udce9/1.jpg", "\udcff\udcfe/\udce9.png"])
def test_an_image_whose_name_is_no_text_is_refused_by_it(root, name):
    shown = os.fsencode(name).decode(errors="backslashreplace")
    with pytest.raises(UserError) as caught:
        ingested(root, *OWN, name)
    text = str(caught.value)
    assert f"1 paths in {root} are no UTF-8 text, which tables need: {shown}. Rename" in text
    assert text.endswith(f"convmv -f latin1 -t utf8 -r --notest {root}")
    text.encode()


@pytest.mark.parametrize("beside", ["lis\udce9moi.txt", "photos \udce9t\udce9/x.jpg", "query/._caf\udce9"])
def test_what_is_not_read_may_have_any_name(root, beside):
    assert ingested(root, *MARKET, beside, reader="market1501")[0] == sorted(MARKET)


def test_it_is_named_among_what_was_not_read(root):
    assert r"lis\xe9moi.txt" in ingested(root, *OWN, "lis\udce9moi.txt")[1][-1]


def test_a_name_outside_the_grammar_is_shown_escaped(root):
    with pytest.raises(UserError, match=r"1 file names are not Market-1501's: query/caf\\xe9\.jpg\. A name is"):
        ingested(root, *MARKET, "query/caf\udce9.jpg", reader="market1501")


def test_a_table_that_means_such_a_file(root):
    (root / "manifest.csv").write_text("path,pid\na/1.jpg,1\na/café.jpg,1\n")
    with pytest.raises(UserError, match=r"not below .*'a/café\.jpg' \(line 3\)\. Did you mean 'a/caf\\\\xe9\.jpg'\?"):
        ingested(root, "a/1.jpg", "a/caf\udce9.jpg")


@pytest.mark.parametrize(
    "name",
    ["<b>&amp;", "new\nline", "\x1b[31m", "\u202eback", "😀", "q\"'q", "b\\n", "ü" * 127, "%s{x}", "[red]x", "Ä "],
)
def test_an_individual_may_have_any_name_that_is_text(root, name):
    paths, _ = ingested(root, *OWN, f"{name}/1.jpg")
    assert f"{name}/1.jpg" in paths


@pytest.mark.parametrize("table", ["manifest.csv", "metadata.parquet"])
def test_a_table_that_is_no_file(root, table):
    os.mkfifo(root / table)
    with pytest.raises(UserError, match=rf"raw/{table} cannot be read: it is a FIFO .named pipe., not a regular file"):
        ingested(root, *OWN)


def test_a_table_that_never_ends(root):
    (root / "zero.csv").symlink_to("/dev/zero")
    with pytest.raises(UserError, match=r"zero\.csv cannot be read: it is a device, not a regular file\. Put the file"):
        ingested(root, *OWN, table="zero.csv")


def test_an_individual_behind_a_link_that_leads_nowhere(root):
    (root / "lynx").symlink_to("/mnt/not_mounted/lynx")
    with pytest.raises(UserError, match=r"1 files below .* are no images: lynx\."):
        ingested(root, *OWN)


def test_an_image_behind_a_link_that_leads_nowhere_goes_to_whoever_opens_it(root):
    (root / "a").mkdir()
    (root / "a/3.jpg").symlink_to("/gone/3.jpg")
    (root / "a/4.jpg").symlink_to("4.jpg")
    paths, notes = ingested(root, *OWN)
    assert {"a/3.jpg", "a/4.jpg"} < set(paths)
    assert notes[0] == "Links that lead nowhere: a/3.jpg, a/4.jpg."
