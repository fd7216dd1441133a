"""Layouts of drawn pictures: names and lists as the benchmarks' authors write them, restated here."""

import csv
import re
from functools import cache
from io import StringIO

import pytest
from reader_checks import PARAMETERS, kinds_of, laid_out, pictures_of, read_files

from reid_drawings import draw_pictures
from reid_pipeline.readers import lay_out, layouts, reader
from reid_pipeline.schema.errors import UserError

TRAIN_IMAGES, TEST_IMAGES, QUERIES = 4 * 2 * 2, 3 * 2 * 2, 3 * 2
laid_out = cache(laid_out)


@pytest.mark.parametrize("layout", ["msmt17_v1", "msmt17_v2", "msmt17_market"])
def test_the_form_of_msmt17_is_recognised(layout, tmp_path):
    reading = read_files("msmt17", laid_out(layout, "person"), tmp_path)
    assert reading.version == layout.removeprefix("msmt17_")


@pytest.mark.parametrize(
    ("layout", "grammar", "images"),
    [
        ("market1501", r"Market-1501-v15\.09\.15/(bounding_box_train|query|bounding_box_test)"
         r"/(-1|[0-9]{4})_c[12]s[1-6]_[0-9]{6}_[0-9]{2}\.jpg", 28 + 3),
        ("dukemtmc", r"DukeMTMC-reID/(bounding_box_train|query|bounding_box_test)"
         r"/[0-9]{4}_c[12]_f[0-9]{7}\.jpg", 28),
        ("occluded_duke", r"Occluded_Duke/(bounding_box_train|query|bounding_box_test)"
         r"/[0-9]{4}_c[12]_f[0-9]{7}\.jpg", 28),
        ("msmt17_v1", r"MSMT17_V1/(train|test)/([0-9]{4})/\2_[0-9]{3}_0[12]_0303(morning|noon|afternoon)"
         r"_[0-9]{4}_0\.jpg", 28),
        ("msmt17_v2", r"MSMT17_V2/mask_(train|test)_v2/([0-9]{4})/\2_[0-9]{3}_0[12]"
         r"_0303(morning|noon|afternoon)_[0-9]{4}_0\.jpg", 28),
        ("msmt17_market", r"MSMT17/(bounding_box_train|query|bounding_box_test)/[0-9]{4}_c[12]_[0-9]{4}\.jpg",
         28),
        ("veri776", r"VeRi/image_(train|query|test)/[0-9]{4}_c00[12]_[0-9]{8}_0\.jpg", 28 + QUERIES),
        ("vehicleid", r"VehicleID_V1\.0/image/[0-9]{7}\.jpg", 28),
        ("custom_manifest", r"images/[0-9]{6}\.jpg", 28),
        ("custom_folders", r"(train|query|gallery)/[0-9]{4}/[0-9]{6}\.jpg", 28),
        ("custom_metadata", r"images/[0-9]{6}\.jpg", 28),
        ("custom_unlabelled", r"[0-9]{6}\.jpg", 28),
    ],
)  # fmt: skip
def test_names_follow_the_grammar(layout, grammar, images):
    files = laid_out(layout, kinds_of(layout)[0])
    assert list(files) == sorted(files)
    names = [path for path in files if path.endswith(".jpg")]
    assert len(names) == images
    assert [name for name in names if re.fullmatch(grammar, name) is None] == []


@pytest.mark.parametrize(("layout", "train"), [("msmt17_v1", "train"), ("msmt17_v2", "mask_train_v2")])
def test_lists_of_msmt17(layout, train):
    files = laid_out(layout, "person")
    archive = layout.upper()
    lists = {}
    for stem in ("train", "val", "query", "gallery"):
        lines = files[f"{archive}/list_{stem}.txt"].decode().splitlines()
        lists[stem] = [line.split(" ") for line in lines]
        assert all(int(name[:4]) == int(number) for name, number in lists[stem])
    assert {stem: len(rows) for stem, rows in lists.items()} == {"train": 12, "val": 4, "query": 6, "gallery": 6}
    assert {number for _, number in lists["train"]} == {"0", "1", "2", "3"}
    assert {number for _, number in lists["query"] + lists["gallery"]} == {"0", "1", "2"}
    listed = [f"{archive}/{train}/{name}" for name, _ in lists["train"] + lists["val"]]
    assert sorted(listed) == [path for path in files if path.startswith(f"{archive}/{train}/")]


