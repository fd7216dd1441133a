"""Opening real files: colour modes, EXIF rotation, resizing, and what is said of bad ones."""

import re
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from reid_pipeline.images.decode import TargetSize, read_image, resize
from reid_pipeline.images.picture import describe
from reid_pipeline.schema.errors import UserError


def png(width: int, height: int, bits: int, colour_type: int, rows: bytes) -> bytes:
    """Return a PNG file with these (filtered) rows, whether they fit its header or not."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 12, 3), dtype=np.uint8)


def test_lossless_rgb_comes_out_as_it_is(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == np.uint8
    assert (image == pixels).all()


@pytest.mark.parametrize(("resize", "wanted"), [("bilinear", 2), ("bicubic", 3)])
def test_the_filter_that_resizes(tmp_path, pixels, resize, wanted):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    again = Image.fromarray(pixels).resize((6, 10), wanted)  # Pillow's numbers of the two filters
    found = read_image(tmp_path / "a.png", TargetSize(10, 6, resize)).astype(int)
    assert np.abs(found - np.asarray(again)).max() <= 1


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


def flat_cmyk_jpeg(*stored: int) -> bytes:
    """Return an Adobe CMYK JPEG of 8 x 8 pixels, whose four planes hold these samples, by hand (T.81)."""

    def segment(marker: int, *data: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, 2 + len(b"".join(data))) + b"".join(data)

    adobe = segment(0xEE, b"Adobe", struct.pack(">HHHB", 100, 0, 0, 0))
    quantisation = segment(0xDB, b"\0", b"\1" * 64)
    frame = segment(0xC0, struct.pack(">BHHB", 8, 8, 8, 4), *(bytes([c, 0x11, 0]) for c in range(1, 5)))
    # First coefficients: twelve categories, four bits each. The others: only "end of block", one bit.
    first = segment(0xC4, b"\0", bytes([0, 0, 0, 12, *[0] * 12]), bytes(range(12)))
    others = segment(0xC4, b"\x10", bytes([1, *[0] * 15]), b"\0")
    scan = segment(0xDA, b"\4", *(bytes([c, 0]) for c in range(1, 5)), bytes([0, 63, 0]))
    bits = ""
    for value in [(sample - 128) * 8 for sample in stored]:
        length = abs(value).bit_length()
        coded = value if value > 0 else value + 2**length - 1
        bits += f"{length:04b}" + (f"{coded:0{length}b}" if length else "") + "0"
    bits = bits.ljust(-(-len(bits) // 8) * 8, "1")
    data = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)).replace(b"\xff", b"\xff\0")
    tables = adobe + quantisation + frame + first + others
    return b"\xff\xd8" + tables + scan + data + b"\xff\xd9"


@pytest.mark.parametrize(
    ("stored", "colour"),
    [
        ((255, 255, 255, 255), (255, 255, 255)),  # no ink: Adobe stores 255 for it
        ((0, 255, 255, 255), (0, 255, 255)),  # cyan alone
        ((255, 100, 255, 255), (255, 100, 255)),  # some magenta takes green away
        ((255, 255, 255, 60), (60, 60, 60)),  # some black
        ((255, 100, 255, 225), (225, 88, 225)),  # both: 100 * 225 / 255
    ],
)
def test_adobe_cmyk_is_not_taken_for_its_negative(tmp_path, stored, colour):
    (tmp_path / "cmyk.jpg").write_bytes(flat_cmyk_jpeg(*stored))
    assert Image.open(tmp_path / "cmyk.jpg").mode == "CMYK"
    image = read_image(tmp_path / "cmyk.jpg")
    assert image.shape == (8, 8, 3)
    assert np.abs(image.astype(int) - colour).max() <= 2


def over_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return (colour * (alpha / 255) + 255 * (1 - alpha / 255)).round()


def test_transparent_parts_become_white(tmp_path, pixels):
    alpha = np.random.default_rng(1).integers(0, 256, (20, 12, 1), dtype=np.uint8)
    alpha[0], alpha[1] = 0, 255
    Image.fromarray(np.concatenate([pixels, alpha], axis=2)).save(tmp_path / "rgba.png")
    image = read_image(tmp_path / "rgba.png")
    assert (image[0] == 255).all()
    assert (image[1] == pixels[1]).all()
    assert np.abs(image.astype(int) - over_white(pixels, alpha)).max() <= 1


def test_transparent_grey_becomes_white(tmp_path, pixels):
    alpha = np.random.default_rng(1).integers(0, 256, (20, 12, 1), dtype=np.uint8)
    Image.fromarray(np.concatenate([pixels[..., :1], alpha], axis=2), "LA").save(tmp_path / "la.png")
    image = read_image(tmp_path / "la.png")
    assert np.abs(image.astype(int) - over_white(pixels[..., :1], alpha)).max() <= 1


@pytest.mark.parametrize(("mode", "key", "stored"), [("L", 7, 7), ("RGB", (10, 200, 30), (10, 200, 30))])
def test_a_colour_that_stands_for_transparent_becomes_white(tmp_path, mode, key, stored):
    image = Image.new(mode, (4, 2), stored)
    image.putpixel((3, 1), 90 if mode == "L" else (90, 90, 90))
    image.save(tmp_path / "key.png", transparency=key)
    wanted = np.full((2, 4, 3), 255)
    wanted[1, 3] = 90
    assert (read_image(tmp_path / "key.png") == wanted).all()


@pytest.mark.parametrize("name", ["key.png", "key.gif"])
def test_a_transparent_palette_entry_becomes_white(tmp_path, name):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 200, 30, 250, 5, 5])
    image.putpixel((0, 2), 2)
    image.save(tmp_path / name, transparency=1)
    wanted = np.full((4, 4, 3), 255)
    wanted[2, 0] = [250, 5, 5]
    assert (read_image(tmp_path / name) == wanted).all()


def test_16_bit_grey_is_scaled(tmp_path):
    values = np.array([[0, 128, 257, 1000], [25700, 32768, 65406, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    wanted = np.array([[0, 0, 1, 4], [100, 128, 254, 255]])  # value / 257, rounded
    assert (read_image(tmp_path / "deep.png") == wanted[..., None]).all()
    Image.fromarray(values).save(tmp_path / "deep.tif")
    assert (read_image(tmp_path / "deep.tif") == wanted[..., None]).all()
    (tmp_path / "deep.pgm").write_bytes(b"P5 4 2 65535\n" + values.astype(">u2").tobytes())
    assert (read_image(tmp_path / "deep.pgm") == wanted[..., None]).all()


def test_16_bit_colour_keeps_its_high_bytes(tmp_path):
    values = np.random.default_rng(3).integers(0, 65536, (2, 3, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    (tmp_path / "deep.png").write_bytes(png(3, 2, 16, 2, rows))
    assert (read_image(tmp_path / "deep.png") == values >> 8).all()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.full((2, 2), 0.5, dtype=np.float32), "fractions without an agreed black and white"),
        (np.array([[0, 70000]], dtype=np.int32), "go from 0 to 70000, beyond 16 bits"),
    ],
)
def test_numbers_that_are_no_agreed_colours_are_refused(tmp_path, values, says):
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match=rf"a\.tif .*cannot be decoded: its pixels .*{says}"):
        read_image(tmp_path / "a.tif")


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


@pytest.mark.parametrize("name", ["turned.tif", "turned.png"])
@pytest.mark.parametrize("orientation", sorted(UPRIGHT))
def test_exif_rotation_of_other_formats(tmp_path, pixels, name, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / name, exif=exif)
    assert (read_image(tmp_path / name) == UPRIGHT[orientation](pixels)).all()


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_orientation_that_does_not_exist_turns_nothing(tmp_path, pixels, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    assert (read_image(tmp_path / "a.png") == pixels).all()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0no TIFF at all", b"Exif\0\0II*\0\xff\xff\xff\x7f"])
def test_a_damaged_exif_block_does_not_cost_the_picture(tmp_path, pixels, exif):
    Image.fromarray(pixels).save(tmp_path / "plain.jpg", quality=95)
    # With a resolution given, Pillow does not look into the block before we do.
    Image.fromarray(pixels).save(tmp_path / "odd.jpg", quality=95, exif=exif, dpi=(72, 72))
    assert (read_image(tmp_path / "odd.jpg") == read_image(tmp_path / "plain.jpg")).all()


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


@pytest.mark.parametrize("name", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(256, 128), (96, 48), (48, 24), (128, 64), (9, 7), (200, 40)])
def test_resize_is_pillows_but_for_two_grey_levels(drawn_folder, drawn_files, size, name):
    for file in drawn_files[::12]:
        picture = Image.open(drawn_folder / file)
        made = resize(np.array(picture), TargetSize(*size, name))
        assert (made.dtype, made.shape) == (np.uint8, (*size, 3))
        wanted = picture.resize(size[::-1], getattr(Image.Resampling, name.upper()))
        difference = np.abs(made.astype(int) - np.asarray(wanted))
        assert difference.max() <= 2
        assert (difference > 0).mean() < 0.3
        assert (difference > 1).mean() < 0.001


def test_twice_the_size_is_pillows_but_for_one_level_in_a_thousand_pixels():
    """What Market-1501's 128 x 64 become. Of noise, the hardest there is."""
    pixels = np.random.default_rng(0).integers(0, 256, (128, 64, 3), dtype=np.uint8)
    wanted = Image.fromarray(pixels).resize((128, 256), Image.Resampling.BICUBIC)
    difference = np.abs(resize(pixels, TargetSize(256, 128)).astype(int) - np.asarray(wanted))
    assert difference.max() <= 1
    assert difference.mean() < 1e-3


