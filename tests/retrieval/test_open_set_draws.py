"""Open-set figures against a reference that looks at one pair after the other, and by hand."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from reid_pipeline.retrieval import open_set_draws, open_set_metrics
from reid_pipeline.retrieval.equal_error import equal_error_rate
from reid_pipeline.retrieval.open_set_draws import OpenSetDraw
from reid_pipeline.schema.errors import UserError


def made(seed, *, cameras):
    """Return a test set: 12 individuals in the gallery, of which 9 are asked for, two others, and junk."""
    rng = np.random.default_rng(seed)
    query_pids = rng.choice([2, 3, 5, 7, 11, 13, 17, 19, 23, 90, 91, -1], 60)
    gallery_pids = rng.choice([2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, -1], 80)
    centres = rng.normal(size=(100, 6))
    sides = []
    for pids in (query_pids, gallery_pids):
        vectors = centres[pids] + rng.normal(size=(len(pids), 6))
        sides.append((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32))
    camids = [rng.integers(0, 3, len(pids)) if cameras else None for pids in (query_pids, gallery_pids)]
    return (*sides, query_pids, gallery_pids, *camids)


def slow_draw(enrolled, query, gallery, query_pids, gallery_pids, query_camids, gallery_camids):
    """Return what a draw holds, probe by probe and image by image."""
    meets = lambda q, g: query_camids is None or query_camids[q] != gallery_camids[g]  # noqa: E731
    known, rank_1, new = [], [], []
    for q, pid in enumerate(query_pids.tolist()):
        found = [
            (float(query[q].astype(float) @ gallery[g].astype(float)), gallery_pids[g])
            for g in range(len(gallery))
            if gallery_pids[g] in enrolled and meets(q, g)
        ]
        score, nearest = max(found, default=(-math.inf, -2))
        if pid != -1 and pid not in enrolled:
            new.append(score)
        elif pid != -1 and any(each == pid for _, each in found):
            known.append(score)
            rank_1.append(nearest == pid)
    return known, rank_1, new


@pytest.mark.parametrize("cameras", [False, True])
@pytest.mark.parametrize("blocks", [(1024, 2048), (7, 5)])
def test_draws_are_those_of_all_pairs_one_by_one(cameras, blocks, monkeypatch):
    monkeypatch.setattr(open_set_draws, "_QUERIES", blocks[0])
    monkeypatch.setattr(open_set_draws, "_GALLERY", blocks[1])
    given = made(1, cameras=cameras)
    result = open_set_metrics(*given, draws=4, left_out=0.4, seed=3)
    assert [(len(draw.enrolled_scores), len(draw.newcomer_scores)) for draw in result.draws] == [(7, 5)] * 4
    names = np.unique(given[3][given[3] != -1])
    for draw, members in zip(result.draws, open_set_draws._drawn(12, 4, 0.4, 3), strict=True):
        known, rank_1, new = slow_draw(set(names[members].tolist()), *given)
        assert draw.known_scores == pytest.approx(np.array(known), abs=1e-6)
        assert draw.is_rank_1.tolist() == rank_1
        assert draw.new_scores == pytest.approx(np.array(new), abs=1e-6)
        truth = [1] * len(known) + [0] * len(new)
        bounded = np.clip([*known, *new], -2, 1)
        assert draw.auroc() == pytest.approx(roc_auc_score(truth, bounded), abs=1e-6)
    again = open_set_metrics(*given, draws=4, left_out=0.4, seed=3)
    assert again.draws[3].new_scores.tolist() == result.draws[3].new_scores.tolist()


@pytest.mark.parametrize("cameras", [False, True])
def test_the_equal_error_rate_is_that_of_the_pairs_sorted(cameras):
    query, gallery, query_pids, gallery_pids, query_camids, gallery_camids = given = made(2, cameras=cameras)
    same, different = [], []
    for q, pid in enumerate(query_pids):
        for g, other in enumerate(gallery_pids):
            if -1 in (pid, other) or (cameras and query_camids[q] == gallery_camids[g]):
                continue
            (same if pid == other else different).append(float(query[q] @ gallery[g]))
    same, different = np.array(same), np.array(different)
    thresholds = np.sort(np.concatenate([same, different]))
    gaps = [(abs((same < t).mean() - (different >= t).mean()), (same < t).mean()) for t in thresholds]
    found = open_set_metrics(*given, draws=1).equal_error_rate
    assert found == pytest.approx(min(gaps)[1], abs=1 / len(same))
    assert 0.01 < found < 0.5


def test_equal_error_rates_by_hand():
    assert equal_error_rate([0, 0, 4], [5, 3, 0]) == 0
    assert equal_error_rate([4, 0], [0, 5]) == 1
    assert equal_error_rate([1, 0, 3], [0, 2, 0]) == 0.25  # between the bins
    assert equal_error_rate([2, 2], [3, 3]) == 0.5
    assert equal_error_rate([0, 0], [1, 2]) is None


def test_detection_needs_ten_false_alarms():
    def draw(count):
        new = np.arange(count, dtype=np.float32) / 1000
        known = np.array([0.0895, 0.0905, 0.5, 0.6], np.float32)
        return OpenSetDraw(known, np.array([True, True, True, False]), new, new, new)

    assert draw(99).detection_rate(0.1) is None
    # Of 100 newcomers at 0, 0.001 ... ten are above 0.089: of the known ones all are, and one is not of rank 1.
    assert draw(100).detection_rate(0.1) == 0.75
    assert draw(100).detection_rate(0.01) is None
    assert draw(102).detection_rate(0.1) == 0.25  # ten are above 0.091


def test_what_became_of_a_promise_by_hand():
    scores = np.arange(1, 20, dtype=np.float32)
    newcomers, known = np.array([18, 19, 20, 21], np.float32), np.array([19, 20, 30], np.float32)
    draw = OpenSetDraw(known, np.array([True, True, False]), np.array([0, 40], np.float32), scores, newcomers)
    found = draw.promise(0.1)  # the 19th of 19 scores
    assert (found.threshold, found.false_alarms, found.probe_false_alarms) == (19, 0.5, 0.5)
    assert found.detection_rate == pytest.approx(1 / 3)
    assert draw.promise(0.01) is None


def test_bad_input_is_refused():
    query, gallery, *rest = made(1, cameras=False)
    with pytest.raises(UserError, match="left_out is 1"):
        open_set_metrics(query, gallery, *rest, left_out=1)
    with pytest.raises(UserError, match="draws is 0"):
        open_set_metrics(query, gallery, *rest, draws=0)
    with pytest.raises(UserError, match="not unit rows"):
        open_set_metrics(query, 2 * gallery, *rest)
    assert open_set_metrics(query, gallery, rest[0], np.full(len(gallery), 5)) is None
