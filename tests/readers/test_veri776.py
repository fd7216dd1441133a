"""The VeRi-776 reader: names, label files in XML, key-point files."""

import random

import pandas as pd
import pytest

from reid_pipeline.readers.veri776 import read
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.tables import MANIFEST

INGESTION = IngestionParameters(reader="veri776")
TRAIN = ["0001_c001_00016450_0.jpg", "0776_c020_00027065_3.jpg"]
TEST = ["0002_c002_00030600_0.jpg", "0002_c003_00084280_0.jpg"]
IMAGES = [
    *(f"image_train/{name}" for name in TRAIN),
    f"image_query/{TEST[0]}",
    *(f"image_test/{name}" for name in TEST),
]
HEAD = '<?xml version="1.0" encoding="gb2312" ?>\n<TrainingImages Version="1.0">\n<Items number="2">\n'
TAIL = "</Items>\n</TrainingImages>\n"


def item(name, colour=1, kind=4, **changes):
    attributes = {
        "imageName": name,
        "vehicleID": name[:4],
        "cameraID": name[5:9],
        "colorID": colour,
        "typeID": kind,
        **changes,
    }
    return "<Item " + " ".join(f'{key}="{value}"' for key, value in attributes.items() if value is not None) + " />\n"


def xml(*items, head=HEAD):
    return (head + "".join(items) + TAIL).encode("gb2312")


TRAIN_LABELS = xml(item(TRAIN[0], 1, 4), item(TRAIN[1], 10, 9))
TEST_LABELS = xml(item(TEST[0], 5, 1), item(TEST[1], 5, 1))
LABELS = {"train_label.xml": TRAIN_LABELS, "test_label.xml": TEST_LABELS}
POINTS = " ".join(["-1"] * 40)
KEY_POINTS = {
    "keypoint_train.txt": f"VeRi/image_train/{TRAIN[0]} {POINTS} 3\nVeRi/image_train/{TRAIN[1]} {POINTS} 0\n",
    "keypoint_test.txt": "".join(f"VeRi/image_test/{name} {POINTS} 7\n" for name in TEST),
}


def column(manifest, name):
    values = [None if pd.isna(value) else value for value in manifest[name]]
    return dict(zip(manifest["path"], values, strict=True))


def test_names_colours_types_and_viewpoints(lay, rows):
    reading = read(lay(IMAGES, {**LABELS, **KEY_POINTS}), INGESTION)
    MANIFEST.validate(reading.manifest)
    assert reading.manifest["camera"].tolist() == ["2", "2", "3", "1", "20"], "by path: query, test, train"
    assert rows(reading.manifest) == {
        IMAGES[0]: ("0001", 1, 0, "train"),
        IMAGES[1]: ("0776", 776, 19, "train"),
        IMAGES[2]: ("0002", 2, 1, "query"),
        IMAGES[3]: ("0002", 2, 1, "gallery"),
        IMAGES[4]: ("0002", 2, 2, "gallery"),
    }
    assert column(reading.manifest, "colour") == dict(
        zip(IMAGES, ["yellow", "black", "red", "red", "red"], strict=True)
    )
    assert column(reading.manifest, "type") == dict(
        zip(IMAGES, ["hatchback", "estate", "sedan", "sedan", "sedan"], strict=True)
    )
    assert column(reading.manifest, "viewid") == dict(zip(IMAGES, [3, 0, 7, 7, 7], strict=True))
    assert reading.manifest["trackid"].isna().all()
    assert reading.notes == ()


def test_every_number_has_its_name(lay):
    names = [f"0001_c001_0000000{number}_0.jpg" for number in range(10)]
    items = [item(name, number + 1, min(number + 1, 9)) for number, name in enumerate(names)]
    images = [*(f"image_train/{name}" for name in names), *IMAGES[2:]]
    manifest = read(lay(images, {"train_label.xml": xml(*items)}), INGESTION).manifest
    train = manifest[manifest["subset"] == "train"]
    colours = "yellow orange green gray red blue white golden brown black"
    types = "sedan suv van hatchback mpv pickup bus truck estate estate"
    assert " ".join(train["colour"]) == colours
    assert " ".join(train["type"]) == types


def test_without_labels_and_key_points_nothing_is_dropped(lay):
    reading = read(lay(IMAGES), INGESTION)
    MANIFEST.validate(reading.manifest)
    assert sorted(reading.manifest["path"]) == sorted(IMAGES)
    assert reading.manifest[["colour", "type", "viewid"]].isna().all(axis=None)
    assert reading.notes == (
        "No train_label.xml: colour and type are null in train.",
        "No test_label.xml: colour and type are null in test.",
        "No key-point file for train (keypoint_train.txt): viewid is null there.",
        "No key-point file for test (keypoint_test.txt): viewid is null there.",
    )