def test_the_filter_goes_with_the_size(write_jpeg):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 12, 3), dtype=np.uint8)
    path = write_jpeg("a.jpg", pixels=pixels)
    smooth = read_image(path, TargetSize(8, 6, "bilinear"))
    assert (read_image(path, TargetSize(8, 6)) == read_image(path, (8, 6))).all()
    assert (smooth != read_image(path, (8, 6))).any()
    assert (smooth == resize(read_image(path), TargetSize(8, 6, "bilinear"))).all()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", r"\(0 bytes\) cannot be decoded: empty file"),
        (b"this is no image, but a note", r"\(28 bytes\) cannot be decoded: not an image of the formats that are read"),
        (b"\x89PNG\r\n\x1a\n broken", "cannot be decoded: (damaged|truncated)"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "cannot be decoded: truncated"),
        (b"\xff\xd8\xff\xe0", "cannot be decoded: truncated or damaged in its first part"),
        (png(50_000, 50_000, 8, 2, b""), "cannot be decoded: too large, or a decompression bomb"),
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


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Truncated File Read")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_a_file_cut_anywhere_is_a_fault_or_lost_no_pixel(tmp_path, pixels, kind):
    Image.fromarray(pixels).save(tmp_path / "whole", kind)
    content = (tmp_path / "whole").read_bytes()
    whole = read_image(tmp_path / "whole")
    refused = 0
    for length in range(len(content)):
        if describe(content[:length]).fault:
            refused += 1
        else:
            (tmp_path / "cut").write_bytes(content[:length])
            assert (read_image(tmp_path / "cut") == whole).all()
    assert refused > 0.9 * len(content)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "error::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_damaged_bytes_are_described_and_read_alike(tmp_path, pixels, kind):
    path = tmp_path / "damaged"
    Image.fromarray(pixels).save(path, kind)
    content = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    generator = np.random.default_rng(4)
    for _ in range(150):
        damaged = content.copy()
        places = generator.integers(0, min(len(content), 400), generator.integers(1, 12))
        damaged[places] = generator.integers(0, 256, len(places))
        path.write_bytes(damaged.tobytes())
        found = describe(damaged.tobytes())
        if found.fault:
            with pytest.raises(UserError, match=re.escape(f"cannot be decoded: {found.fault}.")):
                read_image(path)
        else:
            assert read_image(path).shape == (found.height, found.width, 3)


