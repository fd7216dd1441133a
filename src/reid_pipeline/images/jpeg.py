"""JPEG: decoding that uses a picture's own data alone, and tells where they end too early.

libjpeg makes up what is missing before the end marker, and Pillow passes on none of its warnings. Here the decoder gets
the coded data without the end marker, and behind them bits that are no code of any table (ITU T.81, K.2): few enough
that a decoder that lacks more than the rest of the last block asks for more. What follows the end marker is never read.
"""

import re
from typing import NamedTuple

from PIL import Image, ImageFile

# A marker that ends coded data: in them, 0xFF is followed by 0, or by the number of a restart.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_SCAN, _RESTARTS, _END = 0xDA, 0xDD, 0xD9
_WITHOUT_LENGTH = (0x01, 0xD8)
_NO_CODE = b"\xff\x00"  # eight ones
_READ_AHEAD = 8  # bytes that libjpeg wants to hold before it decodes on
_COEFFICIENTS = 64  # of a block
_ALL, _MEAN_ALONE = [0] * _COEFFICIENTS, [0] + [None] * (_COEFFICIENTS - 1)  # their lowest bit


class _Scan(NamedTuple):
    """The numbers of its components, its first and last coefficient, and the lowest bit of these that it brings."""

    components: bytes
    first: int
    last: int
    low_bit: int
    begin: int  # of its coded data


class _Layout(NamedTuple):
    """What the markers up to the end marker say; `frame` is the frame header behind its length."""

    process: int
    frame: bytes
    scans: list[_Scan]
    restart_interval: int
    end: int  # where the last scan's coded data end

    @property
    def components(self) -> list[tuple[int, int, int]]:
        """Number, horizontal and vertical sampling of each."""
        parts = (self.frame[place : place + 3] for place in range(6, 6 + 3 * self.frame[5], 3))
        return [(number, sampling >> 4, sampling & 15) for number, sampling, _ in parts]


def load_jpeg(image: ImageFile.ImageFile, content: bytes) -> bool:
    """Decode an opened JPEG, or the first picture of an MPO, in place; return whether all of the picture is there."""
    layout = _layout(content)
    if layout is None:
        return False
    if layout.process not in (_BASELINE, _EXTENDED, _PROGRESSIVE):  # arithmetic coding needs no end of its data
        image.load()
        return True
    several = layout.process == _PROGRESSIVE or len(layout.scans[0].components) < len(layout.components)
    if several and not _complete(layout):
        return False
    if layout.restart_interval and not _all_restarts(layout, content):
        return False
    return _decoded(image, content[: layout.end])


def _layout(content: bytes) -> _Layout | None:
    """Return what the markers say; None if there is no end marker behind a scan."""
    process, frame, interval, place = 0, b"", 0, 2
    scans: list[_Scan] = []
    while found := _MARKER.search(content, place):
        marker, place = content[found.end() - 1], found.end()
        if marker == _END:
            return _Layout(process, frame, scans, interval, found.start()) if frame and scans else None
        if marker in _WITHOUT_LENGTH:
            continue
        body = content[place + 2 : (place := place + max(2, int.from_bytes(content[place : place + 2], "big")))]
        if marker == _SCAN:
            scans.append(_Scan(body[1 : 1 + 2 * body[0] : 2], body[-3], body[-2], body[-1] & 15, place))
        elif marker == _RESTARTS:
            interval = int.from_bytes(body[:2], "big")
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            process, frame = marker, body
    return None


def _complete(layout: _Layout) -> bool:
    """Return whether the scans together bring every component: its mean, and all other coefficients or none."""
    low_bits: dict[int, list[int | None]] = {number: [None] * _COEFFICIENTS for number, *_ in layout.components}
    for scan in layout.scans:
        for component in scan.components:
            low_bits[component][scan.first : scan.last + 1] = [scan.low_bit] * (scan.last + 1 - scan.first)
    return all(each in (_ALL, _MEAN_ALONE) for each in low_bits.values())


def _all_restarts(layout: _Layout, content: bytes) -> bool:
    """Return whether the last scan has all restart markers: a decoder that misses one reads what follows it."""
    scan, components = layout.scans[-1], layout.components
    height, width = (int.from_bytes(layout.frame[at : at + 2], "big") for at in (1, 3))
    wide, high = (max(each[at] for each in components) for at in (1, 2))
    if len(scan.components) == 1:
        _, own_wide, own_high = next(each for each in components if each[0] == scan.components[0])
        width, height, wide, high = -(-width * own_wide // wide), -(-height * own_high // high), 1, 1
    units = -(-width // (8 * wide)) * -(-height // (8 * high))
    found = len(_RESTART.findall(content, scan.begin, layout.end))
    return found >= -(-units // layout.restart_interval) - 1


def _decoded(image: ImageFile.ImageFile, data: bytes) -> bool:
    """Decode, and return whether the decoder had enough of `data`, which end before the end marker."""
    image.load_prepare()
    name, extents, _, arguments = image.tile[0]
    decoder = Image._getdecoder(image.mode, name, arguments, image.decoderconfig)
    try:
        decoder.setimage(image.im, extents)
        # A decoder between two scans passes over all but a marker; one in want of data holds bytes back.
        for part in (data + _NO_CODE * _READ_AHEAD, _NO_CODE, b"\xff\xd9"):
            read, error = decoder.decode(part)
            if 0 <= read < len(part):
                return False
            if read < 0:
                break
    finally:
        decoder.cleanup()
    if error < 0:
        raise OSError("broken data stream")
    image.tile = []
    return read < 0
