"""Queries without a match: counted, explained, refused where none is left."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_pipeline.evaluation.protocol import evaluate_draws
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import EvaluationParameters
from reid_pipeline.schema.summary import QueryFacts
from reid_pipeline.splits.matches import ABSENT, SAME_CAMERA, count_matches, require_some_match, sentences

pytestmark = pytest.mark.slow

Row = tuple[str, int, int | None]


def split_table(rows: list[Row], test_sets: list[str] | None = None) -> pd.DataFrame:
    """The columns that matter here; row i is image `<split>/i.jpg`."""
    return pd.DataFrame(
        {
            "path": pd.Series([f"{split}/{place}.jpg" for place, (split, *_) in enumerate(rows)], dtype="str"),
            "split": pd.Series([split for split, *_ in rows], dtype="str"),
            "identity": pd.Series([f"fox-{pid}" for _, pid, _ in rows], dtype="str"),
            "pid": pd.Series([pid for _, pid, _ in rows], dtype="int64"),
            "camid": pd.array([camid for *_, camid in rows], dtype="Int64"),
            "camera": pd.Series([f"mast {camid}" for *_, camid in rows], dtype="str"),
            "test_sets": pd.Series(test_sets or [""] * len(rows), dtype="str"),
        }
    )


def galleries(rows: list[tuple[str, int, str]] | None = None) -> pd.DataFrame:
    table = pd.DataFrame(rows or [], columns=["test_set", "repeat", "path"])
    return table.astype({"test_set": "str", "repeat": "int64", "path": "str"})


# A query each: valid; same camera only; absent; distractor; unlabelled; valid.
ROWS: list[Row] = [
    ("query", 1, 0),
    ("query", 2, 0),
    ("query", 3, 0),
    ("query", 0, 0),
    ("query", -2, 0),
    ("query", 4, 1),
    ("gallery", 1, 0),
    ("gallery", 1, 1),
    ("gallery", 2, 0),
    ("gallery", 2, 0),
    ("gallery", 4, 0),
    ("gallery", 0, 1),
    ("gallery", -2, 1),
    ("train", 3, 1),
    ("train", 2, 1),
    ("dev_query", 5, 0),
    ("dev_query", 6, 0),
    ("dev_gallery", 5, 1),
    ("dev_gallery", 6, 0),
]


def test_reasons_are_told_apart() -> None:
    found = count_matches(split_table(ROWS), galleries(), camera_filter=True)
    assert found == QueryFacts(
        num_queries=6,
        num_valid=2,
        absent_from_gallery=3,
        only_same_camera=1,
        examples={ABSENT: ("query/2.jpg", "query/3.jpg", "query/4.jpg"), SAME_CAMERA: ("query/1.jpg",)},
    )
    assert type(found.num_valid) is int
    assert sentences(found) == [
        "4 of 6 queries have no valid match: 3 are absent from the gallery (e.g. query/2.jpg, query/3.jpg),"
        " 1 has only matches of its own camera (e.g. query/1.jpg)."
    ]


def test_without_the_filter_the_own_camera_counts() -> None:
    found = count_matches(split_table(ROWS), galleries(), camera_filter=False)
    assert (found.num_valid, found.absent_from_gallery, found.only_same_camera) == (3, 3, 0)


def test_the_filter_needs_the_camera_of_every_image() -> None:
    rows = [*ROWS, ("gallery", 0, None)]
    assert count_matches(split_table(rows), galleries(), camera_filter=True).only_same_camera == 0
    trained = [*ROWS, ("train", 9, None)]
    assert count_matches(split_table(trained), galleries(), camera_filter=True).only_same_camera == 1


def test_dev_has_its_own_queries() -> None:
    found = count_matches(split_table(ROWS), galleries(), camera_filter=True, splits="dev")
    assert (found.num_queries, found.num_valid, found.only_same_camera) == (2, 1, 1)
    assert sentences(found) == [
        "1 of 2 dev queries has no valid match: 1 has only matches of its own camera (e.g. dev_query/16.jpg)."
    ]


def test_examples_are_bounded_and_numbers_readable() -> None:
    rows: list[Row] = [("query", 7, 0)] * 1200 + [("gallery", 8, 0)]
    found = count_matches(split_table(rows), galleries(), camera_filter=True)
    assert found.examples[ABSENT] == tuple(f"query/{place}.jpg" for place in range(5))
    assert sentences(found) == [
        "1,200 of 1,200 queries have no valid match: 1,200 are absent from the gallery (e.g. query/0.jpg, query/1.jpg)."
    ]


def test_all_valid_and_none_asked() -> None:
    valid = count_matches(split_table([("query", 1, 0), ("gallery", 1, 1)]), galleries(), camera_filter=True)
    assert sentences(valid) == ["The only one of the queries has a valid match."]
    nobody = count_matches(split_table([("train", 1, 0)]), galleries(), camera_filter=True)
    assert nobody.num_queries == 0
    assert sentences(nobody) == ["There are no queries."]
    require_some_match(valid)
    require_some_match(nobody)


# Pool of identities 1 (three images) and 2 (two): a gallery without one of them leaves its images unanswered.
POOL: list[Row] = [("test", 1, None), ("test", 1, None), ("test", 1, None), ("test", 2, None), ("test", 2, None)]


def test_first_draw_and_the_worst() -> None:
    drawn = galleries([("", 0, "test/0.jpg"), ("", 0, "test/3.jpg"), ("", 1, "test/3.jpg"), ("", 2, "test/1.jpg")])
    found = count_matches(split_table(POOL), drawn, camera_filter=True)
    assert (found.draw, found.num_draws, found.num_queries, found.num_valid) == ("draw 0", 3, 3, 3)
    assert found.worst is not None
    assert (found.worst.draw, found.worst.num_queries, found.worst.num_valid) == ("draw 1", 4, 1)
    assert sentences(found) == [
        "All 3 queries have a valid match in draw 0.",
        "The worst of 3 draws: 3 of 4 queries have no valid match in draw 1: 3 are absent from the gallery"
        " (e.g. test/0.jpg, test/1.jpg).",
    ]


def test_draws_that_are_no_worse_are_not_mentioned() -> None:
    drawn = galleries([("", 0, "test/0.jpg"), ("", 0, "test/3.jpg"), ("", 1, "test/2.jpg"), ("", 1, "test/4.jpg")])
    found = count_matches(split_table(POOL), drawn, camera_filter=True)
    assert (found.num_draws, found.worst) == (2, None)
    assert sentences(found) == ["All 3 queries have a valid match in draw 0."]


def test_a_test_set_has_its_own_queries() -> None:
    table = split_table(POOL, ["8 16", "8 16", "8 16", "16", "16"])
    drawn = galleries([("8", 0, "test/0.jpg"), ("16", 0, "test/0.jpg")])
    found = count_matches(table, drawn, camera_filter=True)
    assert (found.draw, found.num_queries, found.num_valid) == ("test set 8, draw 0", 2, 2)
    assert found.worst is not None
    assert (found.worst.draw, found.worst.num_queries) == ("test set 16, draw 0", 4)
    assert found.worst.absent_from_gallery == 2


def test_a_pool_without_galleries_answers_nothing() -> None:
    found = count_matches(split_table(POOL), galleries(), camera_filter=True)
    assert (found.num_queries, found.absent_from_gallery) == (5, 5)


@pytest.mark.parametrize("path", ["test/9.jpg", "gallery/5.jpg"])
def test_galleries_of_another_run_are_refused(path: str) -> None:
    table = split_table([*POOL, ("gallery", 1, None)])
    with pytest.raises(UserError, match=rf"1 images of the drawn galleries are not of split test: {path}"):
        count_matches(table, galleries([("", 0, "test/0.jpg"), ("", 0, path)]), camera_filter=True)


def test_refusal_of_one_camera_names_the_filter() -> None:
    rows: list[Row] = [("query", 1, 0), ("query", 2, 0), ("gallery", 1, 0), ("gallery", 2, 0)]
    found = count_matches(split_table(rows), galleries(), camera_filter=True)
    with pytest.raises(UserError) as caught:
        require_some_match(found)
    assert str(caught.value) == (
        "Nothing can be evaluated. 2 of 2 queries have no valid match: 2 have only matches of their own"
        " camera (e.g. query/0.jpg, query/1.jpg). If the camera of an image says nothing here, count matches"
        " of the query's own camera too: --params evaluation.camera_filter=false"
    )
    require_some_match(count_matches(split_table(rows), galleries(), camera_filter=False))


def test_refusal_of_absent_identities_names_the_split() -> None:
    rows: list[Row] = [("query", 1, 0), ("gallery", 2, 1)]
    found = count_matches(split_table(rows), galleries(), camera_filter=True)
    with pytest.raises(UserError, match=r"1 is absent from the gallery .*check the folder, list or") as caught:
        require_some_match(found)
    assert "camera_filter" not in str(caught.value)


def test_refusal_of_both_names_both() -> None:
    rows: list[Row] = [("query", 1, 0), ("query", 3, 0), ("gallery", 1, 0)]
    found = count_matches(split_table(rows), galleries(), camera_filter=True)
    with pytest.raises(UserError, match=r"check the folder.*camera_filter=false"):
        require_some_match(found)


def test_one_draw_without_any_match_is_refused() -> None:
    drawn = galleries([("", 0, "test/0.jpg"), ("", 1, "test/5.jpg")])
    found = count_matches(
        split_table([*POOL[:3], *POOL[3:4], ("test", 0, None), ("test", 3, None)]), drawn, camera_filter=True
    )
    assert found.num_valid == 2
    with pytest.raises(UserError, match=r"5 of 5 queries have no valid match in draw 1"):
        require_some_match(found)


def by_pairs(table: pd.DataFrame, *, camera_filter: bool) -> tuple[int, int, int]:
    """Valid, absent, same-camera queries, every query compared with every gallery image."""
    rows = list(zip(table["split"], table["pid"], table["camid"], strict=True))
    tested = [row for row in rows if row[0] in ("query", "gallery")]
    known = all(camid is not pd.NA for *_, camid in tested)
    counts = [0, 0, 0]
    for split, pid, camid in tested:
        if split != "query":
            continue
        same = [other for name, it, other in tested if name == "gallery" and it == pid and pid > 0]
        valid = [other for other in same if not (camera_filter and known and other == camid)]
        counts[0 if valid else 2 if same else 1] += 1
    return counts[0], counts[1], counts[2]


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["query", "query", "gallery", "gallery", "train"]),
            st.sampled_from([-2, 0, 1, 2, 3, 4]),
            st.integers(0, 2),
        ),
        max_size=25,
    ),
    camera_filter=st.booleans(),
    cameras=st.sampled_from(["all", "none", "some"]),
)
def test_equals_the_double_loop(rows: list[Row], camera_filter: bool, cameras: str) -> None:
    known = {"all": lambda _: True, "none": lambda _: False, "some": lambda place: place % 3 > 0}[cameras]
    table = split_table([(s, p, c if known(i) else None) for i, (s, p, c) in enumerate(rows)])
    found = count_matches(table, galleries(), camera_filter=camera_filter)
    expected = by_pairs(table, camera_filter=camera_filter)
    assert (found.num_valid, found.absent_from_gallery, found.only_same_camera) == expected
    assert found.num_queries == sum(expected) == (table["split"] == "query").sum()


def test_order_of_the_rows_does_not_matter() -> None:
    table = split_table(ROWS)
    mixed = table.iloc[np.random.default_rng(0).permutation(len(table))]
    found = count_matches(mixed, galleries(), camera_filter=True)
    assert (found.num_valid, found.absent_from_gallery, found.only_same_camera) == (2, 3, 1)


@pytest.mark.parametrize("camera_filter", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_equals_what_the_evaluation_counts(seed: int, camera_filter: bool) -> None:
    draw = np.random.default_rng(seed)
    fixed: list[Row] = [
        (["query", "gallery", "test"][which], int(pid), int(camid))
        for which, pid, camid in zip(
            draw.integers(0, 3, 60), draw.integers(1, 15, 60), draw.integers(0, 2, 60), strict=True
        )
    ]
    fixed += [("gallery", 0, 0), ("gallery", 0, 1)]
    pool: list[Row] = [("test" if split == "query" else split, pid, camid) for split, pid, camid in fixed]
    for rows in (fixed, pool):
        table = split_table(rows)
        tested = table.loc[table["split"] == "test", "path"].tolist()
        drawn = galleries(
            [("", repeat, str(path)) for repeat in range(3) for path in draw.choice(tested, 9, replace=False)]
        )
        evaluation = EvaluationParameters(camera_filter=camera_filter)
        rows_embedded = np.arange(len(table))
        features = draw.normal(size=(len(table), 4)).astype(np.float32)
        metrics, _ = evaluate_draws(Embeddings(rows_embedded, features), table, drawn, evaluation)
        found = count_matches(table, drawn, camera_filter=camera_filter)
        assert found.num_queries == metrics["num_queries"]
        assert min(found.num_valid, (found.worst or found).num_valid) == metrics["num_valid_queries"]
        assert found.num_draws == metrics.get("repeats", 0)
