"""Queries that no gallery image can answer, counted before anything is trained."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reid_pipeline.schema.columns import CAMID, DISTRACTOR_PID, PATH, PID, REPEAT, SPLIT, TEST_SET, TEST_SETS
from reid_pipeline.schema.errors import UserError, first_few

ABSENT = "absent_from_gallery"
SAME_CAMERA = "only_same_camera"
_EXAMPLES = 5
_SHOWN = 2  # of the examples, in a sentence
_SPLITS_OF = {"test": ("query", "gallery"), "dev": ("dev_query", "dev_gallery")}
_Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class QueryMatches:
    """How many queries can be answered, and why the others cannot.

    Attributes:
        num_queries: all queries.
        num_valid: those with a match in the gallery.
        absent_from_gallery: those whose identity has no gallery image, or who have no identity.
        only_same_camera: those whose identity was seen in the gallery by the query's own camera alone, which
            the camera filter does not count.
        examples: paths by reason (`ABSENT`, `SAME_CAMERA`), five at most.
        splits: "test" or "dev".
        draw: which gallery these figures are of; empty where none was drawn.
        num_draws: galleries drawn.
        worst: the figures of the draw with the smallest share of valid queries, unless it is this one's.
    """

    num_queries: int
    num_valid: int
    absent_from_gallery: int
    only_same_camera: int
    examples: Mapping[str, tuple[str, ...]]
    splits: Literal["test", "dev"] = "test"
    draw: str = ""
    num_draws: int = 0
    worst: "QueryMatches | None" = None

    @property
    def valid_share(self) -> float:
        """Share of the queries that are valid, in 0..1; 1 if there are none."""
        return self.num_valid / self.num_queries if self.num_queries else 1.0


def count_matches(
    split_table: pd.DataFrame, galleries: pd.DataFrame, *, camera_filter: bool, splits: Literal["test", "dev"] = "test"
) -> QueryMatches:
    """Count the queries that have a match in the gallery.

    A match is a gallery image of the query's pid (above 0: distractors and unlabelled images match nobody),
    with the camera filter of another camera too. As in the evaluation, the filter holds only where every
    image has a camera. Time grows with images x draws, memory with images: no query is paired with a gallery.

    Args:
        split_table: as `schema.tables.SPLIT_TABLE`.
        galleries: as `schema.tables.GALLERIES`; where there is no split `query`, the other images of split
            `test` are each draw's queries.
        camera_filter: whether gallery images of the query's own camera do not count.
        splits: test or dev queries and gallery.

    Returns:
        the figures, of the first draw where galleries were drawn.

    Raises:
        UserError: a gallery lists an image that is not of split `test`.
    """
    query, gallery = _SPLITS_OF[splits]
    columns = [PATH, PID, CAMID, SPLIT, TEST_SETS]
    table = split_table.loc[split_table[SPLIT].isin([query, gallery]), columns]
    pool = split_table.loc[split_table[SPLIT] == "test", columns]
    if splits == "dev" or pool.empty or (table[SPLIT] == query).any():
        in_gallery = (table[SPLIT] == gallery).to_numpy()
        return _judge(table, in_gallery, camera_filter=camera_filter, splits=splits)
    found = [
        replace(_judge(pool[rows], drawn[rows], camera_filter=camera_filter, splits=splits), draw=name)
        for name, rows, drawn in _draws(pool, galleries)
    ]
    first, worst = found[0], min(found, key=lambda each: each.valid_share)
    return replace(first, num_draws=len(found), worst=worst if worst.valid_share < first.valid_share else None)


def sentences(matches: QueryMatches) -> list[str]:
    """Say what was counted: one sentence, and one more if another draw is worse."""
    said = [_sentence(matches)]
    if matches.worst is not None:
        said.append(f"The worst of {matches.num_draws:,} draws: {_sentence(matches.worst)}")
    return said


def require_some_match(matches: QueryMatches) -> None:
    """Refuse queries of which not one can be answered, be it in one draw only.

    Raises:
        UserError: there are queries and none is valid; with the counts, the reasons and the remedy.
    """
    for each in (matches, matches.worst):
        if each is None or each.num_valid or not each.num_queries:
            continue
        remedies = []
        if each.absent_from_gallery:
            remedies.append(
                "An identity must be written alike in query and gallery and have images in both: check the"
                " folder, list or column that the split was read from."
            )
        if each.only_same_camera:
            remedies.append(
                "If the camera of an image says nothing here, count matches of the query's own camera too:"
                " --params evaluation.camera_filter=false"
            )
        raise UserError(" ".join(["Nothing can be evaluated.", _sentence(each), *remedies]))


def _draws(pool: pd.DataFrame, galleries: pd.DataFrame) -> Iterator[tuple[str, _Bools, _Bools]]:
    """Yield each draw's name, the rows that take part in it, and those drawn into its gallery."""
    rows = pd.Index(pool[PATH]).get_indexer(galleries[PATH])
    strange = galleries.loc[rows < 0, PATH]
    if len(strange):
        raise UserError(
            f"{len(strange)} images of the drawn galleries are not of split test: {first_few(list(strange))}."
            " Galleries and split table are of different runs: run the ingestion pipeline again."
        )
    if galleries.empty:
        yield "no gallery drawn", np.ones(len(pool), dtype=bool), np.zeros(len(pool), dtype=bool)
    several = galleries[TEST_SET].nunique() > 1
    for key, group in galleries.assign(row=rows).groupby([TEST_SET, REPEAT], sort=False)["row"]:
        test_set, repeat = cast("tuple[str, int]", key)
        drawn = np.zeros(len(pool), dtype=bool)
        drawn[group.to_numpy()] = True
        name = f"test set {test_set}, draw {repeat}" if several else f"draw {repeat}"
        yield name, _in_test_set(pool, test_set), drawn


