"""Which queries to show, and their ranked lists as pictures."""

import io
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

MATCH = (0, 135, 90)
MISMATCH = (209, 36, 47)
_QUERY = (87, 96, 106)
_PAPER, _INK, _FAINT = (255, 255, 255), (31, 35, 40), (87, 96, 106)
_GAP, _QUERY_GAP, _LINE, _FONT_SIZE = 8, 20, 14, 11
_SCALE = 4  # marks are drawn this much larger and shrunk: smooth edges


@dataclass(frozen=True)
class RankedQuery:
    """A query and the first images of its ranked gallery.

    Attributes:
        query_image: uint8 [H, W, 3].
        query_caption: a few words under the query, such as "id 12 · camera 3".
        average_precision: of the whole list, in 0..1.
        gallery_images: uint8 [H, W, 3] each, best first; sizes may differ.
        matches: per gallery image, whether it shows the query's identity.
        captions: a few words under each gallery image.

    Raises:
        ValueError: the three lists differ in length, or an image is not uint8 [H, W, 3].
    """

    query_image: NDArray[np.uint8]
    query_caption: str
    average_precision: float
    gallery_images: Sequence[NDArray[np.uint8]]
    matches: Sequence[bool]
    captions: Sequence[str]

    def __post_init__(self) -> None:
        lengths = {
            "gallery_images": len(self.gallery_images),
            "matches": len(self.matches),
            "captions": len(self.captions),
        }
        if len(set(lengths.values())) > 1:
            raise ValueError(f"a ranked query's lists must be equally long, got {lengths}")
        for image in (self.query_image, *self.gallery_images):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
                raise ValueError(f"images must be uint8 [H, W, 3], got {image.dtype} {list(image.shape)}")


