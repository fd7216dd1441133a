"""Queries that no gallery image can answer, counted before anything is trained."""

from collections.abc import Iterator
from typing import Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reid_pipeline.schema.columns import CAMID, DISTRACTOR_PID, PATH, PID, REPEAT, SPLIT, TEST_SET, TEST_SETS
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.summary import QueryFacts
from reid_pipeline.splits.published import in_test_set

ABSENT = "absent_from_gallery"
SAME_CAMERA = "only_same_camera"
_REASONS = (
    (ABSENT, "is absent from the gallery", "are absent from the gallery"),
    (SAME_CAMERA, "has only matches of its own camera", "have only matches of their own camera"),
)
_EXAMPLES, _IN_A_SENTENCE = 5, 2
_SPLITS_OF = {"test": ("query", "gallery"), "dev": ("dev_query", "dev_gallery")}
_Bools = NDArray[np.bool_]


def count_matches(
    split_table: pd.DataFrame, galleries: pd.DataFrame, *, camera_filter: bool, splits: Literal["test", "dev"] = "test"
) -> QueryFacts:
    """Count the queries that have a match in the gallery.

    A match is a gallery image of the query's pid (above 0: distractors and unlabelled images match nobody),
    with the camera filter of another camera too. As in the evaluation, the filter holds only where every
    image has a camera. Where there is no split `query`, the other images of split `test` are each gallery's queries.

    Returns:
        the figures, of the first gallery where several were sampled, without sentences.

    Raises:
        UserError: a gallery lists an image that is not of split `test`.
    """
    query, gallery = _SPLITS_OF[splits]
    columns = [PATH, PID, CAMID, SPLIT, TEST_SETS]
    table = split_table.loc[split_table[SPLIT].isin([query, gallery]), columns]
    pool = split_table.loc[split_table[SPLIT] == "test", columns]
    if splits == "dev" or pool.empty or (table[SPLIT] == query).any():
        in_gallery = (table[SPLIT] == gallery).to_numpy()
        return _facts(table, in_gallery, camera_filter=camera_filter, splits=splits)
    found = [
        _facts(pool[rows], sampled[rows], camera_filter=camera_filter, splits=splits, draw=name)
        for name, rows, sampled in _samples(pool, galleries)
    ]
    first, worst = found[0], min(found, key=lambda each: each.valid_share)
    worse = worst if worst.valid_share < first.valid_share else None
    return first.model_copy(update={"num_draws": len(found), "worst": worse})


def sentences(matches: QueryFacts) -> list[str]:
    """Return what was counted in words: one sentence, and one more if another gallery is worse."""
    worst = [f"The worst of {matches.num_draws:,} draws: {_sentence(matches.worst)}"] if matches.worst else []
    return [_sentence(matches), *worst]


def require_some_match(matches: QueryFacts) -> None:
    """Refuse (with a UserError) queries of which not one can be answered, be it with one gallery only."""
    for each in (matches, matches.worst):
        if each is None or each.num_valid or not each.num_queries:
            continue
        text = f"Nothing can be evaluated. {_sentence(each)}"
        if each.absent_from_gallery:
            text += (
                " An identity must be written alike in query and gallery and have images in both: check the"
                " folder, list or column that the split was read from."
            )
        if each.only_same_camera:
            text += (
                " If the camera of an image says nothing here, count matches of the query's own camera too:"
                " --params evaluation.camera_filter=false"
            )
        raise UserError(text)


def _samples(pool: pd.DataFrame, galleries: pd.DataFrame) -> Iterator[tuple[str, _Bools, _Bools]]:
    """Yield each gallery's name, the rows of its test set, and those sampled into it."""
    rows = pd.Index(pool[PATH]).get_indexer(galleries[PATH])
    strange = galleries.loc[rows < 0, PATH]
    if len(strange):
        raise UserError(
            f"{len(strange)} images of the drawn galleries are not of split test: {first_few(list(strange))}."
            " Galleries and split table are of different runs: run the ingestion pipeline again."
        )
    everywhere = np.ones(len(pool), dtype=bool)
    if galleries.empty:
        yield "no gallery drawn", everywhere, ~everywhere
    several = galleries[TEST_SET].nunique() > 1
    for key, group in galleries.assign(row=rows).groupby([TEST_SET, REPEAT], sort=False)["row"]:
        test_set, repeat = cast("tuple[str, int]", key)
        sampled = ~everywhere
        sampled[group.to_numpy()] = True
        name = f"test set {test_set}, draw {repeat}" if several else f"draw {repeat}"
        yield name, in_test_set(pool, test_set).to_numpy(dtype=bool) if test_set else everywhere, sampled


def _facts(
    table: pd.DataFrame, in_gallery: _Bools, *, camera_filter: bool, splits: Literal["test", "dev"], draw: str = ""
) -> QueryFacts:
    """Return the figures of one gallery; rows outside it are the queries."""
    named = (table[PID] > DISTRACTOR_PID).to_numpy()
    counted = in_gallery & named
    identity = pd.factorize(table[PID])[0]
    images = _number_in(counted, identity)
    absent = ~in_gallery & (~named | (images == 0))
    same_camera = np.zeros(len(table), dtype=bool)
    if camera_filter and not table[CAMID].isna().any():
        camera, cameras = pd.factorize(table[CAMID])
        seen_there = _number_in(counted, pd.factorize(identity * len(cameras) + camera)[0])
        same_camera = ~in_gallery & ~absent & (images == seen_there)
    reasons = {ABSENT: absent, SAME_CAMERA: same_camera}
    return QueryFacts(
        num_queries=int((~in_gallery).sum()),
        num_valid=int((~in_gallery & ~absent & ~same_camera).sum()),
        **{reason: int(rows.sum()) for reason, rows in reasons.items()},
        examples={reason: tuple(table.loc[rows, PATH][:_EXAMPLES]) for reason, rows in reasons.items()},
        splits=splits,
        draw=draw,
        num_draws=0,
        worst=None,
    )


def _number_in(counted: _Bools, group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for every row how many counted rows are of its group, int64 [n]."""
    return np.bincount(group[counted], minlength=int(group.max(initial=-1)) + 1)[group]


def _sentence(matches: QueryFacts) -> str:
    queries = "dev queries" if matches.splits == "dev" else "queries"
    where = f" in {matches.draw}" if matches.draw else ""
    invalid = matches.num_queries - matches.num_valid
    if not matches.num_queries:
        return f"There are no {queries}{where}."
    if not invalid:
        single = matches.num_queries == 1
        which = f"The only one of the {queries} has" if single else f"All {matches.num_queries:,} {queries} have"
        return f"{which} a valid match{where}."
    reasons = []
    for reason, one, several in _REASONS:
        if number := getattr(matches, reason):
            examples = ", ".join(matches.examples[reason][:_IN_A_SENTENCE])
            reasons.append(f"{number:,} {one if number == 1 else several} (e.g. {examples})")
    which = f"{invalid:,} of {matches.num_queries:,} {queries} {'has' if invalid == 1 else 'have'}"
    return f"{which} no valid match{where}: {', '.join(reasons)}."