@pytest.mark.parametrize("cut_by", [1, 2, 500])
def test_a_jpeg_that_lacks_its_end_alone_is_truncated(write_jpeg, cut_by):
    path = write_jpeg("cut.jpg")
    path.write_bytes(path.read_bytes()[:-cut_by])
    with pytest.raises(UserError, match=r"cut\.jpg .*truncated"):
        read_image(path)


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_jpeg_that_was_cut_and_filled_up_is_truncated(write_jpeg, kept):
    # Pillow alone decodes the zeros of a broken download, and says nothing.
    pixels = np.random.default_rng(2).integers(0, 256, (128, 64, 3), dtype=np.uint8)
    path = write_jpeg("cut.jpg", pixels=pixels)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)].ljust(len(content), b"\0"))
    with pytest.raises(UserError, match=r"cut\.jpg .*cannot be decoded: truncated"):
        read_image(path)


def test_what_follows_the_end_of_a_jpeg_is_no_fault(write_jpeg):
    path = write_jpeg("padded.jpg")
    wanted = read_image(path)
    path.write_bytes(path.read_bytes() + b"\0" * 999)
    assert (read_image(path) == wanted).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP"])
def test_truncation_is_found_where_other_code_allows_it(tmp_path, pixels, monkeypatch, kind):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    path = tmp_path / "cut.jpg"
    Image.fromarray(pixels).save(path, kind)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match=r"cut\.jpg .*truncated"):
        read_image(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.jpg does not exist\. Put it back"):
        read_image(tmp_path / "none.jpg")


def test_a_folder_with_an_images_name_is_refused(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(UserError, match=r"folder\.jpg .*cannot be decoded"):
        read_image(tmp_path / "folder.jpg")
