"""A picture is read if all that its decoder needs is there, whatever follows; else it is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from reid_pipeline.images.picture import PictureError, describe, load_picture

CUT = "truncated: the file ends before the picture does"
END = b"\xff\xd9"
FILM = b"\0\0\0\x18ftypmp42" + np.random.default_rng(0).bytes(300_000)
JPEGS = {
    "baseline": ("RGB", {}),
    "fine": ("RGB", {"quality": 95, "subsampling": 0}),
    "grey": ("L", {}),
    "cmyk": ("CMYK", {}),
    "own tables": ("RGB", {"optimize": True, "quality": 40}),
    "progressive": ("RGB", {"progressive": True}),
    "progressive grey": ("L", {"progressive": True, "quality": 95}),
    "restart": ("RGB", {"restart_marker_rows": 1}),
    "restart often": ("L", {"restart_marker_blocks": 3}),
    "progressive restart": ("RGB", {"progressive": True, "restart_marker_rows": 1}),
}
OTHERS = {
    "PNG": ("RGB", {}),
    "PNG palette": ("P", {}),
    "PNG bits": ("1", {}),
    "PNG transparent": ("RGBA", {}),
    "PNG deep": ("I;16", {}),
    "GIF": ("P", {}),
    "BMP": ("RGB", {}),
    "WEBP": ("RGB", {}),
    "WEBP lossless": ("RGB", {"lossless": True}),
    "PPM": ("RGB", {}),
    "PPM grey": ("L", {}),
    "PPM deep": ("I;16", {}),
    "TIFF": ("RGB", {}),
    "TIFF LZW": ("RGB", {"compression": "tiff_lzw"}),
    "TIFF deflate": ("L", {"compression": "tiff_adobe_deflate", "strip_size": 400}),
    "TIFF packbits": ("RGB", {"compression": "packbits"}),
    "TIFF JPEG": ("RGB", {"compression": "jpeg"}),
    "MPO": ("RGB", {"save_all": True, "append_images": [Image.new("RGB", (40, 60))]}),
}


def photo(height: int = 67, width: int = 45, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Return smooth colours with noise, as a camera's."""
    generator = np.random.default_rng(seed)
    small = generator.integers(0, 256, (height // 16 + 2, width // 16 + 2, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(small).resize((width, height))).astype(float)
    pixels = (smooth + generator.normal(0, 6, smooth.shape)).clip(1, 255).astype(np.uint8)
    if mode == "I;16":
        return Image.fromarray(pixels[..., 0].astype(np.uint16) * 200 + 1)
    return Image.fromarray(pixels).convert(mode)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(load_picture(content))


def is_whole(content: bytes) -> bool:
    fault = describe(content).fault
    assert not fault or fault.startswith(("truncated", "damaged", "not an image")), fault
    return not fault


@pytest.mark.parametrize("seed", range(24))
def test_a_jpeg_before_a_film_is_read(seed):
    content = saved(photo(96, 64, seed=seed), "JPEG", progressive=bool(seed % 2))
    film = b"\0\0\0\x18ftypmp42" + np.random.default_rng(seed).bytes(300_000)
    assert (pixels(content + film) == np.asarray(Image.open(io.BytesIO(content)))).all()


@pytest.mark.parametrize("behind", [END, END + FILM, END * 2 + bytes(999)], ids=["end", "film", "zeros"])
@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_that_was_cut_and_closed_is_refused(kind, behind):
    mode, options = JPEGS[kind]
    content = saved(photo(mode=mode), "JPEG", **options)
    whole = pixels(content)
    assert (whole == np.asarray(Image.open(io.BytesIO(content)))).all()
    missed = []
    for length in range(content.index(b"\xff\xda"), len(content) - 2, 5 if behind == END else 97):
        cut = content[:length] + behind
        if is_whole(cut) and (pixels(cut) != whole).any():
            missed.append(len(content) - 2 - length)
    # A decoder that lacks part of the last block alone is not told from one that lacks nothing.
    assert all(each < 64 for each in missed), missed


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_what_lacks_more_than_its_last_block_has_one_reason(kind, share):
    mode, options = JPEGS[kind]
    content = saved(photo(128, 64, mode), "JPEG", **options)
    begin = content.rindex(b"\xff\xda")
    for behind in (b"", END, END + FILM[:5000], FILM[:5000]):
        assert describe(content[: begin + int(share * (len(content) - begin))] + behind).fault == CUT


def test_a_progressive_jpeg_that_lacks_its_last_scans_is_refused():
    content = saved(photo(128, 64), "JPEG", progressive=True)
    scans = [place for place in range(len(content)) if content[place : place + 2] == b"\xff\xda"]
    assert len(scans) > 5
    for begin in scans[1:]:
        assert describe(content[:begin] + END).fault == CUT


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_other_formats_alike(kind, capfd):
    mode, options = OTHERS[kind]
    content = saved(photo(60, 40, mode), kind.split()[0], **options)
    whole = pixels(content)
    assert (pixels(content + FILM[:3000]) == whole).all()
    cuts = range(0, len(content), max(1, len(content) // 60))
    assert all(not is_whole(content[:length]) or (pixels(content[:length]) == whole).all() for length in cuts if length)
    capfd.readouterr()  # libtiff's own words


def png(mode: int, depth: int, size: tuple[int, int], rows: bytes, interlaced: bool = False) -> bytes:
    header = struct.pack(">IIBBBBB", *size, depth, mode, 0, 0, int(interlaced))
    chunks = {b"IHDR": header, b"IDAT": zlib.compress(rows), b"IEND": b""}
    parts = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks.items()
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("value", [0, 1, 255])
@pytest.mark.parametrize(
    ("mode", "depth", "bytes_a_row"),
    [(0, 1, 1), (0, 8, 6), (0, 16, 12), (2, 8, 18), (4, 8, 12), (6, 8, 24), (6, 16, 48)],
)
def test_a_png_with_too_few_rows_is_refused(mode, depth, bytes_a_row, value):
    row = b"\0" + bytes([value]) * bytes_a_row
    assert is_whole(png(mode, depth, (6, 9), row * 9))
    assert [describe(png(mode, depth, (6, 9), row * rows)).fault for rows in range(9)] == [CUT] * 9


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (5, 1), (1, 2), (3, 2), (6, 9), (9, 16), (8, 8)])
@pytest.mark.parametrize("value", [0, 7])
def test_an_interlaced_png_too(size, value):
    width, height = size
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = []
    for left, top, step, skip in passes:
        wide, high = len(range(left, width, step)), len(range(top, height, skip))
        rows += [b"\0" + bytes([value]) * wide] * (high if wide else 0)
    assert is_whole(png(0, 8, size, b"".join(rows), interlaced=True))
    for count in range(len(rows)):
        assert describe(png(0, 8, size, b"".join(rows[:count]), interlaced=True)).fault == CUT, count


@pytest.mark.parametrize("value", [0, 9])
def test_a_tiff_without_its_last_strip_is_refused(value):
    def tiff(strips: int) -> bytes:
        width, rows = 8, 2
        tags = [(256, 3, 1, width), (257, 3, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
        places = 8 + 2 + 12 * 9 + 4
        tags += [(273, 4, strips, places), (277, 3, 1, 1), (278, 3, 1, rows), (279, 4, strips, places + 4 * strips)]
        begin = places + 8 * strips
        head = (
            b"II*\0"
            + struct.pack("<IH", 8, len(tags))
            + b"".join(struct.pack("<HHII", *tag) for tag in tags)
            + bytes(4)
        )
        offsets = struct.pack(f"<{strips}I", *(begin + 16 * strip for strip in range(strips)))
        return head + offsets + struct.pack(f"<{strips}I", *[16] * strips) + bytes([value]) * 64

    assert is_whole(tiff(4))
    assert describe(tiff(3)).fault == CUT
    assert describe(tiff(2)).fault == CUT


def test_of_an_animation_the_first_frame_is_read():
    frames = [photo(16, 16, seed=seed) for seed in range(3)]
    for kind in ("PNG", "WEBP", "GIF"):
        content = saved(
            frames[0], kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
        )
        assert Image.open(io.BytesIO(content)).n_frames == 3
        difference = np.abs(np.asarray(load_picture(content).convert("RGB")).astype(int) - np.asarray(frames[0]))
        assert difference.mean() < (0.1 if kind != "GIF" else 40)


def test_a_jpeg_of_no_listed_process_is_left_to_pillow():
    content = saved(photo(), "JPEG")
    with pytest.raises(PictureError):
        load_picture(content.replace(b"\xff\xc0", b"\xff\xc9", 1).replace(b"\xff\xda", b"\xff\xdb", 1))
