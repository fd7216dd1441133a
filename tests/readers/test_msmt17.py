"""The MSMT17 reader: three forms, lists that must agree with the folders, two numberings of people."""

import random

import pandas as pd
import pytest

from reid_pipeline.readers.msmt17 import read
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.tables import MANIFEST

LISTS = {
    "list_train.txt": ("0000/0000_000_01_0303morning_0015_0.jpg 0\n1040/1040_003_15_0302noon_0001_2_ex.jpg 1040\n"),
    "list_val.txt": "0000/0000_001_14_0303morning_0245_0.jpg 0\r\n",
    "list_query.txt": "0000/0000_030_14_0303morning_0245_0.jpg 0\n",
    "list_gallery.txt": ("0000/0000_031_02_0303morning_0245_0.jpg 0\n\n3059/3059_000_01_0303noon_0015_0.jpg 3059"),
}
IMAGES = [
    "train/0000/0000_000_01_0303morning_0015_0.jpg",
    "train/1040/1040_003_15_0302noon_0001_2_ex.jpg",
    "train/0000/0000_001_14_0303morning_0245_0.jpg",
    "test/0000/0000_030_14_0303morning_0245_0.jpg",
    "test/0000/0000_031_02_0303morning_0245_0.jpg",
    "test/3059/3059_000_01_0303noon_0015_0.jpg",
]
MARKET = [
    "bounding_box_train/0000_c1_0000.jpg",
    "bounding_box_train/1040_c15s2_0302noon_0001.jpg",
    "query/0000_c14_0003.jpg",
    "bounding_box_test/0000_013_04_0303morning_0020_2.jpg",
]


def ingestion(variant=None):
    return IngestionParameters(reader="msmt17", variant=variant)


def masked(images):
    return [f"mask_{path}".replace("/", "_v2/", 1) for path in images]


def changed(name, text):
    return {**LISTS, name: text}


def test_v1_two_numberings_and_train_with_val(lay, rows):
    reading = read(lay(IMAGES, LISTS), ingestion())
    MANIFEST.validate(reading.manifest)
    assert reading.manifest["camera"].tolist() == ["14", "2", "1", "1", "14", "15"], "by path: test, train"
    assert reading.version == "v1"
    assert rows(reading.manifest) == {
        IMAGES[0]: ("train/0000", 1, 0, "train"),
        IMAGES[1]: ("train/1040", 1041, 14, "train"),
        IMAGES[2]: ("train/0000", 1, 13, "train"),
        IMAGES[3]: ("test/0000", 10_001, 13, "query"),
        IMAGES[4]: ("test/0000", 10_001, 1, "gallery"),
        IMAGES[5]: ("test/3059", 13_060, 0, "gallery"),
    }
    assert reading.notes == (
        "train is list_train.txt and list_val.txt together.",
        "Train and test number their people separately: identities are train/<number> and test/<number>.",
    )


def test_v2_one_level_down(lay, rows):
    images = [f"MSMT17_V2/{path}" for path in masked(IMAGES)]
    texts = {f"MSMT17_V2/{name}": text for name, text in LISTS.items()}
    reading = read(lay(images, texts), ingestion())
    assert reading.version == "v2"
    assert rows(reading.manifest)["MSMT17_V2/mask_test_v2/3059/3059_000_01_0303noon_0015_0.jpg"] == (
        "test/3059",
        13_060,
        0,
        "gallery",
    )
    assert len(reading.manifest) == 6


def test_lists_may_lie_above_the_archives_folder(lay):
    reading = read(lay([f"MSMT17/{path}" for path in IMAGES], LISTS), ingestion())
    assert len(reading.manifest) == 6


def test_the_re_pack_with_its_names_or_the_archives(lay, rows):
    reading = read(lay([f"msmt17/{path}" for path in MARKET]), ingestion())
    MANIFEST.validate(reading.manifest)
    assert reading.manifest["camera"].tolist() == ["4", "1", "15", "14"], "by path: test, train, query"
    assert reading.version == "market"
    assert rows(reading.manifest) == {
        "msmt17/bounding_box_train/0000_c1_0000.jpg": ("train/0000", 1, 0, "train"),
        "msmt17/bounding_box_train/1040_c15s2_0302noon_0001.jpg": ("train/1040", 1041, 14, "train"),
        "msmt17/query/0000_c14_0003.jpg": ("test/0000", 10_001, 13, "query"),
        "msmt17/bounding_box_test/0000_013_04_0303morning_0020_2.jpg": ("test/0000", 10_001, 3, "gallery"),
    }


@pytest.mark.parametrize("name", ["000_c1_0000.jpg", "0000_cx_0000.jpg", "-1_c1_0000.jpg", "0000.jpg"])
def test_a_strange_name_in_the_re_pack(lay, name):
    with pytest.raises(UserError, match=rf"1 file names are not MSMT17's: query/{name}\. A name is <person>_c"):
        read(lay([*MARKET, f"query/{name}"]), ingestion())


def test_the_order_of_files_and_lines_does_not_matter(lay):
    expected = read(lay(IMAGES, LISTS), ingestion()).manifest
    generator = random.Random(1)
    for _ in range(5):
        texts = {}
        for name in generator.sample(sorted(LISTS), 4):
            lines = LISTS[name].split()
            pairs = [f"{image} {person}" for image, person in zip(lines[::2], lines[1::2], strict=True)]
            texts[name] = "\n".join(generator.sample(pairs, len(pairs)))
        shuffled = read(lay(generator.sample(IMAGES, len(IMAGES)), texts), ingestion()).manifest
        pd.testing.assert_frame_equal(shuffled, expected)


