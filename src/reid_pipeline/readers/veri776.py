"""VeRi-776, as distributed: three folders, label files in XML, optional key-point files.

`0001_c001_00016450_0.jpg`: vehicle, camera, time, box. train_label.xml and test_label.xml tell colours and
types; of the queries too, which are images of the test half under the same names.
"""

import re

from reid_pipeline.readers._checks import check_variant
from reid_pipeline.readers._folder import only_place
from reid_pipeline.readers._manifest import Image, manifest_of
from reid_pipeline.readers._market_layout import MarketLayout, market_images
from reid_pipeline.readers._veri_labels import Label, check_labels, read_labels
from reid_pipeline.readers._veri_viewpoints import read_viewpoints
from reid_pipeline.schema.benchmark import Benchmark, Counts, Reading, Version
from reid_pipeline.schema.columns import PATH, VIEWID
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder

_TEST = {"query": Counts(1_678, 200), "gallery": Counts(11_579, 200)}
FEWER_TRAIN = "reduced"

BENCHMARK = Benchmark(
    title="VeRi-776",
    noun="vehicle",
    reference=(
        "Liu et al., A Deep Learning-Based Approach to Progressive Vehicle Re-identification for Urban"
        " Surveillance, ECCV 2016; viewpoints: Wang et al., Orientation Invariant Feature Embedding, ICCV"
        " 2017"
    ),
    licence="For non-commercial research only.",
    source="Its authors hand it out on request by e-mail; the key-point files are published separately.",
    layout="image_train/, image_query/, image_test/",
    cameras=20,
    versions=(
        Version("complete", {"train": Counts(37_778, 576), **_TEST}),
        Version(FEWER_TRAIN, {"train": Counts(37_746, 575), **_TEST}),
    ),
)

LAYOUT = MarketLayout(
    benchmark=BENCHMARK,
    folders={"image_train": "train", "image_query": "query", "image_test": "gallery"},
    distributed_as=("VeRi", "VeRi-776", "VeRi776"),
    file_name=re.compile(r"(?P<pid>(?!0000)[0-9]{4})_c(?P<camera>[0-9]{3})_[0-9]{8}_[0-9]+\.jpg"),
    grammar="<vehicle from 0001>_c<camera>_<time>_<box>.jpg, for example 0001_c001_00016450_0.jpg",
)

LABEL_FILES = {"train": "train_label.xml", "test": "test_label.xml"}


def read(raw: RawFolder, ingestion: IngestionParameters) -> Reading:
    """Turn names, labels and viewpoints into the manifest, with columns colour and type; opens no image.

    Without label files colour and type are null, without key-point files viewid is; no image is dropped.

    Raises:
        UserError: a folder of the three is missing or empty, or a name is outside the grammar; a label file
            is malformed, names an absent image, lacks a training image or contradicts a file name; a line of
            a key-point file is malformed; `ingestion.variant` names a version that does not exist.
    """
    check_variant(ingestion, BENCHMARK)
    images = market_images(raw, LAYOUT)
    place = only_place(raw, BENCHMARK, LAYOUT.folders, LAYOUT.distributed_as)
    labels, notes = _labels(raw, place, images, ingestion.variant)
    views, view_notes = read_viewpoints(raw, place, images)
    manifest = manifest_of(images)
    paths = manifest[PATH]
    manifest[VIEWID] = paths.map(views).astype("Int64")
    manifest["colour"] = paths.map({path: label.colour for path, label in labels.items()}).astype("str")
    manifest["type"] = paths.map({path: label.type for path, label in labels.items()}).astype("str")
    if any(path.endswith("_track.txt") for path in raw.files):
        notes.append("Track files are not read: trackid is null, and queries are matched image by image.")
    return Reading(manifest, ingestion.variant, (*notes, *view_notes))


def _labels(raw: RawFolder, place: str, images: list[Image], variant: str | None) -> tuple[dict[str, Label], list[str]]:
    """Return labels by image path, and notes."""
    found: dict[str, Label] = {}
    notes = []
    for half, name in LABEL_FILES.items():
        in_half = [image for image in images if (image.subset == "train") == (half == "train")]
        if f"{place}{name}" not in raw.files:
            notes.append(f"No {name}: colour and type are null in {half}.")
            continue
        labels = read_labels(raw, f"{place}{name}")
        present = {_name(image): (image.pid, (image.camid or 0) + 1) for image in in_half}
        check_labels(f"{place}{name}", labels, present, [*present] if half == "train" else [])
        notes += _absent(f"{place}{name}", labels, present, tolerated=half == "train" and variant == FEWER_TRAIN)
        found.update({image.path: labels[_name(image)] for image in in_half if _name(image) in labels})
        without = sum(_name(image) not in labels for image in in_half)
        if without:
            notes.append(f"{name} has no Item for {without:,} images; their colour and type are null.")
        for column, unknown in (
            ("colour", sum(label.colour is None for label in labels.values())),
            ("type", sum(label.type is None for label in labels.values())),
        ):
            if unknown:
                notes.append(f"{name} gives {unknown:,} images the {column} 0, which is none; theirs is null.")
    return found, notes


def _absent(path: str, labels: dict[str, Label], present: dict[str, tuple[int, int]], *, tolerated: bool) -> list[str]:
    """Refuse Items of images that are not there, or note them where the version is known to lack some."""
    missing = [name for name in labels if name not in present]
    if not missing:
        return []
    if tolerated:
        return [f"{path} names {len(missing):,} images that are not there; version {FEWER_TRAIN} lacks some."]
    raise UserError(
        f"{path} names {len(missing)} images that are not there: {first_few(missing)}. Unpack the archive"
        f" again. If it is the one with 37,746 training images, set `ingestion.variant` to '{FEWER_TRAIN}'."
    )


def _name(image: Image) -> str:
    return image.path.rsplit("/", 1)[-1]