def test_one_level_down_in_any_order(lay):
    texts = {**LABELS, **KEY_POINTS}
    flat = read(lay(IMAGES, texts), INGESTION).manifest
    nested = read(
        lay([f"VeRi/{path}" for path in IMAGES], {f"VeRi/{name}": text for name, text in texts.items()}), INGESTION
    ).manifest
    pd.testing.assert_frame_equal(nested.assign(path=nested["path"].str.removeprefix("VeRi/")), flat)
    generator = random.Random(3)
    for _ in range(5):
        shuffled = {name: texts[name] for name in generator.sample(sorted(texts), len(texts))}
        shuffled["train_label.xml"] = xml(*generator.sample([item(TRAIN[0]), item(TRAIN[1], 10, 9)], 2))
        images = generator.sample(IMAGES, len(IMAGES))
        pd.testing.assert_frame_equal(read(lay(images, shuffled), INGESTION).manifest, flat)


@pytest.mark.parametrize(
    "content",
    [
        TRAIN_LABELS.replace(b'encoding="gb2312" ', b""),
        TRAIN_LABELS.replace(b"gb2312", b"utf-8"),
        b"\xef\xbb\xbf" + TRAIN_LABELS.split(b"\n", 1)[1],
        TRAIN_LABELS.replace(b"</Items>", "<!-- 标注 --></Items>".encode("gb2312")),
        TRAIN_LABELS.replace(b'"c001"', b'"001"'),
    ],
)
def test_encodings(lay, content):
    manifest = read(lay(IMAGES, {"train_label.xml": content}), INGESTION).manifest
    assert column(manifest, "colour")[IMAGES[1]] == "black"


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (TRAIN_LABELS[:-30], r"train_label\.xml is no well-formed XML: .* in line \d+, column \d+\. Take it from"),
        (b"", r"train_label\.xml is no well-formed XML: no element found"),
        (xml(), r"train_label\.xml has no Item elements"),
        (TRAIN_LABELS.replace(b"gb2312", b"gb2313"), r"train_label\.xml says that it is in gb2313, and is not"),
        (TRAIN_LABELS.replace(b"Items", b"\xff\xffs"), r"says that it is in gb2312, and is not"),
        (
            TRAIN_LABELS.replace(b"?>", b"?><!DOCTYPE a [<!ENTITY b 'c'>]>"),
            r"train_label\.xml declares a document type",
        ),
        (xml(item(TRAIN[0]), item(TRAIN[1], typeID=None)), r"1 Items are wrong: Item 2 \(no typeID\)\. An Item has"),
        (xml(item(TRAIN[0], 11), item(TRAIN[1])), r"Item 1 \(colorID 11\).*colorID is 1 to 10, typeID 1 to 9"),
        (xml(item(TRAIN[0], 1, 10), item(TRAIN[1])), r"Item 1 \(typeID 10\)"),
        (xml(item(TRAIN[0], "red"), item(TRAIN[1])), r"Item 1 \(colorID 'red'\)"),
        (xml(item(TRAIN[0], cameraID="cam1"), item(TRAIN[1])), r"Item 1 \(cameraID 'cam1'\)"),
        (xml(item(TRAIN[0]), item(TRAIN[0]), item(TRAIN[1])), r"Item 2 \(0001_c001_00016450_0\.jpg is named twice\)"),
        (
            xml(*[item(f"000{n}_c001_0.jpg", 99) for n in range(9)]),
            r"9 Items are wrong: .*Item 5 \(colorID 99\) and 4 more",
        ),
        (
            xml(item(TRAIN[0])),
            r"train_label\.xml has no Item for 1 images: 0776_c020_00027065_3\.jpg\. .*or remove it to read",
        ),
        (
            xml(item(TRAIN[0]), item(TRAIN[1]), item("0009_c001_00000000_0.jpg")),
            r"train_label\.xml names 1 images that are not there: 0009_c001_00000000_0\.jpg\. Unpack .*37,746"
            r".*`ingestion\.variant` to 'reduced'",
        ),
        (
            xml(item(TRAIN[0], vehicleID="0003"), item(TRAIN[1])),
            r"gives 1 images another vehicle or camera than their file names: 0001_c001_00016450_0\.jpg"
            r" \(Item: vehicle 3, camera 1\)",
        ),
        (xml(item(TRAIN[0], cameraID="c004"), item(TRAIN[1])), r"\(Item: vehicle 1, camera 4\)"),
    ],
)
def test_a_label_file_that_is_wrong(lay, content, answer):
    with pytest.raises(UserError, match=answer):
        read(lay(IMAGES, {**LABELS, "train_label.xml": content}), INGESTION)