def test_a_wanted_version_that_is_not_there(lay, tmp_path):
    assert read(lay(IMAGES, LISTS), ingestion("v1")).version == "v1"
    with pytest.raises(
        UserError,
        match=r"`ingestion\.variant` is 'v2', but \S+ holds v1 \(in the top\)\. Link the folder of v2, or set"
        r" `ingestion\.variant` to v1 or null",
    ):
        read(lay(IMAGES, LISTS), ingestion("v2"))
    with pytest.raises(
        UserError, match=r"MSMT17 has no version 'v3'\. `ingestion\.variant` is one of: v1, v2, market, or"
    ):
        read(lay(IMAGES, LISTS), ingestion("v3"))


def test_several_versions_need_a_choice(lay):
    both = lay([*IMAGES, *(f"MSMT17/{path}" for path in MARKET)], LISTS)
    with pytest.raises(
        UserError,
        match=r"more than one form of MSMT17: v1 \(in the top\) and market \(in MSMT17/\)\. Choose with"
        r" `ingestion\.variant`: v1 or market",
    ):
        read(both, ingestion())
    assert len(read(both, ingestion("v1")).manifest) == 6
    assert len(read(both, ingestion("market")).manifest) == 4


def test_missing_lists(lay):
    texts = {name: text for name, text in LISTS.items() if "train" in name or "query" in name}
    with pytest.raises(
        UserError, match=r"MSMT17's list_val\.txt, list_gallery\.txt are missing in \S+\. .*authors send them"
    ):
        read(lay(IMAGES, texts), ingestion())


def test_a_list_that_names_absent_images(lay):
    lines = "".join(f"0007/0007_{number:03d}_01_0303noon_0001_1.jpg 7\n" for number in range(9))
    with pytest.raises(UserError) as caught:
        read(lay(IMAGES, changed("list_query.txt", LISTS["list_query.txt"] + lines)), ingestion())
    text = str(caught.value)
    assert text.startswith("list_query.txt names 9 images that are not there: test/0007/0007_000_01_0303noon")
    assert "0007_004_01_0303noon_0001_1.jpg and 4 more. Unpack the archive again" in text
    assert "0007_005" not in text


@pytest.mark.parametrize(
    "line",
    ["0000/0000_000_01_0303morning_0015_0.jpg", "0000_000_01_0303morning_0015_0.jpg 0", "\ufeff0 0", "0000/a.jpg 0"],
)
def test_a_malformed_line(lay, line):
    with pytest.raises(UserError) as caught:
        read(lay(IMAGES, changed("list_val.txt", f"{LISTS['list_val.txt']}\n{line}\n")), ingestion())
    assert str(caught.value).startswith("list_val.txt: 1 lines are not '<folder>/<image> <person>', for example")
    assert f"line 3 {line!r}" in str(caught.value)


def test_malformed_lines_are_bounded_and_an_empty_list_is_refused(lay):
    with pytest.raises(UserError, match=r"list_val\.txt: 30 lines are not .*line 5 'x'.* and 25 more"):
        read(lay(IMAGES, changed("list_val.txt", "x\n" * 30)), ingestion())
    with pytest.raises(UserError, match=r"list_val\.txt lists nothing; a line is '<folder>"):
        read(lay(IMAGES, changed("list_val.txt", "\n \n")), ingestion())
    with pytest.raises(UserError, match=r"list_val\.txt is no UTF-8 text"):
        read(lay(IMAGES, changed("list_val.txt", b"\xff\xfe0")), ingestion())


def test_three_numbers_of_a_person_must_agree(lay):
    lines = "0000/0000_030_14_0303morning_0245_0.jpg 1\n0001/0000_030_14_0303morning_0245_0.jpg 1\n"
    with pytest.raises(
        UserError, match=r"list_query\.txt: in 2 lines folder, .* different people: line 1 '0000/0000_030"
    ):
        read(lay(IMAGES, changed("list_query.txt", lines)), ingestion())


def test_an_image_in_two_lists_or_twice_in_one(lay):
    with pytest.raises(
        UserError, match=rf"1 images are listed twice: {IMAGES[0]} \(list_train\.txt and list_val\.txt\)"
    ):
        read(lay(IMAGES, changed("list_val.txt", LISTS["list_train.txt"].splitlines()[0])), ingestion())
    with pytest.raises(UserError, match=r"1 images are listed twice: .*list_query\.txt and list_query\.txt"):
        read(lay(IMAGES, changed("list_query.txt", LISTS["list_query.txt"] * 2)), ingestion())


@pytest.mark.parametrize("camera", ["00", "16"])
def test_there_are_fifteen_cameras(lay, camera):
    image = f"0000/0000_030_{camera}_0303morning_0245_0.jpg"
    with pytest.raises(UserError, match=r"1 file names tell of a camera that MSMT17 .*\(it has 1 to 15\): test/0000"):
        read(lay([*IMAGES, f"test/{image}"], changed("list_query.txt", f"{image} 0")), ingestion())


def test_images_in_no_list_are_counted_and_system_files_are_not(lay):
    more = ["train/0001/0001_000_01_0303noon_0015_0.jpg", "test/new.png", "test/0000/Thumbs.db", "readme.md"]
    reading = read(lay([*IMAGES, *more], LISTS), ingestion())
    assert reading.notes[-1] == "2 files in train and test are in no list and left aside."
    assert len(reading.manifest) == 6