def pick_queries(
    average_precision: ArrayLike, count: int, *, groups: Sequence[Hashable] | NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose the queries that went worst and best; the same input gives the same choice.

    No query is in both lists: of fewer than 2 x count valid queries the worse half, rounded up, is bad.

    Args:
        average_precision: [queries] in 0..1; NaN for an invalid query, which is never chosen.
        count: how many of each, at least 0.
        groups: [queries], such as the identities; each list then has a group twice only if it must.

    Returns:
        rows of the bad queries, worst first, and of the good ones, best first; int64, at most [count] each.
        Ties go to the smaller row.

    Raises:
        ValueError: a count below 0, scores that are not one-dimensional, or groups of another length.
    """
    scores = np.asarray(average_precision, dtype=np.float64)
    if scores.ndim != 1 or count < 0:
        raise ValueError(f"expected scores [queries] and a count >= 0, got {list(scores.shape)} and {count}")
    if groups is not None and len(groups) != len(scores):
        raise ValueError(f"expected a group per query, got {len(groups)} groups and {len(scores)} queries")
    valid = np.flatnonzero(~np.isnan(scores))
    worst_first = valid[np.argsort(scores[valid], kind="stable")]
    best_first = valid[np.argsort(-scores[valid], kind="stable")]
    bad = _spread(worst_first, groups)[: min(count, (len(valid) + 1) // 2)]
    left = best_first[~np.isin(best_first, bad)]
    return _in_order(bad, worst_first), _in_order(_spread(left, groups)[:count], best_first)


def rank_list_strip(
    ranked: RankedQuery, *, height: int = 144, border: int = 5, form: Literal["JPEG", "PNG"] = "JPEG"
) -> bytes:
    """Draw the query and its ranked gallery in a row, on white.

    A match has a green border and a tick, a mismatch a red border and a cross, the query a grey border. Every
    image is fitted into a cell of the query's proportions; borders lie around it and hide no pixel.

    Args:
        ranked: what to draw.
        height: of an image in pixels, without its border.
        border: thickness in pixels.
        form: JPEG or PNG.

    Returns:
        the encoded picture.
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
            framed.paste(*_mark(match=bool(ranked.matches[place - 1]), size=max(16, height // 7)))
        strip.paste(framed, (left, _LINE + _GAP))
        _write(strip, (left, step - _GAP), height + 2 * border + _LINE + _GAP, (title, caption))
    return _encoded(strip, form)


def describe(ranked: RankedQuery) -> str:
    """Return in words what the strip shows, for readers who do not see it."""
    verdicts = ", ".join(
        f"{rank} {'match' if match else 'mismatch'}" for rank, match in enumerate(ranked.matches, start=1)
    )
    caption = " ".join(ranked.query_caption.split())
    return f"Query {caption}, average precision {ranked.average_precision:.3f}. Ranks: {verdicts or 'none'}."


def _spread(rows: NDArray[np.int64], groups: Sequence[Hashable] | NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Move rows whose group came before behind all others."""
    if groups is None:
        return rows
    seen: set[Hashable] = set()
    repeats = []
    for row in rows:
        repeats.append(groups[row] in seen)
        seen.add(groups[row])
    return rows[np.argsort(np.asarray(repeats, dtype=bool), kind="stable")]


def _in_order(chosen: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    return order[np.isin(order, chosen)].astype(np.int64)


def _framed(image: NDArray[np.uint8], cell: tuple[int, int], border: int, colour: tuple[int, int, int]) -> Image.Image:
    """Return the image, whole and centred, in a cell (width, height) with a border around it."""
    pixels = Image.fromarray(image)
    scale = min(cell[0] / pixels.width, cell[1] / pixels.height)
    size = (max(1, round(pixels.width * scale)), max(1, round(pixels.height * scale)))
    framed = Image.new("RGB", (cell[0] + 2 * border, cell[1] + 2 * border), colour)
    framed.paste((236, 238, 241), (border, border, border + cell[0], border + cell[1]))
    corner = (border + (cell[0] - size[0]) // 2, border + (cell[1] - size[1]) // 2)
    framed.paste(pixels.resize(size, Image.Resampling.LANCZOS), corner)
    return framed


def _mark(*, match: bool, size: int) -> tuple[Image.Image, tuple[int, int], Image.Image]:
    """Return a tick or a cross on a coloured tile, its place (the upper left corner), and its mask."""
    side = size * _SCALE
    tile = Image.new("RGB", (side, side), MATCH if match else MISMATCH)
    pen = ImageDraw.Draw(tile)
    stroke = max(1, round(side * 0.14))
    if match:
        points = [(0.22, 0.52), (0.42, 0.72), (0.78, 0.28)]
        pen.line([(x * side, y * side) for x, y in points], fill=_PAPER, width=stroke, joint="curve")
    else:
        for start, end in (((0.26, 0.26), (0.74, 0.74)), ((0.26, 0.74), (0.74, 0.26))):
            ends = [start[0] * side, start[1] * side, end[0] * side, end[1] * side]
            pen.line(ends, fill=_PAPER, width=stroke)
    mask = Image.new("L", (side, side), 0)
    ImageDraw.Draw(mask).rounded_rectangle((-side, -side, side - 1, side - 1), radius=side // 4, fill=255)
    small = (size, size)
    shrunk = tile.resize(small, Image.Resampling.LANCZOS)
    return shrunk, (0, 0), mask.resize(small, Image.Resampling.LANCZOS)


def _write(strip: Image.Image, span: tuple[int, int], below: int, words: tuple[str, str]) -> None:
    """Write a title above and a caption, up to two lines, below the cell at `span` = (left, width)."""
    font, pen = ImageFont.load_default(_FONT_SIZE), ImageDraw.Draw(strip)
    left, width = span
    middle = left + width / 2
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
    return [_shortened(each, font, width) for each in lines]


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    text = text.removesuffix("…")
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def _encoded(picture: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    options = {"quality": 88, "subsampling": 0, "optimize": True} if form == "JPEG" else {"optimize": True}
    picture.save(buffer, form, **options)
    return buffer.getvalue()
