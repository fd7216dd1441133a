"""Quality of pseudo labels: against all pairs, row by row, and against scikit-learn; cases by hand."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from reid_pipeline.clustering import pseudo_label_quality
from reid_pipeline.schema.errors import UserError

AGREEMENT = ("ari", "nmi", "pairwise_precision", "pairwise_recall", "bcubed_precision", "bcubed_recall")


def by_all_pairs(labels, pids):
    """Pairwise and BCubed precision and recall by definition; a noise row is together with itself alone."""
    rows = range(len(labels))

    def together(i, j):
        return i == j or labels[i] == labels[j] >= 0

    pairs = [(together(i, j), pids[i] == pids[j]) for i in rows for j in rows if i < j]
    right = sum(a and b for a, b in pairs)
    made, true = sum(a for a, _ in pairs), sum(b for _, b in pairs)
    precision, recall = 0.0, 0.0
    for i in rows:
        cluster = {j for j in rows if together(i, j)}
        identity = {j for j in rows if pids[i] == pids[j]}
        precision += len(cluster & identity) / len(cluster)
        recall += len(cluster & identity) / len(identity)
    pairwise = (right / made if made else 0.0, right / true if true else 0.0)
    return (*pairwise, precision / len(labels), recall / len(labels))


@st.composite
def clusterings(draw):
    rows = draw(st.integers(1, 25))
    labels = draw(st.lists(st.integers(-1, 4), min_size=rows, max_size=rows))
    pids = draw(st.lists(st.integers(-3, 4), min_size=rows, max_size=rows))
    return labels, pids


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(clusterings())
def test_equals_the_definitions_and_scikit_learn(given_labels):
    labels, pids = given_labels
    quality = pseudo_label_quality(labels, pids)
    alone = [label if label >= 0 else 100 + row for row, label in enumerate(labels)]
    expected = (
        adjusted_rand_score(pids, alone),
        normalized_mutual_info_score(pids, alone),
        *by_all_pairs(labels, pids),
    )
    for name, value in zip(AGREEMENT, expected, strict=True):
        assert getattr(quality, name) == pytest.approx(value, abs=1e-12), name


@settings(deadline=None, max_examples=50)
@given(clusterings(), st.integers(0, 2**32 - 1))
def test_neither_order_nor_numbering_counts(given_labels, seed):
    labels, pids = map(np.array, given_labels)
    order = np.random.default_rng(seed).permutation(len(labels))
    renumbered = np.where(labels >= 0, 50 - 3 * labels, -7)
    one, other = pseudo_label_quality(labels, pids), pseudo_label_quality(renumbered[order], 9 - pids[order])
    assert (one.clusters, one.size_histogram) == (other.clusters, other.size_histogram)
    assert [getattr(one, name) for name in AGREEMENT] == pytest.approx(
        [getattr(other, name) for name in AGREEMENT], abs=1e-12
    )


def test_by_hand():
    # Clusters {a a b} and {b b}, noise {a}: pairs 3 + 1 = 4, of which a-a and b-b are right: precision 1/2.
    # True pairs: a has 3 rows (3 pairs), b has 3 (3 pairs): recall 2/6.
    # BCubed precision: 2/3, 2/3, 1/3, 1, 1, 1. Recall: 2/3, 2/3, 1/3, 2/3, 2/3, 1/3.
    quality = pseudo_label_quality([0, 0, 0, 1, 1, -1], [7, 7, 8, 8, 8, 7])
    assert quality.pairwise_precision == 0.5
    assert quality.pairwise_recall == pytest.approx(1 / 3)
    assert quality.bcubed_precision == pytest.approx(14 / 18)
    assert quality.bcubed_recall == pytest.approx(10 / 18)


def test_sizes_by_hand():
    seen = pseudo_label_quality([0] * 5 + [1] * 2 + [2] * 1 + [-1] * 2)
    assert (seen.rows, seen.clusters, seen.noise_share) == (10, 3, 0.2)
    assert seen.size_quantiles == (1, 1.5, 2, 3.5, 5)
    assert seen.size_histogram == ((1, 1, 1), (2, 2, 1), (3, 4, 0), (5, 8, 1))
    empty = pseudo_label_quality([-1, -1])
    assert (empty.clusters, empty.noise_share, empty.size_quantiles, empty.size_histogram) == (0, 1.0, (), ())


def test_facts_are_what_the_history_holds():
    facts = pseudo_label_quality(np.array([0, 0, 0, 1, 1, -1]), np.array([7, 7, 8, 8, 8, 7])).facts()
    assert json.loads(json.dumps(facts)) == facts
    assert set(facts) == {"clusters", "noise_share", "cluster_sizes", "largest_cluster", "ground_truth"}
    assert facts["largest_cluster"] == 0.5
    assert facts["cluster_sizes"] == {
        "quantiles": [2, 2.25, 2.5, 2.75, 3],
        "histogram": [
            {"low": 1, "high": 1, "clusters": 0},
            {"low": 2, "high": 2, "clusters": 1},
            {"low": 3, "high": 4, "clusters": 1},
        ],
    }
    assert tuple(facts["ground_truth"]) == AGREEMENT
    unknown = pseudo_label_quality([0, 0, 1])
    assert "ground_truth" not in unknown.facts()
    assert unknown.ari is None


def test_nmi_is_at_most_1():
    labels = np.arange(10) % 6  # in floats, the information of equal partitions exceeds their entropy here
    assert pseudo_label_quality(labels, labels).nmi == 1.0


@pytest.mark.slow
def test_a_table_that_no_matrix_holds():
    """200,000 clusters of one against as many identities: a dense table would take 320 GB."""
    rows = np.arange(200_000)
    quality = pseudo_label_quality(np.full(len(rows), -1), rows)
    assert (quality.ari, quality.bcubed_precision, quality.bcubed_recall) == (1, 1, 1)
    assert quality.nmi == pytest.approx(1)


def test_wants_one_pid_per_row():
    with pytest.raises(UserError, match=r"2 pseudo labels and 3 pids were given; one pid per row"):
        pseudo_label_quality([0, 1], [1, 2, 3])
    with pytest.raises(UserError, match=r"pids has shape \[2\] and dtype float64"):
        pseudo_label_quality([0, 1], [1.0, 2.0])
    with pytest.raises(UserError, match=r"pseudo_labels has shape \[0\]"):
        pseudo_label_quality(np.array([], dtype=np.int64))
