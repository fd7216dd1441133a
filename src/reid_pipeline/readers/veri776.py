"""VeRi-776, as distributed: three folders, label files in XML, optional key-point files."""

import re
from collections.abc import Container, Iterable, Mapping
from typing import NamedTuple
from xml.etree import ElementTree

from reid_pipeline.readers import _folder
from reid_pipeline.readers._market_layout import MarketLayout
from reid_pipeline.schema.benchmark import Benchmark, Counts, Reading, Version
from reid_pipeline.schema.columns import PATH, VIEWID
from reid_pipeline.schema.errors import UserError
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

# Names of the file of each split. Queries are images of the test, under the same file names.
_LABEL_FILES = {"train": "train_label.xml", "test": "test_label.xml"}
_VIEWPOINT_FILES = {split: (f"keypoint_{split}.txt", f"veri_keypoint_{split}.txt") for split in _LABEL_FILES}

# Numbered from 1, as list_color.txt and list_type.txt of the archive say.
_COLOURS = ("yellow", "orange", "green", "gray", "red", "blue", "white", "golden", "brown", "black")
_TYPES = ("sedan", "suv", "van", "hatchback", "mpv", "pickup", "bus", "truck", "estate")
_WORDS = {"colour": _COLOURS, "type": _TYPES}

_DECLARATION = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["'][^>]*?\?>""")
_ATTRIBUTES = ("imageName", "vehicleID", "cameraID", "colorID", "typeID")
_LARGEST = {"colorID": len(_COLOURS), "typeID": len(_TYPES)}
_LINE = re.compile(r"(?P<path>\S+)\s(?:.*\s)?(?P<view>[0-7])")
_GRAMMAR = (
    "'<image path> <key points> <viewpoint from 0 to 7>', for example"
    " 'VeRi/image_train/0001_c001_00016450_0.jpg -1 -1 3'"
)


class _Label(NamedTuple):
    """What one Item has; colour and type are None where it says 0, which stands for unknown."""

    vehicle: int
    camera: int
    colour: str | None
    type: str | None


def read(raw: RawFolder, ingestion: IngestionParameters) -> Reading:
    """Turn names, labels and viewpoints into the manifest, with columns colour and type; opens no image.

    Without label files colour and type are null, without key-point files viewid is; no image is dropped.

    Raises:
        UserError: a folder of the three is missing or empty, or a name is outside the grammar; a label file does not
            fit the images; a label or key-point file is malformed; `ingestion.variant` names an unknown version.
    """
    _folder.check_variant(ingestion, BENCHMARK)
    images = LAYOUT.images(raw)
    place = _folder.only_place(raw, BENCHMARK, LAYOUT.folders)
    splits = {
        split: [image for image in images if (image.subset == "train") == (split == "train")] for split in _LABEL_FILES
    }
    labels, notes = _labels(raw, place, splits, ingestion.variant)
    views, view_notes = _viewpoints(raw, place, splits)
    manifest = _folder.manifest_of(images)
    manifest[VIEWID] = manifest[PATH].map(views).astype("Int64")
    for column in _WORDS:
        words = {path: getattr(label, column) for path, label in labels.items()}
        manifest[column] = manifest[PATH].map(words).astype("str")
    if any(path.endswith("_track.txt") for path in raw.files):
        notes.append("Track files are not read: trackid is null, and queries are matched image by image.")
    return Reading(manifest, ingestion.variant, (*notes, *view_notes))


def lay_out(pictures: Iterable[_folder.Picture]) -> dict[str, bytes]:
    """Name vehicles as VeRi-776 is distributed, with labels and key points: queries lie in `image_test` too."""
    parts: dict[str, list[_folder.Picture]] = {"train": [], "query": [], "test": []}
    for picture in _folder.individuals(pictures):
        parts["train" if picture.subset == "train" else "test"].append(picture)
    parts["query"] = [picture for picture in parts["test"] if picture.subset == "query"]
    files: dict[str, bytes] = {}
    for split, part in parts.items():
        named = {LAYOUT.name_of(picture): picture for picture in part}
        files |= {f"image_{split}/{name}": picture.data for name, picture in named.items()}
        files[f"name_{split}.txt"] = _folder.lines_of(sorted(named))
        if split != "query":
            files[_LABEL_FILES[split]] = _label_file("TrainingImages" if split == "train" else "TestImages", named)
            files[_VIEWPOINT_FILES[split][0]] = _folder.lines_of(
                f"image_{split}/{name} {' '.join(map(str, picture.key_points))} {picture.viewpoint}"
                for name, picture in named.items()
            )
    for file, words in zip(("list_color.txt", "list_type.txt"), _WORDS.values(), strict=True):
        files[file] = _folder.lines_of(f"{number} {word}" for number, word in enumerate(words, 1))
    return {f"{BENCHMARK.archives[0]}/{path}": content for path, content in sorted(files.items())}


