"""VeRi-776's files for drawn vehicles: folders, name lists, labels in XML, key points."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reid_drawings.pictures import Picture
from reid_drawings.vehicles.shapes import COLOURS, TYPES

TRAIN, QUERY, TEST = "image_train", "image_query", "image_test"
_XML_ENCODING = "gb2312"


def veri776_files(pictures: Sequence[Picture]) -> dict[str, bytes]:
    """Lay vehicles out as VeRi-776 is distributed: the queries are among the files of `image_test` too.

    Args:
        pictures: of vehicles, with viewpoint, colour, type and key points.

    Returns:
        files by relative POSIX path, sorted by path.
    """
    train = [picture for picture in pictures if picture.subset == "train"]
    test = [picture for picture in pictures if picture.subset != "train"]
    query = [picture for picture in test if picture.subset == "query"]
    files = {
        f"{folder}/{veri776_name(picture)}": picture.data
        for folder, part in ((TRAIN, train), (QUERY, query), (TEST, test))
        for picture in part
    }
    for stem, part in (("train", train), ("query", query), ("test", test)):
        files[f"name_{stem}.txt"] = _lines(sorted(veri776_name(picture) for picture in part))
    for stem, root, part in (("train", "TrainingImages", train), ("test", "TestImages", test)):
        files[f"{stem}_label.xml"] = _labels(root, part)
        folder = TRAIN if stem == "train" else TEST
        files[f"keypoint_{stem}.txt"] = _lines(_key_points(folder, picture) for picture in part)
    files["list_color.txt"] = _lines(f"{number} {name}" for number, name in enumerate(COLOURS, 1))
    files["list_type.txt"] = _lines(f"{number} {name}" for number, name in enumerate(TYPES, 1))
    return dict(sorted(files.items()))


def veri776_name(picture: Picture) -> str:
    """A file's name in VeRi-776's grammar, for example `0001_c001_00016450_0.jpg`."""
    return f"{picture.identity:04d}_c{picture.camera + 1:03d}_{picture.frame:08d}_0.jpg"


def _labels(root: str, pictures: Sequence[Picture]) -> bytes:
    items = [
        f'    <Item imageName="{veri776_name(picture)}" vehicleID="{picture.identity:04d}"'
        f' cameraID="c{picture.camera + 1:03d}" colorID="{COLOURS.index(picture.colour or "") + 1}"'
        f' typeID="{TYPES.index(picture.type or "") + 1}" />'
        for picture in pictures
    ]
    lines = [
        f'<?xml version="1.0" encoding="{_XML_ENCODING}"?>',
        f'<{root} Version="1.0">',
        f'  <Items number="{len(items)}">',
        *items,
        "  </Items>",
        f"</{root}>",
    ]
    return ("\n".join(lines) + "\n").encode(_XML_ENCODING)


def _key_points(folder: str, picture: Picture) -> str:
    numbers = " ".join(str(number) for number in picture.key_points)
    return f"{folder}/{veri776_name(picture)} {numbers} {picture.viewpoint}"


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
