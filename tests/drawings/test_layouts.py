"""Every layout: its names as the benchmark's authors write them, and what its reader makes of them."""

import csv
import re
from functools import cache
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest

from reid_drawings import LAYOUTS, SyntheticBenchmark, SyntheticVehicles, draw_layout
from reid_drawings.layouts import drawn_pictures
from reid_drawings.pictures import Picture
from reid_pipeline.readers import reader
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.tables import MANIFEST

SIZE = {
    "seed": 6,
    "num_cameras": 2,
    "train_identities": 4,
    "test_identities": 3,
    "cameras_per_identity": (2, 2),
    "images_per_camera": (2, 2),
}
PEOPLE = SyntheticBenchmark(**SIZE, distractors=2, junk=1)
VEHICLES = SyntheticVehicles(**SIZE)
TRAIN_IMAGES, TEST_IMAGES, QUERIES = 4 * 2 * 2, 3 * 2 * 2, 3 * 2
CASES = [
    ("market1501", "market1501", PEOPLE),
    ("dukemtmc", "dukemtmc", PEOPLE),
    ("occluded_duke", "occluded_duke", PEOPLE),
    ("msmt17_v1", "msmt17", PEOPLE),
    ("msmt17_v2", "msmt17", PEOPLE),
    ("msmt17_market", "msmt17", PEOPLE),
    ("veri776", "veri776", VEHICLES),
    ("vehicleid", "vehicleid", VEHICLES),
    ("custom_manifest", "custom", PEOPLE),
    ("custom_manifest", "custom", VEHICLES),
    ("custom_folders", "custom", PEOPLE),
    ("custom_metadata", "custom", PEOPLE),
    ("custom_metadata", "custom", VEHICLES),
    ("custom_unlabelled", "custom", PEOPLE),
]
IDS = [f"{layout}-{type(parameters).__name__}" for layout, _, parameters in CASES]


@pytest.fixture(scope="module")
def drawn() -> dict[type, dict[bytes, Picture]]:
    """Every picture by its content, which tells it whatever its name is."""
    found = {}
    for parameters in (PEOPLE, VEHICLES):
        pictures = drawn_pictures(parameters, processes=1)
        found[type(parameters)] = {picture.data: picture for picture in pictures}
        assert len(found[type(parameters)]) == len(pictures)
    return found


@cache
def laid_out(layout: str, kind: str) -> dict[str, bytes]:
    return draw_layout(layout, VEHICLES if kind == "vehicles" else PEOPLE, processes=1)


def read(files: dict[str, bytes], name: str, root: Path) -> tuple[pd.DataFrame, str | None]:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    raw = RawFolder(root, tuple(sorted(files)))
    reading = reader(name).read(raw, IngestionParameters(reader=name))
    MANIFEST.validate(reading.manifest)
    return reading.manifest, reading.version


def expected_subset(layout: str, picture: Picture) -> set[str]:
    if layout == "custom_unlabelled" or picture.subset == "train":
        return {"train"}
    if layout == "vehicleid":
        return {"test"}
    if layout == "custom_metadata":
        return {"unassigned"}
    if layout == "veri776" and picture.subset == "query":
        return {"query", "gallery"}
    return {picture.subset}


def test_all_layouts_are_covered():
    assert {layout for layout, *_ in CASES} == set(LAYOUTS)


@pytest.mark.parametrize(("layout", "name", "parameters"), CASES, ids=IDS)
def test_a_reader_finds_what_was_drawn(layout, name, parameters, drawn, tmp_path):
    files = laid_out(layout, "people" if parameters is PEOPLE else "vehicles")
    manifest, _ = read(files, name, tmp_path)
    pictures = drawn[type(parameters)]
    rows = [(row, pictures[files[row.path]]) for row in manifest.itertuples()]

    kept = [p for p in pictures.values() if p.identity > 0 or layout == "market1501"]
    twice = QUERIES if layout == "veri776" else 0
    assert len(rows) == len(kept) + twice
    assert {picture.data for _, picture in rows} == {picture.data for picture in kept}, "every one is read"

    for row, picture in rows:
        assert row.subset in expected_subset(layout, picture)
        cameras = layout not in ("vehicleid", "custom_folders", "custom_unlabelled")
        assert (row.camid == picture.camera) if cameras else pd.isna(row.camid)
        viewed = layout in ("veri776", "custom_manifest") and picture.viewpoint is not None
        if viewed:
            assert row.viewid == picture.viewpoint
        elif layout != "custom_metadata":
            assert pd.isna(row.viewid)
        if layout == "veri776":
            assert (row.colour, row.type) == (picture.colour, picture.type)
    same = {(row.pid, picture.identity) for row, picture in rows}
    if layout == "custom_unlabelled":
        assert {pid for pid, _ in same} == {-2}
    else:
        assert len({pid for pid, _ in same}) == len({who for _, who in same}) == len(same)
        assert {pid for pid, who in same if who < 1} == ({0, -1} if layout == "market1501" else set())


