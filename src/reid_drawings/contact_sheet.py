"""Sheets of drawings, one row per identity: of a benchmark grouped by camera, or of captioned drawings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

from reid_drawings.captions import CaptionedDrawings, Kind, draw_captioned_one

_NAME = re.compile(r"(?P<pid>-1|\d{4})_c(?P<camera>\d+)s\d+_\d{6}_\d{2}\.jpg$")
_GAP, _HEADER, _MARGIN = 2, 16, 40
_PAPER, _INK = (250, 250, 248), (30, 30, 34)


def contact_sheet(
    images: Mapping[str, bytes],
    *,
    rows: int = 8,
    per_camera: int = 2,
    subsets: Iterable[str] = ("bounding_box_train",),
    pids: Iterable[int] | None = None,
) -> Image.Image:
    """Lay images out by identity and camera.

    Args:
        images: JPEG bytes by path, as `draw_benchmark` returns them.
        rows: number of identities shown.
        per_camera: number of images of one identity by one camera.
        subsets: folders whose images are shown.
        pids: identities to show; None takes those that the most cameras see, by pid.

    Returns:
        an RGB sheet with the cameras' numbers above and the identities' pids on the left.
    """
    cells = _cells(images, frozenset(subsets))
    if not cells:
        raise ValueError(f"No images below {', '.join(sorted(subsets))}: pass subsets=<folders that hold images>.")
    cameras = sorted({camera for cells_of in cells.values() for camera in cells_of})
    shown = _best_seen(cells, rows) if pids is None else list(pids)[:rows]
    return _lay_out({pid: cells.get(pid, {}) for pid in shown}, cameras, per_camera)


def captioned_sheet(parameters: CaptionedDrawings, *, kind: Kind, rows: int = 6) -> Image.Image:
    """Lay captioned drawings out by identity.

    Args:
        parameters: size and variety of the drawings; a row has `images_per_identity` of them.
        kind: what is drawn.
        rows: number of identities shown.

    Returns:
        an RGB sheet.
    """
    columns = parameters.images_per_identity
    wide, high = parameters.width + _GAP, parameters.height + _GAP
    sheet = Image.new("RGB", (columns * wide - _GAP, rows * high - _GAP), _PAPER)
    for number in range(rows * columns):
        image, _ = draw_captioned_one(parameters, number, kind=kind)
        sheet.paste(image, (number % columns * wide, number // columns * high))
    return sheet


def _lay_out(
    cells: Mapping[int, Mapping[int, Sequence[bytes]]], cameras: Sequence[int], per_camera: int
) -> Image.Image:
    """Draw a row per identity and a group of pictures per camera, under the camera's number."""
    shown = [data for row in cells.values() for column in row.values() for data in column]
    cell_wide, cell_high = Image.open(BytesIO(shown[0])).size if shown else (0, 0)
    wide = _GAP * 3 + per_camera * (cell_wide + _GAP)
    size = (_MARGIN + wide * len(cameras), _HEADER + len(cells) * (cell_high + _GAP))
    sheet = Image.new("RGB", size, _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    for column, camera in enumerate(cameras):
        draw.text((_MARGIN + column * wide + 2, 2), f"camera {camera}", fill=_INK, font=font)
    for row, (identity, cells_of) in enumerate(cells.items()):
        top = _HEADER + row * (cell_high + _GAP)
        draw.text((4, top + cell_high // 2 - 6), f"{identity:04d}", fill=_INK, font=font)
        for column, camera in enumerate(cameras):
            for n, data in enumerate(cells_of.get(camera, ())[:per_camera]):
                left = _MARGIN + column * wide + n * (cell_wide + _GAP)
                sheet.paste(Image.open(BytesIO(data)), (left, top))
    return sheet


def _best_seen(cells: dict[int, dict[int, list[bytes]]], rows: int) -> list[int]:
    ranked = sorted((pid for pid in cells if pid > 0), key=lambda pid: (-len(cells[pid]), pid))
    return sorted(ranked[:rows])


def _cells(images: Mapping[str, bytes], subsets: frozenset[str]) -> dict[int, dict[int, list[bytes]]]:
    cells: dict[int, dict[int, list[bytes]]] = {}
    for path in sorted(images):
        folder, _, name = path.rpartition("/")
        match = _NAME.match(name)
        if match is None or folder not in subsets:
            continue
        cells.setdefault(int(match["pid"]), {}).setdefault(int(match["camera"]), []).append(images[path])
    return cells
