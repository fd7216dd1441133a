from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from reid_pipeline.reporting.rank_lists import RankedQuery, describe, pick_queries, rank_list_strip

NAN = float("nan")


def picked(scores: list[float], count: int, **options: Any) -> tuple[list[int], list[int]]:
    bad, good = pick_queries(np.array(scores), count, **options)
    assert bad.dtype == good.dtype == np.int64
    return bad.tolist(), good.tolist()


@pytest.mark.parametrize(
    ("scores", "count", "bad", "good"),
    [
        ([0.5, 0.1, 0.9, 0.3, 0.7], 2, [1, 3], [2, 4]),
        ([0.5, NAN, 0.9, 0.1, NAN], 1, [3], [2]),
        ([0.5, 0.5, 0.5, 0.5, 0.5], 2, [0, 1], [2, 3]),
        ([1.0, 0.0, 1.0, 0.0], 1, [1], [0]),
        ([0.2, 0.4, 0.6], 2, [0, 1], [2]),
        ([0.2], 3, [0], []),
        ([NAN, NAN], 2, [], []),
        ([], 2, [], []),
        ([0.2, 0.4], 0, [], []),
    ],
)
def test_pick_queries(scores: list[float], count: int, bad: list[int], good: list[int]) -> None:
    assert picked(scores, count) == (bad, good)


def test_groups_are_spread_while_they_last() -> None:
    scores = [0.0, 0.1, 0.2, 0.8, 0.9, 1.0]
    assert picked(scores, 2, groups=[1, 1, 2, 3, 4, 4]) == ([0, 2], [5, 3])
    assert picked(scores, 2, groups=[1] * 6) == ([0, 1], [5, 4])


def test_pick_queries_never_overlaps_and_is_deterministic() -> None:
    generator = np.random.default_rng(0)
    for size in range(12):
        scores = generator.integers(0, 4, size) / 4
        bad, good = pick_queries(scores, 3, groups=generator.integers(0, 3, size))
        assert not set(bad) & set(good)
        assert len(bad) + len(good) == min(6, size)
        assert (np.diff(scores[bad]) >= 0).all()
        assert (np.diff(scores[good]) <= 0).all()


@pytest.mark.parametrize(("scores", "count", "groups"), [([[0.1]], 1, None), ([0.1], -1, None), ([0.1], 1, [1, 2])])
def test_pick_queries_refuses(scores: Any, count: int, groups: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        pick_queries(scores, count, groups=groups)


def _border_colours(pixels: np.ndarray, cells: int) -> list[np.ndarray]:
    """The left border of every framed cell, half way down: 5 pixels wide, cells 72 wide, gaps as drawn."""
    step, row = 72 + 10 + 8, 22 + 5 + 72
    return [pixels[row, place * step + 4 + (20 if place else 0) + 2] for place in range(cells)]


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_strip_borders_are_green_and_red(ranked: RankedQuery, opened: Callable[[bytes], np.ndarray], form: Any) -> None:
    pixels = opened(rank_list_strip(ranked, form=form))
    query, first, second, third = _border_colours(pixels, 4)
    for colour, wanted in ((query, (87, 96, 106)), (first, (0, 135, 90)), (second, (209, 36, 47)), (third, first)):
        assert np.abs(colour - np.array(wanted)).max() <= 12


def test_tick_and_cross_differ_beyond_colour(ranked: RankedQuery, opened: Callable[[bytes], np.ndarray]) -> None:
    pixels = opened(rank_list_strip(ranked, form="PNG"))
    marks = [
        (pixels[22:42, left : left + 20] > 200).all(axis=2)
        for left in (90 + 24, 180 + 24)  # match, mismatch
    ]
    assert all(mark.any() for mark in marks)
    assert (marks[0] != marks[1]).mean() > 0.05


def test_strip_is_deterministic_and_takes_odd_inputs(
    ranked: RankedQuery, opened: Callable[[bytes], np.ndarray]
) -> None:
    assert rank_list_strip(ranked) == rank_list_strip(ranked)
    wide = np.zeros((20, 90, 3), np.uint8)
    odd = replace(
        ranked,
        gallery_images=[wide],
        matches=[np.bool_(True)],
        captions=["a_very_long_word_without_any_blank_in_it and more\nand lines\nand more lines"],
    )
    assert opened(rank_list_strip(odd, height=60, border=2)).shape[1] > 60
    alone = replace(ranked, gallery_images=[], matches=[], captions=[])
    assert opened(rank_list_strip(alone)).size
    assert "Ranks: none." in describe(alone)


def test_a_ranked_query_is_checked(ranked: RankedQuery) -> None:
    with pytest.raises(ValueError, match=r"equally long, got .*'matches': 1"):
        replace(ranked, matches=[True])
    with pytest.raises(ValueError, match=r"uint8 \[H, W, 3\], got float64 \[2, 2, 3\]"):
        replace(ranked, query_image=np.zeros((2, 2, 3)))
    with pytest.raises(ValueError, match=r"got uint8 \[2, 2\]"):
        replace(ranked, query_image=np.zeros((2, 2), np.uint8))


def test_description_in_words(ranked: RankedQuery) -> None:
    assert describe(ranked) == ("Query id 7 · camera 2, average precision 0.250. Ranks: 1 match, 2 mismatch, 3 match.")
