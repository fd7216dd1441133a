"""The VehicleID reader: lists over one folder, test sets that overlap, no cameras."""

import random

import pandas as pd
import pytest

from reid_pipeline.readers.vehicleid import read
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.tables import MANIFEST

INGESTION = IngestionParameters(reader="vehicleid")
SPLIT = "train_test_split/"
LISTS = {
    "train_list.txt": "0000001 0\n0000002 0\n0000003 17\n",
    "test_list_800.txt": "0000010 5\n0000011 5\n",
    "test_list_1600.txt": "0000012 6\n0000010 5\n",
    "test_list_2400.txt": "0000010 5\n0000012 6\n0000013 7\n",
}
IMAGES = [f"image/{number:07d}.jpg" for number in (1, 2, 3, 10, 11, 12, 13)]


def folder(lay, lists=LISTS, images=IMAGES, place=""):
    texts = {f"{place}{SPLIT}{name}": text for name, text in lists.items()}
    return lay([f"{place}{image}" for image in images], texts)


def test_subsets_and_test_sets(lay, rows):
    reading = read(folder(lay), INGESTION)
    MANIFEST.validate(reading.manifest)
    assert set(reading.manifest["camera"]) == {""}
    assert rows(reading.manifest) == {
        "image/0000001.jpg": ("0", 1, None, "train"),
        "image/0000002.jpg": ("0", 1, None, "train"),
        "image/0000003.jpg": ("17", 18, None, "train"),
        "image/0000010.jpg": ("5", 6, None, "test"),
        "image/0000011.jpg": ("5", 6, None, "test"),
        "image/0000012.jpg": ("6", 7, None, "test"),
        "image/0000013.jpg": ("7", 8, None, "test"),
    }
    sets = dict(zip(reading.manifest["path"], reading.manifest["test_sets"], strict=True))
    assert {path[-6:-4]: names for path, names in sets.items() if names} == {
        "10": "800 1600 2400",
        "11": "800",
        "12": "1600 2400",
        "13": "2400",
    }
    assert reading.notes == ("pid is the vehicle's number plus 1, since pid 0 means a distractor.",)


def test_one_level_down_and_in_any_order(lay, rows):
    flat = read(folder(lay), INGESTION).manifest
    nested = read(folder(lay, place="VehicleID_V1.0/"), INGESTION).manifest
    assert nested["path"].tolist() == [f"VehicleID_V1.0/{path}" for path in flat["path"]]
    generator = random.Random(2)
    for _ in range(5):
        lists = {
            name: "\n".join(generator.sample(LISTS[name].splitlines(), LISTS[name].count("\n")))
            for name in generator.sample(sorted(LISTS), 4)
        }
        images = generator.sample(IMAGES, len(IMAGES))
        pd.testing.assert_frame_equal(read(folder(lay, lists, images), INGESTION).manifest, flat)


def test_what_is_left_aside_is_counted(lay):
    lists = {name: text for name, text in LISTS.items() if "1600" not in name}
    lists["test_list_13164.txt"] = "0000099 1\n"
    images = [*IMAGES, "image/0000098.jpg", "image/0000099.jpg", "image/Thumbs.db", "attribute/color_attr.txt"]
    reading = read(folder(lay, lists, images), INGESTION)
    assert reading.notes[1:] == (
        "Test lists that are not there: test_list_1600.txt.",
        "Lists that are not read: test_list_13164.txt.",
        "2 files in image/ are in none of the lists and left aside.",
    )
    assert len(reading.manifest) == 7


def test_missing_lists_and_images(lay):
    with pytest.raises(UserError, match=r"VehicleID's test_list_800\.txt, .*2400\.txt are missing in .*at least one"):
        read(folder(lay, {"train_list.txt": LISTS["train_list.txt"]}), INGESTION)
    with pytest.raises(UserError, match=r"VehicleID's train_list\.txt, test_list_1600"):
        read(folder(lay, {"test_list_800.txt": "0000010 5"}), INGESTION)
    with pytest.raises(UserError, match=r"No images in image: a VehicleID folder holds .* holds train_test_split"):
        read(folder(lay, images=[]), INGESTION)


def test_absent_images_are_named(lay):
    lists = {**LISTS, "test_list_800.txt": "".join(f"{number:07d} 5\n" for number in range(20, 40))}
    with pytest.raises(
        UserError,
        match=r"train_test_split/test_list_800\.txt names 20 images that are not there: image/0000020\.jpg,"
        r" .*0000024\.jpg and 15 more",
    ):
        read(folder(lay, lists), INGESTION)


@pytest.mark.parametrize("line", ["0000001", "0000001 a", "0000001,1", "image/0000001 1", "0000001 -1", "1 2 3"])
def test_a_malformed_line(lay, line):
    lists = {**LISTS, "train_list.txt": f"0000001 0\n{line}\n"}
    with pytest.raises(UserError) as caught:
        read(folder(lay, lists), INGESTION)
    assert f"{SPLIT}train_list.txt: 1 lines are not '<image> <vehicle>', for example" in str(caught.value)
    assert f"line 2 {line!r}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "line", "answer"),
    [
        ("train_list.txt", "0000001 0", r"1 images are listed twice: image/0000001\.jpg \(train_list\.txt and train"),
        ("train_list.txt", "0000001 8", r"1 images are listed twice: image/0000001\.jpg"),
        (
            "test_list_2400.txt",
            "0000011 6",
            r"1 images are different vehicles in different lists: image/0000011\.jpg \(5 in"
            r" test_list_800\.txt, 6 in test_list_2400\.txt\)",
        ),
        (
            "test_list_800.txt",
            "0000003 17",
            r"1 images are in train_list\.txt and in a test list: image/0000003\.jpg \(test_list_800\.txt\)",
        ),
        ("test_list_800.txt", "0000013 007", r"1 vehicles are written in two forms: 007 and 7\."),
    ],
)
def test_lists_that_contradict_themselves_or_each_other(lay, name, line, answer):
    with pytest.raises(UserError, match=answer):
        read(folder(lay, {**LISTS, name: f"{LISTS[name]}{line}\n"}), INGESTION)
