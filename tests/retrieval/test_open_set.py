"""Scores of identities against a slow reference, thresholds by hand, and the promise on simulated identities."""

import math

import numpy as np
import pytest

from reid_pipeline.retrieval import open_set
from reid_pipeline.retrieval.open_set import conformal_threshold, identity_scores, needed_identities, split_scores
from reid_pipeline.schema.errors import UserError


def units(rng, count, width):
    vectors = rng.normal(size=(count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def slow_scores(vectors, identities, cameras, enrolled):
    """Pair by pair."""
    names = sorted(set(identities.tolist()))
    scores = dict.fromkeys(names, -math.inf)
    for i, one in enumerate(identities.tolist()):
        for j, other in enumerate(identities.tolist()):
            same_camera = cameras is not None and cameras[i] == cameras[j] and cameras[i] != -1
            if one != other and other in enrolled and not same_camera:
                scores[one] = max(scores[one], float(vectors[i].astype(float) @ vectors[j].astype(float)))
    return [scores[name] for name in names]


@pytest.mark.parametrize("tile", [3, 7, 2048])
@pytest.mark.parametrize("cameras", [None, "all", "some"])
def test_scores_are_those_of_all_pairs_one_by_one(tile, cameras, monkeypatch):
    monkeypatch.setattr(open_set, "_TILE", tile)
    rng = np.random.default_rng(tile)
    vectors, identities = units(rng, 40, 5), rng.choice([3, 5, 8, 13, 21, 34], 40)
    taken = {None: None, "all": rng.integers(0, 3, 40), "some": rng.integers(-1, 2, 40)}[cameras]
    assert identity_scores(vectors, identities, taken) == pytest.approx(
        slow_scores(vectors, identities, taken, {3, 5, 8, 13, 21, 34}), abs=1e-6
    )
    sets = np.array([[1, 1, 0, 1, 0, 0], [0, 1, 1, 0, 1, 1]], dtype=bool)
    expected = [slow_scores(vectors, identities, taken, members) for members in ({3, 5, 13}, {5, 8, 21, 34})]
    assert split_scores(vectors, identities, taken, enrolled=sets) == pytest.approx(np.array(expected), abs=1e-6)


def test_an_identity_whose_pairs_are_all_of_one_camera_has_no_score():
    scores = identity_scores(np.eye(3), [1, 2, 3], [0, 0, 0])
    assert scores.tolist() == [-math.inf] * 3
    assert conformal_threshold([*scores, *range(16)], 0.1) == 15


@pytest.mark.parametrize(
    ("count", "alpha", "rank"),
    [(19, 0.1, 19), (20, 0.1, 20), (29, 0.1, 28), (99, 0.1, 91), (199, 0.01, 199), (1999, 0.001, 1999), (3, 0.5, 3)],
)
def test_the_threshold_is_the_score_of_the_stated_rank(count, alpha, rank):
    scores = np.random.default_rng(count).permutation(np.arange(1.0, count + 1))
    assert conformal_threshold(scores, alpha) == rank


def test_the_numbers_of_identities_that_are_needed():
    assert [needed_identities(alpha) for alpha in (0.5, 0.1, 0.05, 0.01, 0.001)] == [3, 19, 39, 199, 1999]
    with pytest.raises(UserError, match=r"1 % can be promised with 199 enrolled .* there are 134: .* at least 1\.49 %"):
        conformal_threshold(np.zeros(134), 0.01)
    conformal_threshold(np.zeros(134), 0.0149)
    with pytest.raises(UserError, match=r"there are 1: enrol more\.$"):
        conformal_threshold([0.5], 0.1)


@pytest.mark.parametrize("alpha", [0, 1, -0.1, 1.5, math.nan, True])
def test_a_rate_that_is_no_share_is_refused(alpha):
    with pytest.raises(UserError, match="above 0 and below 1"):
        needed_identities(alpha)


def test_rows_that_are_not_unit_and_scores_that_are_nan_are_refused():
    with pytest.raises(UserError, match=r"not unit rows in 1 of 3 rows \(rows 1\)"):
        identity_scores(np.eye(3) * [[1], [2], [1]], [1, 2, 3])
    with pytest.raises(UserError, match="identities have shape"):
        identity_scores(np.eye(3), [1, 2])
    with pytest.raises(UserError, match="1 of 20 scores are NaN"):
        conformal_threshold([math.nan, *range(19)], 0.1)
    with pytest.raises(UserError, match="enrolled has shape"):
        split_scores(np.eye(3), [1, 2, 3], enrolled=np.ones((1, 2), dtype=bool))


def false_alarms(*, enrolled, alpha, lower=0, worlds=4000):
    """Return how often a newcomer is taken for a known one, in worlds of identities drawn anew, and the deviation.

    Similarities of identities are drawn as they are: symmetric, with hubs that are near to many.
    """
    rng = np.random.default_rng(0)
    alarms = []
    for _ in range(worlds):
        hub = 0.3 * rng.exponential(size=enrolled + 1)
        similarity = rng.normal(size=(enrolled + 1, enrolled + 1))
        similarity = similarity + similarity.T + hub[:, None] + hub
        np.fill_diagonal(similarity, -np.inf)
        scores, newcomer = np.sort(similarity[:-1, :-1].max(axis=1)), similarity[-1, :-1].max()
        rank = math.ceil((enrolled + 1) * (1 - alpha)) + 1
        assert conformal_threshold(scores, alpha) == scores[rank - 1]
        alarms.append(newcomer > scores[rank - 1 - lower])
    return np.mean(alarms), np.std(alarms) / math.sqrt(worlds)


def test_the_promise_holds_on_simulated_identities_and_one_rank_lower_breaks_it():
    # Two that are nearest to each other share one score. Of 29 the rank is mostly the lower of such a pair, and the
    # next one is another score; of 19 it is the upper.
    for enrolled in (19, 29):
        held, error = false_alarms(enrolled=enrolled, alpha=0.1)
        assert held <= 0.1 + 3 * error
        assert held >= 0.05  # and it isn't held by answering "new" to all
    broken, error = false_alarms(enrolled=29, alpha=0.1, lower=1)
    assert broken > 0.1 + 3 * error