def test_lists_of_vehicleid_are_nested():
    files = laid_out("vehicleid", "vehicle")
    lists = {
        path.rsplit("/", 1)[1]: [tuple(line.split(" ")) for line in content.decode().splitlines()]
        for path, content in files.items()
        if path.endswith(".txt")
    }
    assert set(lists) == {"train_list.txt", "test_list_800.txt", "test_list_1600.txt", "test_list_2400.txt"}
    sizes = {name: len({vehicle for _, vehicle in rows}) for name, rows in lists.items()}
    assert sizes == {"train_list.txt": 4, "test_list_800.txt": 1, "test_list_1600.txt": 2, "test_list_2400.txt": 3}
    assert set(lists["test_list_800.txt"]) < set(lists["test_list_1600.txt"]) < set(lists["test_list_2400.txt"])
    for name, vehicle in lists["train_list.txt"] + lists["test_list_2400.txt"]:
        picture = pictures_of("vehicle")[files[f"VehicleID_V1.0/image/{name}.jpg"]]
        assert picture.identity == int(vehicle)


def test_tables_of_own_data():
    tables = {}
    for layout, kind in (("manifest", "person"), ("manifest", "vehicle"), ("metadata", "vehicle")):
        content = laid_out(f"custom_{layout}", kind)[f"{layout}.csv"].decode()
        tables[layout, kind == "vehicle"] = list(csv.DictReader(StringIO(content)))
    assert list(tables["manifest", False][0]) == ["path", "pid", "camid", "split"]
    assert list(tables["manifest", True][0]) == ["path", "pid", "camid", "viewid", "split"]
    header = ["image_id", "identity", "path", "camera", "orientation", "original_split"]
    assert list(tables["metadata", True][0]) == header
    assert {row["original_split"] for row in tables["metadata", True]} == {"train", "test"}
    assert len(tables["metadata", True]) == TRAIN_IMAGES + TEST_IMAGES


@pytest.mark.parametrize(
    ("layout", "kind", "subsets"),
    [
        ("market1501", "person", {"query": "query", "gallery": "gallery"}),
        ("dukemtmc", "person", {"query": "query", "gallery": "gallery"}),
        ("msmt17_v1", "person", {"query": "query", "gallery": "gallery"}),
        ("veri776", "vehicle", {"query": "query", "gallery": "gallery"}),
        ("vehicleid", "vehicle", {"query": "test", "gallery": "test"}),
        ("custom_manifest", "vehicle", {"query": "query", "gallery": "gallery"}),
        ("custom_folders", "person", {"query": "query", "gallery": "gallery"}),
        ("custom_metadata", "vehicle", {"query": "unassigned", "gallery": "unassigned"}),
    ],
)
def test_subsets_and_viewpoints_as_published(layout, kind, subsets, tmp_path):
    files = laid_out(layout, kind)
    table = read_files(layouts()[layout][0], files, tmp_path).manifest
    for row in table.itertuples():
        picture = pictures_of(kind)[files[row.path]]
        copy = layout == "veri776" and (picture.subset, row.subset) == ("query", "gallery")
        assert copy or row.subset == {"train": "train", **subsets}[picture.subset]
        if layout in ("veri776", "custom_manifest"):
            assert row.viewid == picture.viewpoint
    assert ("colour" in table) == (layout == "veri776")
    assert table["viewid"].isna().all() == (layout not in ("veri776", "custom_manifest", "custom_metadata"))


def test_distractors_and_junk_have_names_in_market1501_alone():
    named = {layout for layout in layouts() if "person" in kinds_of(layout) for path in laid_out(layout, "person")
             if re.search(r"/(0000|-1)_c\ds", path)}  # fmt: skip
    assert named == {"market1501", "synthetic"}


class TestRefused:
    def test_an_unknown_layout(self):
        expected = r"There is no layout 'msmt17_v3'\. Did you mean 'msmt17_v2'\? Layouts are: custom_manifest,"
        with pytest.raises(UserError, match=expected):
            lay_out("msmt17_v3", [])

    @pytest.mark.parametrize(("layout", "given"), [("veri776", "person"), ("dukemtmc", "vehicle")])
    def test_other_things_than_the_benchmark_is_of(self, layout, given):
        noun = reader(layout).BENCHMARK.noun
        with pytest.raises(UserError, match=f"Layout {layout} is of a {noun}'s pictures, and these are of a {given}'s"):
            laid_out(layout, given)

    def test_more_cameras_than_the_benchmark_has(self):
        many = {"num_cameras": 9, "cameras_per_identity": (9, 9), "train_identities": 1, "test_identities": 1}
        pictures = draw_pictures(PARAMETERS["person"].model_copy(update=many), processes=1)
        with pytest.raises(UserError, match="Layout dukemtmc has 8 cameras at most, and the pictures have 9"):
            lay_out("dukemtmc", pictures)