def _label_file(root: str, pictures: Mapping[str, _folder.Picture]) -> bytes:
    """Return the label file of pictures by file name, with the root element `root`."""
    items = [
        f'    <Item imageName="{name}" vehicleID="{picture.identity:04d}" cameraID="c{picture.camera + 1:03d}"'
        f' colorID="{_COLOURS.index(picture.colour or "") + 1}" typeID="{_TYPES.index(picture.type or "") + 1}" />'
        for name, picture in pictures.items()
    ]
    first = ['<?xml version="1.0" encoding="gb2312"?>', f'<{root} Version="1.0">', f'  <Items number="{len(items)}">']
    return "\n".join([*first, *items, "  </Items>", f"</{root}>", ""]).encode("gb2312")


def _labels(
    raw: RawFolder, place: str, splits: Mapping[str, list[_folder.Image]], variant: str | None
) -> tuple[dict[str, _Label], list[str]]:
    """Return labels by image path, and notes."""
    found: dict[str, _Label] = {}
    notes = []
    for split, file in _LABEL_FILES.items():
        path = f"{place}{file}"
        if path not in raw.files:
            notes.append(f"No {file}: colour and type are null in {split}.")
            continue
        labels, names = _items(raw, path), {image.path: _name(image.path) for image in splits[split]}
        if missing := _checked(path, labels, splits[split], fewer=split == "train" and variant == FEWER_TRAIN):
            notes.append(f"{path} names {missing:,} images that are not there; version {variant} lacks some.")
        found |= {image: labels[name] for image, name in names.items() if name in labels}
        if without := sum(name not in labels for name in names.values()):
            notes.append(f"{file} has no Item for {without:,} images; their colour and type are null.")
        notes += [
            f"{file} gives {unknown:,} images the {column} 0, which is none; theirs is null."
            for column in _WORDS
            if (unknown := sum(getattr(label, column) is None for label in labels.values()))
        ]
    return found, notes


def _checked(path: str, labels: Mapping[str, _Label], images: list[_folder.Image], *, fewer: bool) -> int:
    """Refuse labels that do not fit the images of their split; return how many of no image are allowed by `fewer`."""
    present = {_name(image.path): (image.pid, (image.camid or 0) + 1) for image in images}
    _folder.refuse(
        [_name(image.path) for image in images if image.subset == "train" and _name(image.path) not in labels],
        "{path} has no Item for {count} images: {cases}. Take the file from the archive again, or remove it to read the"
        " images without colour and type.",
        path=path,
    )
    _folder.refuse(
        [
            f"{name} (Item: vehicle {label.vehicle}, camera {label.camera})"
            for name, label in labels.items()
            if name in present and present[name] != (label.vehicle, label.camera)
        ],
        "{path} gives {count} images another vehicle or camera than their file names: {cases}. Take the file from the"
        " archive again.",
        path=path,
    )
    missing = [name for name in labels if name not in present]
    _folder.refuse(
        [] if fewer else missing,
        "{path} names {count} images that are not there: {cases}. Unpack the archive again. If it is the one with"
        " 37,746 training images, set `ingestion.variant` to '{fewer}'.",
        path=path,
        fewer=FEWER_TRAIN,
    )
    return len(missing)


