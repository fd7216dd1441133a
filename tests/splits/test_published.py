"""Counts of a reading against the published ones."""

import pandas as pd
import pytest

from reid_pipeline.schema.benchmark import Benchmark, Counts, Reading, Version
from reid_pipeline.schema.errors import UserError
from reid_pipeline.splits.published import check_counts


def benchmark(*versions):
    return Benchmark("Zoo", "animal", "paper", "free", "nowhere", "folders", versions=versions)


def reading(rows, version=None):
    """Rows of (pid, subset, test sets)."""
    pids, subsets, sets = zip(*rows, strict=True)
    manifest = pd.DataFrame({"pid": pids, "subset": subsets, "test_sets": pd.Series(sets, dtype="str")})
    return Reading(manifest, version)


# 4 training images of 2; a query; a gallery of one individual, one distractor, one junk.
ROWS = [(pid, "train", "") for pid in (1, 1, 2, 2)]
ROWS += [(3, "query", ""), (3, "gallery", ""), (0, "gallery", ""), (-1, "gallery", "")]
RIGHT = {"train": Counts(4, 2), "query": Counts(1, 1), "gallery": Counts(3, 1)}


def test_all_agree_junk_and_distractors_are_images_but_no_identities():
    assert check_counts(benchmark(Version("v1", RIGHT)), reading(ROWS)) == []


def test_nothing_published():
    assert check_counts(benchmark(), reading(ROWS)) == []
    assert check_counts(benchmark(), reading(ROWS), strict=True) == []


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        (Counts(12_936, 751), "train has 4 images of 2 identities; published (v1): 12,936 of 751, 12,932 fewer."),
        (Counts(3, 2), "train has 4 images of 2 identities; published (v1): 3 of 2, 1 more."),
        (Counts(4, 3), "train has 4 images of 2 identities; published (v1): 4 of 3, 1 fewer identity."),
        (Counts(4, 5), "train has 4 images of 2 identities; published (v1): 4 of 5, 3 fewer identities."),
        (Counts(9), "train has 4 images; published (v1): 9, 5 fewer."),
    ],
)
def test_by_how_much(counts, sentence):
    assert check_counts(benchmark(Version("v1", {**RIGHT, "train": counts})), reading(ROWS)) == [sentence]


def test_identities_that_were_not_published_are_not_compared():
    assert check_counts(benchmark(Version("v1", {"train": Counts(4)})), reading(ROWS)) == []


def test_a_subset_that_is_not_there():
    found = check_counts(benchmark(Version("v1", RIGHT)), reading(ROWS[:4]))
    assert found == [
        "query has 0 images of 0 identities; published (v1): 1 of 1, 1 fewer.",
        "gallery has 0 images of 0 identities; published (v1): 3 of 1, 3 fewer.",
    ]


FAR = Version("far", {**RIGHT, "train": Counts(900, 9)})
NEAR = Version("near", {**RIGHT, "train": Counts(6, 2)})


def test_the_nearest_version_unless_one_is_named():
    both = benchmark(FAR, NEAR)
    (sentence,) = check_counts(both, reading(ROWS))
    assert "published (near): 6 of 2, 2 fewer." in sentence
    (sentence,) = check_counts(both, reading(ROWS, "far"))
    assert "published (far): 900 of 9, 896 fewer." in sentence


def test_the_version_it_looks_like():
    found = check_counts(benchmark(FAR, Version("v2", RIGHT)), reading(ROWS, "far"))
    assert found == [
        "train has 4 images of 2 identities; published (far): 900 of 9, 896 fewer.",
        "These are just the counts of version 'v2'.",
    ]
    assert check_counts(benchmark(FAR, Version("v2", RIGHT)), reading(ROWS)) == []


def test_test_sets_overlap_and_are_matched_as_words():
    rows = [(1, "train", ""), (5, "test", "800 1600"), (6, "test", "1600"), (6, "test", "1600")]
    counts = {"train": Counts(1, 1), "800": Counts(1, 1), "1600": Counts(3, 2)}
    assert check_counts(benchmark(Version("V1.0", counts)), reading(rows)) == []
    counts["00"] = Counts(2, 2)
    assert check_counts(benchmark(Version("V1.0", counts)), reading(rows)) == [
        "test set 00 has 0 images of 0 identities; published (V1.0): 2 of 2, 2 fewer."
    ]


def test_strict_counts_refuse_with_the_remedy():
    both = benchmark(FAR, Version("v2", RIGHT))
    assert len(check_counts(both, reading(ROWS, "far"), strict=False)) == 2
    assert check_counts(both, reading(ROWS), strict=True) == []
    with pytest.raises(UserError) as caught:
        check_counts(both, reading(ROWS, "far"), strict=True)
    assert str(caught.value) == (
        "Zoo is not as published: train has 4 images of 2 identities; published (far): 900 of 9, 896 fewer."
        " These are just the counts of version 'v2'. Complete the folder from the archive, or accept these"
        " counts with `ingestion.strict_counts: false`."
    )
