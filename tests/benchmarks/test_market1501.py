"""The Market-1501 reader: names to manifest."""

import re

import pandas as pd
import pytest

from reid_pipeline.benchmarks import reader, reader_names
from reid_pipeline.benchmarks.market1501 import read
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import SplitParameters
from reid_pipeline.schema.tables import MANIFEST
from reid_pipeline.splits import normalise_splits

FILES = [
    "bounding_box_train/0002_c1s1_000451_03.jpg",
    "bounding_box_train/1500_c6s3_097267_01.jpg",
    "query/0001_c2s1_001051_00.jpg",
    "bounding_box_test/0001_c12s1_002301_04.jpg",
    "bounding_box_test/-1_c3s2_000401_03.jpg",
    "bounding_box_test/0000_c4s1_000876_05.jpg",
]
NESTED = [f"Market-1501-v15.09.15/{path}" for path in FILES]


def rows_of(table):
    return {row.path: (row.pid, row.camid, row.subset) for row in table.itertuples()}


def test_each_part_of_a_name():
    assert rows_of(read(FILES)) == {
        "bounding_box_train/0002_c1s1_000451_03.jpg": (2, 0, "train"),
        "bounding_box_train/1500_c6s3_097267_01.jpg": (1500, 5, "train"),
        "query/0001_c2s1_001051_00.jpg": (1, 1, "query"),
        "bounding_box_test/0001_c12s1_002301_04.jpg": (1, 11, "gallery"),
        "bounding_box_test/-1_c3s2_000401_03.jpg": (-1, 2, "gallery"),
        "bounding_box_test/0000_c4s1_000876_05.jpg": (0, 3, "gallery"),
    }


def test_the_manifest_is_sorted_and_valid_once_it_has_hashes():
    table = read(reversed(FILES))
    assert table["path"].tolist() == sorted(FILES)
    MANIFEST.validate(table.assign(sha256=["0" * 64] * len(table)))
    assert table["viewid"].isna().all()
    assert table["trackid"].isna().all()


def test_as_distributed_one_level_down():
    table = read(NESTED)
    assert table["path"].tolist() == sorted(NESTED), "paths stay below the raw folder"
    assert rows_of(table.assign(path=table["path"].str.removeprefix("Market-1501-v15.09.15/"))) == rows_of(
        read(FILES)
    )


@pytest.mark.parametrize(
    "litter",
    [
        "bounding_box_train/Thumbs.db",
        "query/.DS_Store",
        "bounding_box_test/desktop.ini",
        "bounding_box_test/._0001_c12s1_002301_04.jpg",
        "gt_bbox/0001_c1s1_001051_00.jpg",
        "gt_query/0001_c1s1_001051_00_good.mat",
        "readme.txt",
        "drawn_from.json",
        "__MACOSX/query/0001_c2s1_001051_00.jpg",
        "query/deeper/0001_c2s1_001051_00.jpg",
    ],
)
def test_what_is_no_image_of_the_three_folders_is_left_out(litter):
    pd.testing.assert_frame_equal(read([*FILES, litter]), read(FILES))


@pytest.mark.parametrize(
    "name",
    [
        "2_c1s1_000451_03.jpg",
        "00002_c1s1_000451_03.jpg",
        "-2_c1s1_000451_03.jpg",
        "0002_c0s1_000451_03.jpg",
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
def test_a_name_outside_the_grammar_is_refused(name):
    with pytest.raises(UserError) as caught:
        read([*FILES, f"query/{name}"])
    text = str(caught.value)
    assert text.startswith(f"1 file names are not Market-1501's: query/{name}.")
    assert re.search(
        r"for example 0002_c1s1_000451_03\.jpg, with -1 for junk and 0000 for a distractor", text
    )
    assert re.search(r"Rename or remove these files", text)


def test_many_strange_names_are_counted_and_few_are_shown():
    strange = [f"query/holiday_{number:02d}.jpg" for number in range(40)]
    with pytest.raises(UserError) as caught:
        read([*FILES, *strange])
    text = str(caught.value)
    assert text.startswith("40 file names")
    assert "holiday_04.jpg and 35 more" in text
    assert text.count("holiday") == 5


@pytest.mark.parametrize(
    ("gone", "says"),
    [
        ("query/", r"No images in query:"),
        ("bounding_box_train/", r"No images in bounding_box_train:"),
        ("bounding_box", r"No images in bounding_box_train, bounding_box_test:"),
        ("", r"No images in bounding_box_train, query, bounding_box_test:"),
    ],
)
def test_a_missing_folder_is_named(gone, says):
    left = [path for path in FILES if not path.startswith(gone)]
    with pytest.raises(UserError, match=says + r".*pass --params raw_root=<folder>"):
        read(left)


def test_the_drawn_benchmark_goes_through_the_same_reader(drawn_files):
    table = read(drawn_files)
    assert len(table) == len(drawn_files)
    # 8 and 4 people, two cameras each, four images per camera; one of the four is the query.
    assert table["subset"].value_counts().to_dict() == {"train": 64, "gallery": 4 * 2 * 3 + 3 + 2, "query": 8}
    assert (table["pid"] == -1).sum() == 2
    assert (table["pid"] == 0).sum() == 3
    split = normalise_splits(table.assign(sha256="0" * 64), SplitParameters(dev_fraction=0.25))
    assert split["split"].value_counts().to_dict() == {
        "train": 6 * 8,
        "dev_query": 2 * 2,
        "dev_gallery": 2 * 6,
        "query": 8,
        "gallery": 4 * 2 * 3 + 3,
    }


class TestDiscovery:
    def test_a_reader_is_found_by_its_modules_name(self):
        assert "market1501" in reader_names()
        assert reader("market1501") is read

    def test_every_reader_has_a_read_function(self):
        assert all(callable(reader(name)) for name in reader_names())

    def test_an_unknown_reader_gives_the_nearest(self):
        with pytest.raises(
            UserError, match=r"no reader 'market'\. Did you mean 'market1501'\?.*one of:.*market1501"
        ):
            reader("market")
