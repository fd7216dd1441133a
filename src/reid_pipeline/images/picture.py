"""From the bytes of an image file to a picture, or the reason why there is none; imports Pillow only, to start fast."""

import io
from typing import NamedTuple

from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

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
_START_OF_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"  # JPEG markers; neither occurs in coded pixels
_CUT_SHORT = "truncated: the file ends before the picture does"
_LONGEST_REASON = 100  # characters of Pillow's own message


class PictureError(ValueError):
    """The bytes hold no usable picture; the message is a short phrase with the reason."""


class Picture(NamedTuple):
    """The result of decoding: the size in pixels as displayed and Pillow's mode as stored, or what is wrong."""

    width: int | None
    height: int | None
    mode: str
    fault: str


def load_picture(content: bytes) -> Image.Image:
    """Decode a whole file to its last pixel, as stored, or raise `PictureError`; of an animation, the first frame."""
    if not content:
        raise PictureError("empty file, 0 bytes")
    # Other code of this process may have set Pillow to ignore missing pixels, for all its callers.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    except Exception as error:  # Pillow's plugins raise many kinds on damaged bytes, struct.error among them
        raise PictureError(_reason(error, content)) from error
    if 0 in image.size:
        raise PictureError(f"no pixels: its size is {image.width} x {image.height}")
    if image.format in {"JPEG", "MPO"} and not _has_end(content):
        raise PictureError(_CUT_SHORT)
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


def to_rgb(image: Image.Image) -> Image.Image:
    """Return the picture in 8-bit RGB, or raise `PictureError` for numbers without an agreed way to colours.

    Transparent parts become white, as in most viewers. 16-bit grey is scaled (65535 becomes 255), where Pillow
    would clip it. CMYK is taken as Adobe stores it in JPEG and converted without a colour profile.
    """
    if image.mode.startswith(("I", "F")):
        return _grey_of_numbers(image).convert("RGB")
    try:
        if image.has_transparency_data:
            rgba = image.convert("LA" if image.mode == "La" else "RGBA").convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", image.size, "white"), rgba).convert("RGB")
        return image.convert("RGB")
    except ValueError as error:
        raise PictureError(f"Pillow's mode {image.mode} cannot be made RGB") from error


def describe(content: bytes) -> Picture:
    """Decode a whole file; whatever its bytes are, a `Picture` is returned and nothing raised."""
    try:
        image = load_picture(content)
        if image.mode not in _SURE_TO_CONVERT:
            to_rgb(image)
    except PictureError as fault:
        return Picture(None, None, "", str(fault))
    width, height = image.size
    if orientation(image) in _TRANSPOSED:
        width, height = height, width
    return Picture(width, height, image.mode, "")


def _has_end(content: bytes) -> bool:
    """Return whether the end marker follows a JPEG's last scan; Pillow decodes the filling of a broken download."""
    return content.endswith(_END_OF_IMAGE) or content.rfind(_END_OF_IMAGE) > content.rfind(_START_OF_SCAN)


def _reason(error: Exception, content: bytes) -> str:
    text = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
    if isinstance(error, Image.DecompressionBombError):
        return f"too large, or a decompression bomb: {text}"
    if isinstance(error, UnidentifiedImageError):
        known = content.startswith(_SIGNATURES)
        return "truncated or damaged in its first part" if known else "not an image that Pillow knows"
    if isinstance(error, EOFError) or "truncated" in text.lower() or "unexpected end" in text.lower():
        return _CUT_SHORT
    return f"damaged: {text}"


def _grey_of_numbers(image: Image.Image) -> Image.Image:
    """Return 8-bit grey of a picture of 16-bit or wider numbers."""
    import numpy as np

    values = np.asarray(image)
    if image.mode == "F":
        raise PictureError("its pixels are fractions without an agreed black and white; save it with 8 bits")
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > _LARGEST_16_BIT:
        raise PictureError(f"its pixels go from {low} to {high}, beyond 16 bits; save it with 8 bits")
    return Image.fromarray(np.round(values / (_LARGEST_16_BIT / 255)).astype(np.uint8))
