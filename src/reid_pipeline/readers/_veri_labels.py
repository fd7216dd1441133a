"""VeRi-776's label files: XML with an Item per image that has vehicle, camera, colour and type."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

from reid_pipeline.readers._folder import refuse
from reid_pipeline.readers._layout import Picture
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.raw_folder import RawFolder

# Numbered from 1, as list_color.txt and list_type.txt of the archive say.
COLOURS = ("yellow", "orange", "green", "gray", "red", "blue", "white", "golden", "brown", "black")
TYPES = ("sedan", "suv", "van", "hatchback", "mpv", "pickup", "bus", "truck", "estate")

_DECLARATION = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["'][^>]*?\?>""")
_ATTRIBUTES = ("imageName", "vehicleID", "cameraID", "colorID", "typeID")
_LARGEST = {"colorID": len(COLOURS), "typeID": len(TYPES)}


@dataclass(frozen=True, slots=True)
class Label:
    """What one Item has; colour and type are None where it says 0, which stands for unknown."""

    vehicle: int
    camera: int
    colour: str | None
    type: str | None


def read_labels(raw: RawFolder, path: str) -> dict[str, Label]:
    """Return image name to label. Linear in Items.

    Raises:
        UserError: the file is no XML, or declares an encoding that it is not in; it has no Item; an Item
            lacks an attribute, has one that is out of range, or names an image twice.
    """
    items = list(_parse(raw, path).iter("Item"))
    if not items:
        raise UserError(f"{path} has no Item elements. Take it from the archive again.")
    labels: dict[str, Label] = {}
    wrong = []
    for number, item in enumerate(items, 1):
        try:
            label = _label(item)
        except ValueError as error:
            wrong.append(f"Item {number} ({error})")
            continue
        if item.attrib["imageName"] in labels:
            wrong.append(f"Item {number} ({item.attrib['imageName']} is named twice)")
        labels[item.attrib["imageName"]] = label
    refuse(
        wrong,
        "{path}: {count} Items are wrong: {cases}. An Item has {attributes}; colorID is 1 to {colours}, typeID 1 to"
        " {types}, and 0 is unknown. Correct them, or take the file from the archive again.",
        path=path,
        attributes=", ".join(_ATTRIBUTES),
        colours=len(COLOURS),
        types=len(TYPES),
    )
    return labels


def check_labels(
    path: str, labels: Mapping[str, Label], present: Mapping[str, tuple[int, int]], required: Iterable[str]
) -> None:
    """Refuse, with a `UserError`, labels that do not fit the images.

    `present` has vehicle and camera (from 1) of the file names that are there; those `required` must have an Item.
    """
    refuse(
        [name for name in required if name not in labels],
        "{path} has no Item for {count} images: {cases}. Take the file from the archive again, or remove it to read the"
        " images without colour and type.",
        path=path,
    )
    refuse(
        [
            f"{name} (Item: vehicle {label.vehicle}, camera {label.camera})"
            for name, label in labels.items()
            if name in present and present[name] != (label.vehicle, label.camera)
        ],
        "{path} gives {count} images another vehicle or camera than their file names: {cases}. Take the file from the"
        " archive again.",
        path=path,
    )


def label_file(root: str, pictures: Mapping[str, Picture]) -> bytes:
    """Return the label file of pictures by file name, as `read_labels` reads it, with the root element `root`."""
    items = [
        f'    <Item imageName="{name}" vehicleID="{picture.identity:04d}" cameraID="c{picture.camera + 1:03d}"'
        f' colorID="{COLOURS.index(picture.colour or "") + 1}" typeID="{TYPES.index(picture.type or "") + 1}" />'
        for name, picture in pictures.items()
    ]
    first = ['<?xml version="1.0" encoding="gb2312"?>', f'<{root} Version="1.0">', f'  <Items number="{len(items)}">']
    return "\n".join([*first, *items, "  </Items>", f"</{root}>", ""]).encode("gb2312")


def _parse(raw: RawFolder, path: str) -> ElementTree.Element:
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


def _label(item: ElementTree.Element) -> Label:
    """Return an Item's label; a ValueError says what is wrong with it."""
    missing = [name for name in _ATTRIBUTES if name not in item.attrib]
    if missing:
        raise ValueError(f"no {', '.join(missing)}")
    numbers = {}
    for name in ("cameraID", "vehicleID", "colorID", "typeID"):
        text = item.attrib[name].removeprefix("c") if name == "cameraID" else item.attrib[name]
        if re.fullmatch(r"[0-9]+", text) is None:
            raise ValueError(f"{name} {item.attrib[name]!r}")
        numbers[name] = int(text)
        if numbers[name] > _LARGEST.get(name, numbers[name]):
            raise ValueError(f"{name} {numbers[name]}")
    colour, kind = (None, *COLOURS)[numbers["colorID"]], (None, *TYPES)[numbers["typeID"]]
    return Label(numbers["vehicleID"], numbers["cameraID"], colour, kind)
