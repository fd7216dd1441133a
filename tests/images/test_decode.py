"""Opening real files: colour modes, EXIF rotation, resizing, and what is said of bad ones."""

import hashlib
import re

import numpy as np
import pytest
import torch
from PIL import Image

from reid_pipeline.images.decode import content_hashes, read_image
from reid_pipeline.schema.errors import UserError


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 12, 3), dtype=np.uint8)


def test_lossless_rgb_comes_out_as_it_is(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == np.uint8
    assert (image == pixels).all()


def test_grey_becomes_three_equal_channels(tmp_path, pixels):
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    assert (read_image(tmp_path / "grey.png") == pixels[..., :1]).all()


def test_a_grey_jpeg(tmp_path):
    Image.new("L", (12, 20), 77).save(tmp_path / "grey.jpg")
    assert (read_image(tmp_path / "grey.jpg") == np.full((20, 12, 3), 77)).all()


def test_cmyk_jpeg_becomes_its_colour(tmp_path):
    # No black, full cyan: red is 0, green and blue are 255.
    Image.new("CMYK", (12, 20), (255, 0, 0, 0)).save(tmp_path / "cmyk.jpg", quality=95)
    mean = read_image(tmp_path / "cmyk.jpg").reshape(-1, 3).mean(0)
    assert np.abs(mean - [0, 255, 255]).max() < 4


def test_alpha_is_dropped(tmp_path, pixels):
    alpha = np.random.default_rng(1).integers(0, 256, (20, 12, 1), dtype=np.uint8)
    Image.fromarray(np.concatenate([pixels, alpha], axis=2)).save(tmp_path / "rgba.png")
    assert (read_image(tmp_path / "rgba.png") == pixels).all()


def test_a_palette_becomes_its_colours(tmp_path):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    image.save(tmp_path / "palette.png")
    assert (read_image(tmp_path / "palette.png") == [10, 200, 30]).all()


# EXIF 2.3, tag 0x0112: where row 0 and column 0 of the stored pixels are shown.
UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: stored[::-1].transpose(1, 0, 2),
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: lambda stored: stored[:, ::-1].transpose(1, 0, 2),
}


@pytest.mark.parametrize("orientation", sorted(UPRIGHT))
def test_exif_rotation_is_applied(tmp_path, pixels, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "plain.jpg", quality=95)
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", quality=95, exif=exif)
    stored = read_image(tmp_path / "plain.jpg")
    assert (read_image(tmp_path / "turned.jpg") == UPRIGHT[orientation](stored)).all()


@pytest.mark.parametrize("size", [(9, 7), (40, 11), (20, 12), (10, 30)])
def test_resize_is_antialiased_bicubic_to_height_and_width(tmp_path, size):
    # A smooth picture, so that rounding and not ringing is what may differ.
    rows, columns = np.mgrid[0:32, 0:24]
    pixels = np.stack([rows * 7, columns * 9, 255 - rows * 3 - columns * 4], axis=2).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png", size)
    assert image.shape == (*size, 3)
    float_BCHW = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    wanted = torch.nn.functional.interpolate(float_BCHW, size, mode="bicubic", antialias=True)[0]
    difference = np.abs(image.astype(float) - wanted.permute(1, 2, 0).clamp(0, 255).numpy())
    assert difference.max() < 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", r"\(0 bytes\) cannot be decoded"),
        (b"this is no image, but a note", r"\(28 bytes\) cannot be decoded"),
        (b"\x89PNG\r\n\x1a\n broken", "cannot be decoded"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "cannot be decoded"),
    ],
)
def test_what_is_no_image_is_named(tmp_path, content, says):
    path = tmp_path / "0002_c1s1_000451_03.jpg"
    path.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(str(path)) + ".*" + says) as caught:
        read_image(path)
    assert re.search("Replace the file with a good copy, or remove it", str(caught.value))


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_truncated_jpeg_is_named(write_jpeg, kept):
    pixels = np.random.default_rng(2).integers(0, 256, (128, 64, 3), dtype=np.uint8)
    path = write_jpeg("cut.jpg", pixels=pixels)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(UserError, match=re.escape(str(path)) + ".*cannot be decoded.*truncated"):
        read_image(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.jpg does not exist\. Put it back"):
        read_image(tmp_path / "none.jpg")


def test_a_folder_with_an_images_name_is_refused(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(UserError, match=r"folder\.jpg .*cannot be decoded"):
        read_image(tmp_path / "folder.jpg")


class TestHashes:
    def test_they_are_of_the_bytes_and_in_order(self, tmp_path):
        names = [f"{number}.bin" for number in range(20)]
        for name in names:
            (tmp_path / name).write_bytes(name.encode() * 100)
        wanted = [hashlib.sha256(name.encode() * 100).hexdigest() for name in names]
        assert content_hashes(tmp_path, names) == wanted
        assert content_hashes(tmp_path, names[::-1], threads=1) == wanted[::-1]
        assert content_hashes(tmp_path, []) == []

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(UserError, match=r"gone\.jpg does not exist any more"):
            content_hashes(tmp_path, ["gone.jpg"])
