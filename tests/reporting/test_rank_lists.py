import base64
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reid_pipeline.reporting.rank_lists import RankedQuery, pick_queries, ranked_list

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


def opened_place(place: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(place["source"].partition("base64,")[2])))


def test_words_say_what_frames_and_colours_do(ranked: RankedQuery) -> None:
    shown = ranked_list(ranked)
    assert (shown["average_precision"], shown["caption"]) == ("25.0", "id 7 · camera 2")
    assert (shown["query"]["head"], shown["query"]["alt"]) == ("Query", "Query: id 7, camera 2")
    assert [(place["kind"], place["head"], place["alt"]) for place in shown["places"]] == [
        ("match", "1 ✓ match", "Rank 1, a match: a"),
        ("mismatch", "2 ✕ other", "Rank 2, another identity: b"),
        ("match", "3 ✓ match", "Rank 3, a match: c"),
    ]
    assert shown["query"]["lines"] == ["id 7", "camera 2"]
    assert ranked_list(ranked) == shown


def test_all_pictures_of_a_list_have_one_height(ranked: RankedQuery) -> None:
    """A person, a car and a very broad picture, which is whole and lower; each place is as broad as its picture."""
    images = [np.full((*size, 3), 99, np.uint8) for size in ((64, 32), (90, 60), (10, 200))]
    shown = ranked_list(replace(ranked, gallery_images=images))
    places = [shown["query"], *shown["places"]]
    assert [opened_place(place).size for place in places] == [(60, 120), (60, 120), (80, 120), (240, 12)]
    assert [place["width"] for place in places] == [82, 82, 82, 240]


def test_a_query_that_found_nothing_is_shown_alone(ranked: RankedQuery) -> None:
    assert len(ranked_list(replace(ranked, gallery_images=[], matches=[], captions=[]))["places"]) == 0


def test_a_ranked_query_is_checked(ranked: RankedQuery) -> None:
    with pytest.raises(ValueError, match=r"equally long, got .*'matches': 1"):
        replace(ranked, matches=[True])
    with pytest.raises(ValueError, match=r"uint8 \[H, W, 3\], got float64 \[2, 2, 3\]"):
        replace(ranked, query_image=np.zeros((2, 2, 3)))
    with pytest.raises(ValueError, match=r"got uint8 \[2, 2\]"):
        replace(ranked, query_image=np.zeros((2, 2), np.uint8))