def _items(raw: RawFolder, path: str) -> dict[str, _Label]:
    """Return a label file as image name to label; refuse Items that are incomplete, out of range or there twice."""
    items = list(_xml(raw, path).iter("Item"))
    if not items:
        raise UserError(f"{path} has no Item elements. Take it from the archive again.")
    labels: dict[str, _Label] = {}
    wrong = []
    for number, item in enumerate(items, 1):
        try:
            labels[item.attrib["imageName"]] = _label(item, labels)
        except ValueError as error:
            wrong.append(f"Item {number} ({error})")
    _folder.refuse(
        wrong,
        "{path}: {count} Items are wrong: {cases}. An Item has {attributes}; colorID is 1 to {colours}, typeID 1 to"
        " {types}, and 0 is unknown. Correct them, or take the file from the archive again.",
        path=path,
        attributes=", ".join(_ATTRIBUTES),
        colours=len(_COLOURS),
        types=len(_TYPES),
    )
    return labels


def _label(item: ElementTree.Element, known: Container[str]) -> _Label:
    """Return an Item's label; a ValueError says what is wrong with it, such as that its image is known."""
    if missing := [name for name in _ATTRIBUTES if name not in item.attrib]:
        raise ValueError(f"no {', '.join(missing)}")
    numbers = {}
    for name in ("cameraID", "vehicleID", "colorID", "typeID"):
        text = item.attrib[name].removeprefix("c") if name == "cameraID" else item.attrib[name]
        if re.fullmatch(r"[0-9]+", text) is None:
            raise ValueError(f"{name} {item.attrib[name]!r}")
        numbers[name] = int(text)
        if numbers[name] > _LARGEST.get(name, numbers[name]):
            raise ValueError(f"{name} {numbers[name]}")
    if item.attrib["imageName"] in known:
        raise ValueError(f"{item.attrib['imageName']} is named twice")
    colour, kind = (None, *_COLOURS)[numbers["colorID"]], (None, *_TYPES)[numbers["typeID"]]
    return _Label(numbers["vehicleID"], numbers["cameraID"], colour, kind)


def _xml(raw: RawFolder, path: str) -> ElementTree.Element:
    """Parse in the declared encoding; the parser itself knows none of the multi-byte ones, such as gb2312."""
    content = raw.read_bytes(path)
    declared = _DECLARATION.match(content)
    encoding = declared[1].decode() if declared else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except (LookupError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} says that it is in {encoding}, and is not ({error}). Take it from the archive again."
        ) from error
    if "<!DOCTYPE" in text:
        raise UserError(f"{path} declares a document type, which no label file does. Is it the right file?")
    try:
        # Without document type there are no entities, hence nothing to expand.
        return ElementTree.fromstring(re.sub(r"^\s*<\?xml.*?\?>", "", text, count=1))  # noqa: S314
    except ElementTree.ParseError as error:
        line, column = error.position
        raise UserError(
            f"{path} is no well-formed XML: {str(error).split(':')[0]} in line {line}, column {column}. Take"
            " it from the archive again."
        ) from error


def _viewpoints(raw: RawFolder, place: str, splits: dict[str, list[_folder.Image]]) -> tuple[dict[str, int], list[str]]:
    """Return viewpoints by image path, and notes on what has none; the files lie beside the folders or at the top."""
    views: dict[str, int] = {}
    notes = []
    for split, files in _VIEWPOINT_FILES.items():
        paths = [f"{where}{file}" for where in (place, "") for file in files if f"{where}{file}" in raw.files]
        if not paths:
            notes.append(f"No key-point file for {split} ({files[0]}): viewid is null there.")
            continue
        given: dict[str, set[int]] = {}
        for _, line in _folder.matched_lines(raw, paths[0], _LINE, _GRAMMAR):
            given.setdefault(_name(line["path"]), set()).add(int(line["view"]))
        names = {image.path: _name(image.path) for image in splits[split]}
        views |= {path: min(given[name]) for path, name in names.items() if len(given.get(name, ())) == 1}
        facts = {
            "does not mention {:,} images; their viewid is null.": sum(name not in given for name in names.values()),
            "gives {:,} images two viewpoints; their viewid is null.": sum(len(found) > 1 for found in given.values()),
            "mentions {:,} images that are not there.": len(given.keys() - set(names.values())),
        }
        notes += [f"{paths[0]} {fact.format(count)}" for fact, count in facts.items() if count]
    return views, notes


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]