@pytest.mark.parametrize("layout", ["msmt17_v1", "msmt17_v2", "msmt17_market"])
def test_the_form_of_msmt17_is_recognised(layout, tmp_path):
    _, version = read(laid_out(layout, "people"), "msmt17", tmp_path)
    assert version == layout.removeprefix("msmt17_")


def test_viewpoints_of_own_vehicles_become_numbers(drawn, tmp_path):
    """The reader numbers orientations as it likes: one number each, and no two the same."""
    files = laid_out("custom_metadata", "vehicles")
    manifest, _ = read(files, "custom", tmp_path)
    found = {
        (drawn[SyntheticVehicles][files[path]].viewpoint, viewid)
        for path, viewid in zip(manifest["path"], manifest["viewid"], strict=True)
    }
    assert len({drawn_as for drawn_as, _ in found}) == len({viewid for _, viewid in found}) == len(found) > 1


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
    files = laid_out(layout, "vehicles" if layout in ("veri776", "vehicleid") else "people")
    assert list(files) == sorted(files)
    names = [path for path in files if path.endswith(".jpg")]
    assert len(names) == images
    assert [name for name in names if re.fullmatch(grammar, name) is None] == []


@pytest.mark.parametrize(("layout", "train"), [("msmt17_v1", "train"), ("msmt17_v2", "mask_train_v2")])
def test_lists_of_msmt17(layout, train):
    files = laid_out(layout, "people")
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


def test_lists_of_vehicleid_are_nested(drawn):
    files = laid_out("vehicleid", "vehicles")
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
        picture = drawn[SyntheticVehicles][files[f"VehicleID_V1.0/image/{name}.jpg"]]
        assert picture.identity == int(vehicle)


def test_tables_of_own_data():
    tables = {}
    for layout, kind in (("manifest", "people"), ("manifest", "vehicles"), ("metadata", "vehicles")):
        content = laid_out(f"custom_{layout}", kind)[f"{layout}.csv"].decode()
        tables[layout, kind == "vehicles"] = list(csv.DictReader(StringIO(content)))
    assert list(tables["manifest", False][0]) == ["path", "pid", "camid", "split"]
    assert list(tables["manifest", True][0]) == ["path", "pid", "camid", "viewid", "split"]
    header = ["image_id", "identity", "path", "camera", "orientation", "original_split"]
    assert list(tables["metadata", True][0]) == header
    assert {row["original_split"] for row in tables["metadata", True]} == {"train", "test"}
    assert len(tables["metadata", True]) == TRAIN_IMAGES + TEST_IMAGES


class TestMistakes:
    def test_an_unknown_layout(self):
        says = r"There is no layout 'msmt17_v3'\. Layouts are: market1501,"
        with pytest.raises(ValueError, match=says):
            draw_layout("msmt17_v3", PEOPLE)

    def test_people_in_a_layout_of_vehicles(self):
        says = "Layout veri776 is drawn from SyntheticVehicles, and SyntheticBenchmark was given"
        with pytest.raises(ValueError, match=says):
            draw_layout("veri776", PEOPLE)

    def test_vehicles_in_a_layout_of_people(self):
        with pytest.raises(ValueError, match="Layout dukemtmc is drawn from SyntheticBenchmark"):
            draw_layout("dukemtmc", VEHICLES)

    def test_more_cameras_than_names_can_tell(self):
        with pytest.raises(ValueError, match="Layout dukemtmc has 8 cameras at most, and num_cameras is 9"):
            draw_layout("dukemtmc", PEOPLE.model_copy(update={"num_cameras": 9}))
