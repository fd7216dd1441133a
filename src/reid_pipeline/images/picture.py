"""From the bytes of an image file to a picture, or the reason why there is none; imports Pillow only, to start fast."""

import io
from typing import TYPE_CHECKING, NamedTuple

from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from reid_pipeline.images.jpeg import load_jpeg
from reid_pipeline.schema.image_formats import FORMATS, format_name

if TYPE_CHECKING:
    import numpy as np

# EXIF 2.3, tag 0x0112: what makes the stored picture upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TRANSPOSED = frozenset({5, 6, 7, 8})
_SURE_TO_CONVERT = frozenset({"RGB", "L", "P", "1", "CMYK", "RGBA", "LA", "YCbCr"})
_LARGEST_16_BIT = 65535
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_END_OF_JPEG = b"\xff\xd9"
_CUT_SHORT = "truncated: the file ends before the picture does"
_OWN_WHITE = "white is the file's own"
_LONGEST_REASON = 100  # characters of Pillow's own message


class PictureError(ValueError):
    """The bytes hold no usable picture; the message is a short phrase with the reason."""


class Picture(NamedTuple):
    """The result of decoding: the size in pixels as displayed and Pillow's mode as stored, or what is wrong."""

    width: int | None
    height: int | None
    mode: str
    fault: str
    brightest: int | None = None  # of 16-bit numbers that do not say themselves which of them is white


def load_picture(content: bytes) -> Image.Image:
    """Decode a whole file to its last pixel, as stored, or raise `PictureError`; of an animation, the first frame."""
    if not content:
        raise PictureError("empty file, 0 bytes")
    # Other code of this process may have set Pillow to ignore missing pixels, for all its callers.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        image = _opened(content)
        whole = load_jpeg(image, content) if image.format in {"JPEG", "MPO"} else _load_rows(image, content)
    except Exception as error:  # Pillow's plugins raise many kinds on damaged bytes, struct.error among them
        raise PictureError(_reason(error, content)) from error
    if 0 in image.size:
        raise PictureError(f"no pixels: its size is {image.width} x {image.height}")
    if not whole:
        raise PictureError(_CUT_SHORT)
    return image


def rest_of_picture(content: bytes) -> Image.Image:
    """Return what there is of a JPEG that is cut short, for people to look at, or raise `PictureError`.

    Nothing is trained on such a picture, or searched for.
    """
    try:
        image = _opened(content + _END_OF_JPEG)
        if image.format != "JPEG":
            raise PictureError(_CUT_SHORT)
        image.load()
    except Exception as error:  # as in `load_picture`
        raise PictureError(_reason(error, content)) from error
    return image


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none or the EXIF block is damaged."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # viewers, too, show a picture whose EXIF block is damaged
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def upright(image: Image.Image) -> Image.Image:
    """Return the picture as it is displayed."""
    turn = _UPRIGHT.get(orientation(image))
    return image if turn is None else image.transpose(turn)


def to_rgb(image: Image.Image, white_value: int | None = None) -> Image.Image:
    """Return the picture in 8-bit RGB, or raise `PictureError` for numbers without an agreed way to colours.

    Transparent parts become white, as in most viewers. 16-bit grey is scaled, where Pillow would clip it: `white_value`
    (None: 65535) and all above become 255. A PGM file names its own. CMYK is taken as Adobe stores it in JPEG and
    converted without a colour profile.
    """
    if image.mode.startswith(("I", "F")):
        values, white = _numbers(image), _LARGEST_16_BIT
        if white_value is not None and _OWN_WHITE not in image.info:
            white = white_value
        return _grey(values, white).convert("RGB")
    try:
        if image.has_transparency_data:
            rgba = image.convert("LA" if image.mode == "La" else "RGBA").convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", image.size, "white"), rgba).convert("RGB")
        return image.convert("RGB")
    except ValueError as error:
        raise PictureError(f"Pillow's mode {image.mode} cannot be made RGB") from error


def describe(content: bytes) -> Picture:
    """Decode a whole file; whatever its bytes are, a `Picture` is returned and nothing raised."""
    brightest = None
    try:
        image = load_picture(content)
        if image.mode.startswith("I") and _OWN_WHITE not in image.info:
            brightest = int(_numbers(image).max())
        elif image.mode not in _SURE_TO_CONVERT:
            to_rgb(image)
    except PictureError as fault:
        return Picture(None, None, "", str(fault))
    width, height = image.size
    if orientation(image) in _TRANSPOSED:
        width, height = height, width
    return Picture(width, height, image.mode, "", brightest)


def _opened(content: bytes) -> ImageFile.ImageFile:
    image = Image.open(io.BytesIO(content), formats=tuple(FORMATS))
    # Pillow scales a portable map whose header names another largest value than 255 or 65535.
    if image.format == "PPM" and image.mode == "I" and image.tile[0].codec_name != "raw":
        image.info[_OWN_WHITE] = True
    return image


def _load_rows(image: ImageFile.ImageFile, content: bytes) -> bool:
    """Decode, and return whether all rows were there; Pillow leaves black those that a whole PNG or TIFF lacks."""
    interlaced = bool(image.info.get("interlace"))
    image.load()
    if image.format not in {"PNG", "TIFF"} or 0 in image.size or _last_row(image, interlaced).getbbox(alpha_only=False):
        return True
    again = _opened(content)  # black where it was not decoded, or as it should be: it is decoded once more, onto white
    white = 255 if len(again.getbands()) == 1 else (255,) * len(again.getbands())
    again.im = Image.new(again.mode, again.size, white).im
    again.load()
    return _last_row(again, interlaced).getbbox(alpha_only=False) is None


def _last_row(image: Image.Image, interlaced: bool) -> Image.Image:
    """Return the row that is decoded last; the last pass of a PNG has every second row, or pixel of one."""
    width, height = image.size
    if interlaced and height == 1:
        return image.crop((min(1, width - 1), 0, min(2, width), 1))
    row = height - 1 - (height % 2 if interlaced else 0)
    return image.crop((0, row, width, row + 1))


def _reason(error: Exception, content: bytes) -> str:
    text = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
    if isinstance(error, Image.DecompressionBombError):
        return f"too large, or a decompression bomb: {text}"
    if isinstance(error, UnidentifiedImageError):
        return "truncated or damaged in its first part" if content.startswith(_SIGNATURES) else _other_format(content)
    if isinstance(error, EOFError) or "truncated" in text.lower() or "unexpected end" in text.lower():
        return _CUT_SHORT
    return f"damaged: {text}"


def _other_format(content: bytes) -> str:
    read = f"of the formats that are read ({', '.join(FORMATS)})"
    found = format_name(content)
    return f"it looks like {found}, and is none {read}" if found else f"not an image {read}"


def _numbers(image: Image.Image) -> "np.ndarray":
    """Return the pixels of a picture of 16-bit or wider numbers, which must be whole and fit into 16 bits."""
    import numpy as np

    if image.mode == "F":
        raise PictureError("its pixels are fractions without an agreed black and white; save it with 8 bits")
    values = np.asarray(image)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > _LARGEST_16_BIT:
        raise PictureError(f"its pixels go from {low} to {high}, beyond 16 bits; save it with 8 bits")
    return values


def _grey(values: "np.ndarray", white: int) -> Image.Image:
    """Return 8-bit grey of 16-bit numbers; `white` and above become 255."""
    import numpy as np

    return Image.fromarray(np.round(np.minimum(values, white) / (white / 255)).astype(np.uint8))
