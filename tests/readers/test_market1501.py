"""The Market-1501 reader, and with it the layout that several benchmarks share."""

import random
import re

import pandas as pd
import pytest

from reid_pipeline.readers import reader, reader_names
from reid_pipeline.readers.market1501 import read
from reid_pipeline.schema.errors import UserError, printable
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.tables import MANIFEST

INGESTION = IngestionParameters(reader="market1501")
FILES = [
    "bounding_box_train/0002_c1s1_000451_03.jpg",
    "bounding_box_train/1500_c6s3_097267_01.jpg",
    "query/0001_c2s1_001051_00.jpg",
    "bounding_box_test/0001_c5s1_002301_04.jpg",
    "bounding_box_test/-1_c3s2_000401_03.jpg",
    "bounding_box_test/0000_c4s1_000876_05.jpg",
]


def manifest(lay, files):
    return read(lay(files), INGESTION).manifest


def test_each_part_of_a_name(lay, rows):
    assert rows(manifest(lay, FILES)) == {
        "bounding_box_train/0002_c1s1_000451_03.jpg": ("0002", 2, 0, "train"),
        "bounding_box_train/1500_c6s3_097267_01.jpg": ("1500", 1500, 5, "train"),
        "query/0001_c2s1_001051_00.jpg": ("0001", 1, 1, "query"),
        "bounding_box_test/0001_c5s1_002301_04.jpg": ("0001", 1, 4, "gallery"),
        "bounding_box_test/-1_c3s2_000401_03.jpg": ("-1", -1, 2, "gallery"),
        "bounding_box_test/0000_c4s1_000876_05.jpg": ("0000", 0, 3, "gallery"),
    }


def test_the_manifest_is_valid_sorted_and_the_same_in_any_order_of_files(lay):
    table = manifest(lay, FILES)
    MANIFEST.validate(table)
    assert table["path"].tolist() == sorted(FILES)
    assert table["camera"].tolist() == ["3", "4", "5", "1", "6", "2"]
    assert table[["viewid", "trackid"]].isna().all(axis=None)
    assert (table["test_sets"] == "").all()
    generator = random.Random(0)
    for _ in range(5):
        shuffled = generator.sample(FILES, len(FILES))
        pd.testing.assert_frame_equal(manifest(lay, shuffled), table)


@pytest.mark.parametrize("archive", ["Market-1501-v15.09.15", "market-1501-V15.09.15"])
def test_one_level_down_paths_stay_below_the_raw_folder(lay, rows, archive):
    table = manifest(lay, [f"{archive}/{path}" for path in FILES])
    assert rows(table.assign(path=table["path"].str.removeprefix(f"{archive}/"))) == rows(manifest(lay, FILES))


@pytest.mark.parametrize(
    "other",
    [
        "bounding_box_train/Thumbs.db",
        "query/.DS_Store",
        "bounding_box_test/desktop.ini",
        "bounding_box_test/._0001_c5s1_002301_04.jpg",
        "gt_bbox/0001_c1s1_001051_00.jpg",
        "gt_query/0001_c1s1_001051_00_good.mat",
        "readme.txt",
        "drawn_from.json",
        "__MACOSX/query/0001_c2s1_001051_00.jpg",
        "query/deeper/0001_c2s1_001051_00.jpg",
    ],
)
def test_what_is_no_image_of_the_three_folders_is_left_out(lay, other):
    pd.testing.assert_frame_equal(manifest(lay, [*FILES, other]), manifest(lay, FILES))


@pytest.mark.parametrize(
    "name",
    [
        "2_c1s1_000451_03.jpg",
        "00002_c1s1_000451_03.jpg",
        "-2_c1s1_000451_03.jpg",
        "0002_c1_000451_03.jpg",
        "0002_c1s1_451_03.jpg",
        "0002_c1s1_000451_3.jpg",
        "0002_c1s1_000451_03.png",
        "0002_c1s1_000451_03.jpg.jpg",
        "0002_c1s1_000451_03.jpg\n",
        "٠٠٠٢_c1s1_000451_03.jpg",
        "x0002_c1s1_000451_03.jpg",
    ],
)
def test_a_name_outside_the_grammar_is_refused(lay, name):
    with pytest.raises(UserError) as caught:
        manifest(lay, [*FILES, f"query/{name}"])
    text = str(caught.value)
    assert text.startswith(f"1 file names are not Market-1501's: query/{printable(name)}.")
    assert "for example 0002_c1s1_000451_03.jpg, with -1 for junk and 0000 for a distractor" in text
    assert "Rename or remove these files" in text


