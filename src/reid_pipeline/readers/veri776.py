"""VeRi-776, as distributed: three folders, label files in XML, optional key-point files.

`0001_c001_00016450_0.jpg`: vehicle, camera, time, box. train_label.xml and test_label.xml have colours and
types; of the queries too, which are images of the test under the same names.
"""

import re
from collections.abc import Iterable

from reid_pipeline.readers._folder import Image, check_variant, manifest_of, matched_lines, only_place, refuse
from reid_pipeline.readers._layout import Picture, individuals, lines_of
from reid_pipeline.readers._market_layout import MarketLayout
from reid_pipeline.readers._veri_labels import COLOURS, TYPES, Label, check_labels, label_file, read_labels
from reid_pipeline.schema.benchmark import Benchmark, Counts, Reading, Version
from reid_pipeline.schema.columns import PATH, VIEWID
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder

_TEST = {"query": Counts(1_678, 200), "gallery": Counts(11_579, 200)}
FEWER_TRAIN = "reduced"

BENCHMARK = Benchmark(
    title="VeRi-776",
    noun="vehicle",
    reference=(
        "Liu et al., A Deep Learning-Based Approach to Progressive Vehicle Re-identification for Urban Surveillance,"
        " ECCV 2016; viewpoints: Wang et al., Orientation Invariant Feature Embedding, ICCV 2017"
    ),
    licence="For non-commercial research only.",
    source="Its authors hand it out on request by e-mail; the key-point files are published separately.",
    layout="image_train/, image_query/, image_test/",
    cameras=20,
    versions=(
        Version("complete", {"train": Counts(37_778, 576), **_TEST}),
        Version(FEWER_TRAIN, {"train": Counts(37_746, 575), **_TEST}),
    ),
    archives=("VeRi", "VeRi-776", "VeRi776"),
)

LAYOUT = MarketLayout(
    benchmark=BENCHMARK,
    file_name=re.compile(r"(?P<pid>(?!0000)[0-9]{4})_c(?P<camera>[0-9]{3})_[0-9]{8}_[0-9]+\.jpg"),
    grammar="<vehicle from 0001>_c<camera>_<time>_<box>.jpg, for example 0001_c001_00016450_0.jpg",
    folders={"image_train": "train", "image_query": "query", "image_test": "gallery"},
    name_of=lambda picture: f"{picture.identity:04d}_c{picture.camera + 1:03d}_{picture.frame:08d}_0.jpg",
)

LABEL_FILES = {"train": "train_label.xml", "test": "test_label.xml"}
VIEWPOINT_FILES = {
    "train": ("keypoint_train.txt", "veri_keypoint_train.txt"),
    "test": ("keypoint_test.txt", "veri_keypoint_test.txt"),
}
"""Names of the file of each split. Queries are images of the test, under the same file names."""

_LINE = re.compile(r"(?P<path>\S+)\s(?:.*\s)?(?P<view>[0-7])")
_GRAMMAR = (
    "'<image path> <key points> <viewpoint from 0 to 7>', for example"
    " 'VeRi/image_train/0001_c001_00016450_0.jpg -1 -1 3'"
)
_MISSING = (
    "{path} names {count} images that are not there: {cases}. Unpack the archive again. If it is the one with 37,746"
    " training images, set `ingestion.variant` to '{fewer}'."
)


def read(raw: RawFolder, ingestion: IngestionParameters) -> Reading:
    """Turn names, labels and viewpoints into the manifest, with columns colour and type; opens no image.

    Without label files colour and type are null, without key-point files viewid is; no image is dropped.

    Raises:
        UserError: a folder of the three is missing or empty, or a name is outside the grammar; a label file
            is malformed, names an absent image, lacks a training image or contradicts a file name; a line of
            a key-point file is malformed; `ingestion.variant` names a version that does not exist.
    """
    check_variant(ingestion, BENCHMARK)
    images = LAYOUT.images(raw)
    place = only_place(raw, BENCHMARK, LAYOUT.folders)
    splits = {
        "train": [image for image in images if image.subset == "train"],
        "test": [image for image in images if image.subset != "train"],
    }
    labels, notes = _labels(raw, place, splits, ingestion.variant)
    views, view_notes = _viewpoints(raw, place, splits)
    manifest = manifest_of(images)
    paths = manifest[PATH]
    manifest[VIEWID] = paths.map(views).astype("Int64")
    manifest["colour"] = paths.map({path: label.colour for path, label in labels.items()}).astype("str")
    manifest["type"] = paths.map({path: label.type for path, label in labels.items()}).astype("str")
    if any(path.endswith("_track.txt") for path in raw.files):
        notes.append("Track files are not read: trackid is null, and queries are matched image by image.")
    return Reading(manifest, ingestion.variant, (*notes, *view_notes))


