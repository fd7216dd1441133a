"""Which queries to show, and their ranked lists as pictures."""

import io
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]
Groups = Sequence[Hashable] | NDArray[np.int64] | None
Colour = tuple[int, int, int]

MATCH = (0, 135, 90)
MISMATCH = (209, 36, 47)
_QUERY = (87, 96, 106)
_PAPER, _INK, _FAINT, _MARGIN = (255, 255, 255), (31, 35, 40), (87, 96, 106), (236, 238, 241)
_GAP, _QUERY_GAP, _LINE, _FONT_SIZE = 8, 20, 14, 11
_TICK = [[(0.22, 0.52), (0.42, 0.72), (0.78, 0.28)]]
_CROSS = [[(0.26, 0.26), (0.74, 0.74)], [(0.26, 0.74), (0.74, 0.26)]]
_SCALE = 4  # marks are drawn this much larger and shrunk: smooth edges


@dataclass(frozen=True)
class RankedQuery:
    """A query and the first images of its ranked gallery.

    Attributes:
        query_image, gallery_images: uint8 [H, W, 3]; of the gallery best first, and sizes may differ.
        query_caption, captions: a few words under the query, such as "id 12 · camera 3", and under each image.
        average_precision: of the whole list, in 0..1.
        matches: per gallery image, whether it shows the query's identity.

    Raises:
        ValueError: the three lists differ in length, or an image is not uint8 [H, W, 3].
    """

    query_image: Picture
    query_caption: str
    average_precision: float
    gallery_images: Sequence[Picture]
    matches: Sequence[bool]
    captions: Sequence[str]

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in ("gallery_images", "matches", "captions")}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"a ranked query's lists must be equally long, got {lengths}")
        for image in (self.query_image, *self.gallery_images):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
                raise ValueError(f"images must be uint8 [H, W, 3], got {image.dtype} {list(image.shape)}")