def _in_test_set(table: pd.DataFrame, name: str) -> _Bools:
    if not name:
        return np.ones(len(table), dtype=bool)
    padded = " " + table[TEST_SETS] + " "
    return padded.str.contains(f" {name} ", regex=False).to_numpy(dtype=bool)


def _judge(
    table: pd.DataFrame, in_gallery: _Bools, *, camera_filter: bool, splits: Literal["test", "dev"]
) -> QueryMatches:
    """Return the figures of one gallery; rows outside it are the queries."""
    use_cameras = camera_filter and not table[CAMID].isna().any()
    counted = in_gallery & (table[PID] > DISTRACTOR_PID).to_numpy()
    identity = pd.factorize(table[PID])[0]
    images = _number_in(counted, identity)
    absent = ~in_gallery & ((table[PID] <= DISTRACTOR_PID).to_numpy() | (images == 0))
    same_camera = np.zeros(len(table), dtype=bool)
    if use_cameras:
        camera, cameras = pd.factorize(table[CAMID])
        seen_there = _number_in(counted, pd.factorize(identity * len(cameras) + camera)[0])
        same_camera = ~in_gallery & ~absent & (images == seen_there)
    queries = int((~in_gallery).sum())
    paths = table[PATH].to_numpy(dtype=object)
    return QueryMatches(
        num_queries=queries,
        num_valid=queries - int(absent.sum()) - int(same_camera.sum()),
        absent_from_gallery=int(absent.sum()),
        only_same_camera=int(same_camera.sum()),
        examples={ABSENT: tuple(paths[absent][:_EXAMPLES]), SAME_CAMERA: tuple(paths[same_camera][:_EXAMPLES])},
        splits=splits,
    )


def _number_in(counted: _Bools, group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for every row how many counted rows are of its group, int64 [n]."""
    return np.bincount(group[counted], minlength=int(group.max(initial=-1)) + 1)[group]


def _sentence(matches: QueryMatches) -> str:
    queries = "dev queries" if matches.splits == "dev" else "queries"
    where = f" in {matches.draw}" if matches.draw else ""
    if not matches.num_queries:
        return f"There are no {queries}{where}."
    invalid = matches.num_queries - matches.num_valid
    if not invalid and matches.num_queries == 1:
        return f"The only one of the {queries} has a valid match{where}."
    if not invalid:
        return f"All {matches.num_queries:,} {queries} have a valid match{where}."
    reasons = []
    if number := matches.absent_from_gallery:
        verb = "is" if number == 1 else "are"
        reasons.append(f"{number:,} {verb} absent from the gallery{_such_as(matches, ABSENT)}")
    if number := matches.only_same_camera:
        which = "has only matches of its" if number == 1 else "have only matches of their"
        reasons.append(f"{number:,} {which} own camera{_such_as(matches, SAME_CAMERA)}")
    which = f"{invalid:,} of {matches.num_queries:,} {queries} {'has' if invalid == 1 else 'have'}"
    return f"{which} no valid match{where}: {', '.join(reasons)}."


def _such_as(matches: QueryMatches, reason: str) -> str:
    return f" (e.g. {', '.join(matches.examples[reason][:_SHOWN])})"
