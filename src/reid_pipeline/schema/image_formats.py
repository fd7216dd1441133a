"""Which image formats are read, and the name of another kind of file that comes under an image's name."""

import re

FORMATS = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
}
"""The only formats that are parsed, as Pillow calls them, whatever the name of a file; and the endings of their files.

MPO is JPEG."""
ENDINGS = tuple(ending for endings in FORMATS.values() for ending in endings)
_OTHERS = {  # by pattern of the first bytes: kinds of files that come under an image's name
    rb"%!|\xc5\xd0\xd3\xc6": "PostScript",
    rb"%PDF": "a PDF document",
    rb"....ftyp(avif|avis)": "AVIF",
    rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)": "HEIC",
    rb"....ftyp|RIFF....AVI |\x1aE\xdf\xa3": "a film",
    rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51": "JPEG 2000",
    rb"\0\0\0\x0cJXL |\xff\x0a": "JPEG XL",
    rb"\0\0\x01\0": "an icon",
    rb"8BPS": "a Photoshop document",
    rb"SIMPLE  =": "FITS",
    rb".{128}DICM": "DICOM",
    rb"\x93NUMPY": "a NumPy array",
    rb"\x89HDF|CDF": "HDF5 or NetCDF",
    rb"PK\x03\x04|\x1f\x8b|Rar!|7z\xbc\xaf": "an archive",
    rb"version https://git-lfs": "a pointer of Git LFS, whose content was not fetched (git lfs pull)",
    rb"(?i)\s*(\xef\xbb\xbf)?\s*(<!doctype html|<html)": "a web page, such as a server sends instead of a picture",
    rb"(?i)\s*(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!doctype svg[^>]*>\s*)?<svg": "SVG",
    rb"\0+$": "nothing but zeros, as of a broken download",
}
_LOOKED_AT = 1024  # bytes


def format_name(content: bytes) -> str:
    """Return what a file of no format that is read looks like, as a noun; empty if it is unknown."""
    begin = content[:_LOOKED_AT]
    return next((name for pattern, name in _OTHERS.items() if re.match(pattern, begin, re.DOTALL)), "")