def test_test_labels_of_absent_images_are_refused_even_in_the_reduced_version(lay):
    labels = {"test_label.xml": xml(item(TEST[0]), item(TEST[1]), item("0009_c001_00000000_0.jpg"))}
    for variant in (None, "reduced"):
        with pytest.raises(UserError, match=r"test_label\.xml names 1 images that are not there"):
            read(lay(IMAGES, labels), IngestionParameters(reader="veri776", variant=variant))


def test_the_reduced_version_lacks_training_images(lay):
    labels = {**LABELS, "train_label.xml": xml(item(TRAIN[0]), item(TRAIN[1]), item("0009_c001_00000000_0.jpg"))}
    reading = read(lay(IMAGES, labels), IngestionParameters(reader="veri776", variant="reduced"))
    assert reading.version == "reduced"
    assert len(reading.manifest) == 5
    assert "train_label.xml names 1 images that are not there; version reduced lacks some." in reading.notes


def test_unknown_colours_and_unlabelled_test_images_are_null_and_counted(lay):
    labels = {"train_label.xml": xml(item(TRAIN[0], 1, 0), item(TRAIN[1], 0, 0)), "test_label.xml": xml(item(TEST[1]))}
    reading = read(lay(IMAGES, labels), INGESTION)
    assert column(reading.manifest, "type") == dict(zip(IMAGES, [None, None, None, None, "hatchback"], strict=True))
    assert column(reading.manifest, "colour")[IMAGES[0]] == "yellow"
    assert reading.notes[:3] == (
        "train_label.xml gives 1 images the colour 0, which is none; theirs is null.",
        "train_label.xml gives 2 images the type 0, which is none; theirs is null.",
        "test_label.xml has no Item for 2 images; their colour and type are null.",
    )


def test_key_points_of_some_images(lay):
    points = {
        "veri_keypoint_train.txt": f"{TRAIN[0]} 2\n0099_c001_00000000_0.jpg {POINTS} 1\n",
        "keypoint_test.txt": f"{TEST[0]} 4\n{TEST[0]} 4\n{TEST[1]} 4\n{TEST[1]} 5\n",
    }
    reading = read(lay(IMAGES, {**LABELS, **points}), INGESTION)
    assert column(reading.manifest, "viewid") == dict(zip(IMAGES, [2, None, 4, 4, None], strict=True))
    assert reading.notes == (
        "veri_keypoint_train.txt does not mention 1 images; their viewid is null.",
        "veri_keypoint_train.txt mentions 1 images that are not there.",
        "keypoint_test.txt gives 1 images two viewpoints; their viewid is null.",
    )


@pytest.mark.parametrize("line", ["image_train/a.jpg", "a.jpg -1 -1 8", "a.jpg 1 2 front", "a.jpg 1 -1"])
def test_a_malformed_line_of_key_points(lay, line):
    with pytest.raises(UserError) as caught:
        read(lay(IMAGES, {"keypoint_train.txt": f"{TRAIN[0]} 1\n{line}\n"}), INGESTION)
    assert str(caught.value).startswith("keypoint_train.txt: 1 lines are not '<image path> <key points> <viewpoint")
    assert f"line 2 {line!r}" in str(caught.value)


def test_tracks_are_noted_as_unread(lay):
    reading = read(lay(IMAGES, {**LABELS, **KEY_POINTS, "test_track.txt": f"{TEST[0]} {TEST[1]}\n"}), INGESTION)
    assert reading.notes == ("Track files are not read: trackid is null, and queries are matched image by image.",)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("0001_c1s1_000451_03.jpg", r"1 file names are not VeRi-776's: image_query/"),
        ("0000_c001_00016450_0.jpg", r"1 file names are not VeRi-776's: image_query/"),
        ("0001_c021_00016450_0.jpg", r"camera that VeRi-776 does not have \(it has 1 to 20\)"),
    ],
)
def test_names_and_cameras_outside_the_grammar(lay, name, answer):
    with pytest.raises(UserError, match=answer):
        read(lay([*IMAGES, f"image_query/{name}"]), INGESTION)