def lay_out(pictures: Iterable[Picture]) -> dict[str, bytes]:
    """Name vehicles as VeRi-776 is distributed, with labels and key points: queries lie in `image_test` too."""
    archive, vehicles = BENCHMARK.archives[0], individuals(pictures)
    train = [picture for picture in vehicles if picture.subset == "train"]
    test = [picture for picture in vehicles if picture.subset != "train"]
    query = [picture for picture in test if picture.subset == "query"]
    files: dict[str, bytes] = {}
    for split, part in (("train", train), ("query", query), ("test", test)):
        named = {LAYOUT.name_of(picture): picture for picture in part}
        files |= {f"image_{split}/{name}": picture.data for name, picture in named.items()}
        files[f"name_{split}.txt"] = lines_of(sorted(named))
        if split != "query":
            files[LABEL_FILES[split]] = label_file("TrainingImages" if split == "train" else "TestImages", named)
            files[VIEWPOINT_FILES[split][0]] = lines_of(
                f"image_{split}/{name} {' '.join(map(str, picture.key_points))} {picture.viewpoint}"
                for name, picture in named.items()
            )
    for kind, words in (("color", COLOURS), ("type", TYPES)):
        files[f"list_{kind}.txt"] = lines_of(f"{number} {word}" for number, word in enumerate(words, 1))
    return {f"{archive}/{path}": content for path, content in sorted(files.items())}


def _labels(
    raw: RawFolder, place: str, splits: dict[str, list[Image]], variant: str | None
) -> tuple[dict[str, Label], list[str]]:
    """Return labels by image path, and notes."""
    found: dict[str, Label] = {}
    notes = []
    for split, file in LABEL_FILES.items():
        path = f"{place}{file}"
        if path not in raw.files:
            notes.append(f"No {file}: colour and type are null in {split}.")
            continue
        labels = read_labels(raw, path)
        present = {_name(image.path): (image.pid, (image.camid or 0) + 1) for image in splits[split]}
        check_labels(path, labels, present, [*present] if split == "train" else [])
        missing = [name for name in labels if name not in present]
        if missing and split == "train" and variant == FEWER_TRAIN:
            notes.append(f"{path} names {len(missing):,} images that are not there; version {variant} lacks some.")
        else:
            refuse(missing, _MISSING, path=path, fewer=FEWER_TRAIN)
        labelled = {image.path: labels[_name(image.path)] for image in splits[split] if _name(image.path) in labels}
        found.update(labelled)
        if len(labelled) < len(splits[split]):
            without = len(splits[split]) - len(labelled)
            notes.append(f"{file} has no Item for {without:,} images; their colour and type are null.")
        for column in ("colour", "type"):
            unknown = sum(getattr(label, column) is None for label in labels.values())
            if unknown:
                notes.append(f"{file} gives {unknown:,} images the {column} 0, which is none; theirs is null.")
    return found, notes


def _viewpoints(raw: RawFolder, place: str, splits: dict[str, list[Image]]) -> tuple[dict[str, int], list[str]]:
    """Return viewpoints by image path, and notes on what has none; the files lie beside the folders or at the top."""
    views: dict[str, int] = {}
    notes = []
    for split, files in VIEWPOINT_FILES.items():
        paths = [f"{where}{file}" for where in (place, "") for file in files if f"{where}{file}" in raw.files]
        if not paths:
            notes.append(f"No key-point file for {split} ({files[0]}): viewid is null there.")
            continue
        given: dict[str, set[int]] = {}
        for _, line in matched_lines(raw, paths[0], _LINE, _GRAMMAR):
            given.setdefault(_name(line["path"]), set()).add(int(line["view"]))
        names = {image.path: _name(image.path) for image in splits[split]}
        views |= {path: min(given[name]) for path, name in names.items() if len(given.get(name, ())) == 1}
        without = sum(name not in given for name in names.values())
        disputed = sum(len(numbers) > 1 for numbers in given.values())
        unknown = len(given.keys() - set(names.values()))
        if without:
            notes.append(f"{paths[0]} does not mention {without:,} images; their viewid is null.")
        if disputed:
            notes.append(f"{paths[0]} gives {disputed:,} images two viewpoints; their viewid is null.")
        if unknown:
            notes.append(f"{paths[0]} mentions {unknown:,} images that are not there.")
    return views, notes


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]