def test_many_strange_names_are_counted_and_few_are_shown(lay):
    with pytest.raises(UserError) as caught:
        manifest(lay, [*FILES, *(f"query/holiday_{number:02d}.jpg" for number in range(40))])
    assert str(caught.value).startswith("40 file names")
    assert "holiday_04.jpg and 35 more" in str(caught.value)


@pytest.mark.parametrize("camera", [0, 7])
def test_a_camera_that_is_not_there_is_refused(lay, camera):
    with pytest.raises(
        UserError,
        match=rf"1 file names tell of a camera that Market-1501 does not have \(it has 1 to 6\):"
        rf" query/0001_c{camera}s1_000000_00\.jpg\. Rename or remove",
    ):
        manifest(lay, [*FILES, f"query/0001_c{camera}s1_000000_00.jpg"])


def test_a_missing_folder_is_named_with_what_is_there_instead(lay, tmp_path):
    train_only = [path for path in FILES if path.startswith("bounding_box_train")]
    with pytest.raises(UserError) as caught:
        manifest(lay, [*train_only, "readme.txt", "query/Thumbs.db"])
    text = str(caught.value)
    assert text.startswith("No images in query, bounding_box_test: a Market-1501 folder holds")
    assert f"{tmp_path} holds bounding_box_train, readme.txt." in text
    assert "raw_root=<folder>" in text


def test_two_copies_are_not_read_as_one(lay):
    twice = [*FILES, *(f"Market-1501-v15.09.15/{path}" for path in FILES)]
    with pytest.raises(UserError, match=r"Market-1501 lies in \S+ more than once: the top, Market-1501-v15\.09\.15/"):
        manifest(lay, twice)


def test_a_version_that_nobody_knows_is_refused(lay):
    with pytest.raises(
        UserError,
        match=r"Market-1501 has no version 'v15\.09'\. Did you mean 'v15\.09\.15'\? `ingestion\.variant` is"
        r" one of: v15\.09\.15, or null",
    ):
        read(lay(FILES), IngestionParameters(reader="market1501", variant="v15.09"))


def test_the_drawn_benchmark_is_read_as_market1501_is(lay, rows):
    drawn = reader("synthetic").read(lay(FILES), IngestionParameters(reader="synthetic"))
    assert rows(drawn.manifest) == rows(manifest(lay, FILES))
    with pytest.raises(UserError, match=r"`ingestion\.variant` is null: there are no versions"):
        reader("synthetic").read(lay(FILES), IngestionParameters(reader="synthetic", variant="v1"))
    with pytest.raises(UserError, match=r"1 file names are not synthetic's: query/a\.jpg"):
        reader("synthetic").read(lay([*FILES, "query/a.jpg"]), IngestionParameters(reader="synthetic"))


def test_a_drawn_folder_is_read_whole(drawn_folder, drawn_files):
    table = read(RawFolder(drawn_folder, tuple(drawn_files)), INGESTION).manifest
    assert len(table) == len(drawn_files)
    # 8 and 4 people, two cameras each, four images per camera; one of the four is the query.
    assert table["subset"].value_counts().to_dict() == {"train": 64, "gallery": 4 * 2 * 3 + 3 + 2, "query": 8}
    assert (table["pid"] == -1).sum() == 2
    assert (table["pid"] == 0).sum() == 3


def test_an_unknown_reader_gives_the_nearest():
    assert "market1501" in reader_names()
    with pytest.raises(UserError) as caught:
        reader("market")
    assert re.search(r"no reader 'market'\. Did you mean 'market1501'\?.*one of:.*market1501", str(caught.value))
