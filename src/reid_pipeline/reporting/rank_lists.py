"""Which queries to show, and their ranked lists: pictures of one height, with words below them."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from reid_pipeline.reporting.contact_sheets import Picture, as_webp, source_of, thumbnail
from reid_pipeline.reporting.formats import percent

Groups = Sequence[Hashable] | NDArray[np.int64] | None

HEIGHT = 120
"""Pixels of every picture of a list, of people as of vehicles; a width is at most twice that."""
_NARROWEST = 82  # pixels of a place in a list: words have room below a narrow picture
_BETWEEN = "·"  # the parts of a caption, which stand in a line each


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


def ranked_list(ranked: RankedQuery) -> dict[str, Any]:
    """Return what the report shows of a query: its average precision, and itself and its gallery, place by place.

    A match and a mismatch differ by a mark, a word and the form of their frame, and by colour.
    """
    places = []
    for rank, (image, match) in enumerate(zip(ranked.gallery_images, ranked.matches, strict=True), start=1):
        kind, mark, word = ("match", "✓", "match") if match else ("mismatch", "✕", "other")
        spoken = f"Rank {rank}, {'a match' if match else 'another identity'}"
        lines = _lines(ranked.captions[rank - 1])
        places.append(place_of(thumbnail(image, HEIGHT), f"{rank} {mark} {word}", lines, kind=kind, spoken=spoken))
    return {
        "average_precision": percent(ranked.average_precision),
        "caption": " ".join(ranked.query_caption.split()),
        "query": place_of(thumbnail(ranked.query_image, HEIGHT), "Query", _lines(ranked.query_caption)),
        "places": places,
    }


def place_of(shown: Picture, head: str, lines: Sequence[str], *, kind: str = "", spoken: str = "") -> dict[str, Any]:
    """Return what `ranked.html.j2` shows of one image: itself, a heading, and lines below it.

    Args:
        shown: uint8 [H, W, 3], in the size that it is shown in.
        head: in bold.
        lines: what else is known of it.
        kind: CSS class of its frame, "match", "mismatch" or empty.
        spoken: the heading for those who do not see it, where it has a mark.
    """
    words = {"head": head, "lines": lines, "alt": ": ".join(filter(None, [spoken or head, ", ".join(lines)]))}
    return {**words, "kind": kind, "width": max(_NARROWEST, shown.shape[1]), "source": source_of(as_webp(shown))}


def _lines(caption: str) -> list[str]:
    return [" ".join(part.split()) for part in caption.split(_BETWEEN)]