def pick_queries(
    average_precision: ArrayLike, count: int, *, groups: Groups = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Select the queries that went worst and best; the same input gives the same queries.

    No query is in both lists: of fewer than 2 x count valid queries the worse ones, half rounded up, are bad.

    Args:
        average_precision: [queries] in 0..1; NaN for an invalid query, which is never selected.
        count: how many of each, at least 0.
        groups: [queries], such as the identities; each list then has a group twice only if it must.

    Returns:
        rows of the bad queries, worst first, and of the good ones, best first: int64, at most [count]. Ties go to
        the smaller row.

    Raises:
        ValueError: a count below 0, scores that are not one-dimensional, or groups of another length.
    """
    scores = np.asarray(average_precision, dtype=np.float64)
    if scores.ndim != 1 or count < 0:
        raise ValueError(f"expected scores [queries] and a count >= 0, got {list(scores.shape)} and {count}")
    if groups is not None and len(groups) != len(scores):
        raise ValueError(f"expected a group per query, got {len(groups)} groups and {len(scores)} queries")
    valid = np.flatnonzero(~np.isnan(scores)).astype(np.int64)
    worst_first = valid[np.argsort(scores[valid], kind="stable")]
    best_first = valid[np.argsort(-scores[valid], kind="stable")]
    bad = _spread(worst_first, groups)[: min(count, (len(valid) + 1) // 2)]
    good = _spread(best_first[~np.isin(best_first, bad)], groups)[:count]
    return worst_first[np.isin(worst_first, bad)], best_first[np.isin(best_first, good)]


def _spread(rows: NDArray[np.int64], groups: Groups) -> NDArray[np.int64]:
    """Move rows whose group came before behind all others."""
    if groups is None:
        return rows
    repeated = pd.Series([groups[row] for row in rows], dtype=object).duplicated()
    return rows[np.argsort(repeated.to_numpy(), kind="stable")]


def rank_list_strip(
    ranked: RankedQuery, *, height: int = 144, border: int = 5, form: Literal["JPEG", "PNG"] = "JPEG"
) -> bytes:
    """Draw the query and its ranked gallery in a row, on white, and return the encoded picture.

    A match has a green border and a tick, a mismatch a red border and a cross. Every image is fitted into a cell
    of the query's proportions, `height` pixels high; borders of `border` pixels lie around it and hide no pixel.
    """
    rows, columns = ranked.query_image.shape[:2]
    cell = (int(np.clip(round(height * columns / rows), height // 3, 2 * height)), height)
    step = cell[0] + 2 * border + _GAP
    width = (len(ranked.matches) + 1) * step + _QUERY_GAP
    strip = Image.new("RGB", (width, height + 2 * border + 3 * _LINE + 2 * _GAP), _PAPER)
    shown = [(ranked.query_image, _QUERY, "query", ranked.query_caption)]
    for rank, (image, match) in enumerate(zip(ranked.gallery_images, ranked.matches, strict=True), start=1):
        shown.append((image, MATCH if match else MISMATCH, f"{rank}", ranked.captions[rank - 1]))
    for place, (image, colour, title, caption) in enumerate(shown):
        left = place * step + _GAP // 2 + (_QUERY_GAP if place else 0)
        framed = _framed(image, cell, border, colour)
        if place:
            mark, mask = _mark(match=bool(ranked.matches[place - 1]), size=max(16, height // 7))
            framed.paste(mark, (0, 0), mask)
        strip.paste(framed, (left, _LINE + _GAP))
        _write(strip, (left, step - _GAP), height + 2 * border + _LINE + _GAP, (title, caption))
    buffer = io.BytesIO()
    strip.save(buffer, form, optimize=True, **({"quality": 88, "subsampling": 0} if form == "JPEG" else {}))
    return buffer.getvalue()


def describe(ranked: RankedQuery) -> str:
    """Return in words what the strip shows, for readers who do not see it."""
    verdicts = [f"{rank} {'match' if match else 'mismatch'}" for rank, match in enumerate(ranked.matches, start=1)]
    query = f"Query {' '.join(ranked.query_caption.split())}, average precision {ranked.average_precision:.3f}."
    return f"{query} Ranks: {', '.join(verdicts) or 'none'}."


def _framed(image: Picture, cell: tuple[int, int], border: int, colour: Colour) -> Image.Image:
    """Return the image, whole and centred, in a cell (width, height) with a border around it."""
    pixels = Image.fromarray(image)
    scale = min(cell[0] / pixels.width, cell[1] / pixels.height)
    size = (max(1, round(pixels.width * scale)), max(1, round(pixels.height * scale)))
    framed = Image.new("RGB", (cell[0] + 2 * border, cell[1] + 2 * border), colour)
    framed.paste(_MARGIN, (border, border, border + cell[0], border + cell[1]))
    corner = (border + (cell[0] - size[0]) // 2, border + (cell[1] - size[1]) // 2)
    framed.paste(pixels.resize(size, Image.Resampling.LANCZOS), corner)
    return framed


def _mark(*, match: bool, size: int) -> tuple[Image.Image, Image.Image]:
    """Return a tick or a cross on a coloured tile, and its mask."""
    side = size * _SCALE
    tile, mask = Image.new("RGB", (side, side), MATCH if match else MISMATCH), Image.new("L", (side, side), 0)
    for stroke in _TICK if match else _CROSS:
        points = [(x * side, y * side) for x, y in stroke]
        ImageDraw.Draw(tile).line(points, fill=_PAPER, width=max(1, round(side * 0.14)), joint="curve")
    ImageDraw.Draw(mask).rounded_rectangle((-side, -side, side - 1, side - 1), radius=side // 4, fill=255)
    return tile.resize((size, size), Image.Resampling.LANCZOS), mask.resize((size, size), Image.Resampling.LANCZOS)


def _write(strip: Image.Image, span: tuple[int, int], below: int, words: tuple[str, str]) -> None:
    """Write a title above and a caption, up to two lines, below the cell at `span` = (left, width)."""
    font, pen = ImageFont.load_default(_FONT_SIZE), ImageDraw.Draw(strip)
    middle, width = span[0] + span[1] / 2, span[1]
    pen.text((middle, _GAP // 2), words[0], fill=_FAINT, font=font, anchor="ma")
    for number, text in enumerate(_wrapped(words[1], font, width)):
        pen.text((middle, below + _GAP // 2 + number * _LINE), text, fill=_INK, font=font, anchor="ma")


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """Break a text at its line ends and blanks into two lines at most; an ellipsis ends what is too long."""
    lines: list[str] = []
    for part in text.splitlines():
        current = ""
        for word in part.split():
            joined = f"{current} {word}".strip()
            if current and font.getlength(joined) > width:
                lines.append(current)
                joined = word
            current = joined
        lines.append(current)
    if len(lines) > 2:
        lines = [lines[0], f"{lines[1]}…"]
    for place in range(len(lines)):
        while lines[place] != "…" and font.getlength(lines[place]) > width:
            lines[place] = f"{lines[place].removesuffix('…')[:-1]}…"
    return lines
