"""What has an image's name and is no image of a listed format: no parser sees it, nothing waits for it."""

import os
import re
import socket

import pandas as pd
import pytest
from PIL import Image

from reid_pipeline.images.check import check_images
from reid_pipeline.images.decode import read_image
from reid_pipeline.images.picture import describe
from reid_pipeline.images.unchanged import require_unchanged
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.image_formats import ENDINGS, FORMATS, format_name
from reid_pipeline.schema.parameters import SplitParameters
from reid_pipeline.schema.tables import IMAGE_FACTS
from reid_pipeline.splits import normalise_splits

NAMED = {
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n": "PostScript",
    b"\xc5\xd0\xd3\xc6" + bytes(40): "PostScript",
    b"%PDF-1.7\n": "a PDF document",
    b"\0\0\0\x1cftypavif\0\0\0\0": "AVIF",
    b"\0\0\0\x18ftypheic\0\0\0\0": "HEIC",
    b"\0\0\0\x18ftypmif1\0\0\0\0": "HEIC",
    b"\0\0\0\x18ftypmp42\0\0\0\0": "a film",
    b"RIFF\0\0\0\0AVI LIST": "a film",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xff\x4f\xff\x51\0": "JPEG 2000",
    b"\xff\x0a\0\0": "JPEG XL",
    b"\0\0\1\0\1\0": "an icon",
    b"8BPS\0\1": "a Photoshop document",
    bytes(128) + b"DICM": "DICOM",
    b"\x93NUMPY\1\0": "a NumPy array",
    b"PK\3\4\x14\0": "an archive",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n": "a pointer of Git LFS",
    b"<!DOCTYPE html>\n<html>404</html>": "a web page",
    b"\xef\xbb\xbf<HTML>": "a web page",
    b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>': "SVG",
    bytes(5000): "nothing but zeros",
}


@pytest.mark.parametrize(("content", "name"), NAMED.items(), ids=range(len(NAMED)))
def test_another_format_is_named_and_never_parsed(content, name, monkeypatch):
    import PIL.EpsImagePlugin

    monkeypatch.setattr(PIL.EpsImagePlugin, "Ghostscript", None)
    fault = describe(content).fault
    assert fault.startswith(f"it looks like {name}"), fault
    assert fault.endswith(", and is none of the formats that are read (JPEG, PNG, BMP, WEBP, TIFF, GIF, PPM)")


@pytest.mark.parametrize("kind", ["EPS", "ICO", "TGA", "PCX", "SGI", "IM", "DDS", "JPEG2000", "AVIF", "PDF"])
@pytest.mark.filterwarnings("ignore:IM image format:DeprecationWarning")
def test_what_pillow_knows_beside_is_refused(kind, tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (16, 16), "red").save(path, kind)
    with pytest.raises(UserError, match=r"a\.jpg .*of the formats that are read \(JPEG, PNG"):
        read_image(path)


def test_a_name_decides_nothing(tmp_path):
    Image.new("RGB", (3, 2), "red").save(tmp_path / "a.jpg", "PNG")
    assert read_image(tmp_path / "a.jpg").tolist() == [[[255, 0, 0]] * 3] * 2


def test_the_listed_formats_are_pillows_with_their_endings():
    Image.init()
    for ending in ENDINGS:
        assert Image.EXTENSION[ending] in FORMATS
    assert not any(
        format_name(begin) for begin in (b"\xff\xd8\xff\xe0", b"GIF89a", b"P5 2 2", b"RIFF\0\0\0\0WEBP", b"abc")
    )


@pytest.fixture
def odd_files(tmp_path):
    """Return the names of files that are none, by what they are, in a folder beside a picture."""
    os.mkfifo(tmp_path / "fifo.jpg")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(tmp_path / "socket.png"))
        (tmp_path / "zero.jpg").symlink_to("/dev/zero")
        (tmp_path / "linked.jpg").symlink_to("fifo.jpg")
        (tmp_path / "folder.jpg").mkdir()
        for number in range(4):
            Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / f"{number}.png")
        yield {
            "fifo.jpg": "a FIFO (named pipe)",
            "socket.png": "a socket",
            "zero.jpg": "a device",
            "linked.jpg": "a FIFO (named pipe)",
            "folder.jpg": "a folder",
        }


def test_what_is_no_regular_file_is_a_fault_that_names_it(odd_files, tmp_path):
    paths = ["0.png", *odd_files, "1.png"]
    facts = check_images(tmp_path, paths)
    IMAGE_FACTS.validate(facts)
    assert facts["fault"].tolist() == ["", *(f"it is {kind}, not a regular file" for kind in odd_files.values()), ""]
    pd.testing.assert_frame_equal(check_images(tmp_path, paths, known=facts, threads=2), facts)
    for name, kind in odd_files.items():
        with pytest.raises(
            UserError, match=rf"{name} cannot be decoded, .*: it is {re.escape(kind)}, not a regular file"
        ):
            read_image(tmp_path / name)


def test_it_is_left_out_or_stops_the_run_as_a_damaged_picture(odd_files, tmp_path):
    paths = [*(f"{number}.png" for number in range(4)), *odd_files]
    facts = check_images(tmp_path, paths)
    columns = {"identity": ["a", "a", "b", "b", *["b"] * len(odd_files)], "pid": [1, 1, 2, 2, *[2] * len(odd_files)]}
    manifest = pd.DataFrame({"path": paths, **columns, "camid": pd.array([None] * len(paths), "Int64"), "camera": ""})
    manifest = manifest.assign(viewid=manifest["camid"], trackid=manifest["camid"], test_sets="", subset="train")
    with pytest.raises(UserError, match=r"5 of 9 images cannot be decoded: fifo\.jpg \(it is a FIFO"):
        normalise_splits(manifest, facts, SplitParameters())
    left = normalise_splits(manifest, facts, SplitParameters(), skip_unreadable=True).split_table
    assert left["path"].tolist() == paths[:4]


def test_a_file_that_became_a_fifo_is_found(tmp_path):
    rows = pd.DataFrame({"path": ["a.jpg"], "sha256": ["0" * 64]})
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(UserError, match=r"a\.jpg \(it is a FIFO \(named pipe\), not a regular file\)"):
        require_unchanged(tmp_path, rows, None)
