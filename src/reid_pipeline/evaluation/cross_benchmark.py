"""Every trained embedder on every test split: transfer from one benchmark to the others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reid_pipeline.engine.loading import check_unchanged
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.evaluation.embedding import embed_test_rows
from reid_pipeline.evaluation.protocol import evaluate_draws
from reid_pipeline.models.embedder import Embedder
from reid_pipeline.schema.columns import CAMID, VIEWID
from reid_pipeline.schema.comparison import CrossBenchmark, CrossResult
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.open_set import OpenSetParameters
from reid_pipeline.schema.parameters import EvaluationParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.splits import SplitTables, data_hash

_OTHER_TABLES = "trained on other tables of this benchmark than are there now: run the method again"


@dataclass(frozen=True)
class TrainedEmbedder:
    """An embedder on disk: where it was trained, and how to load it."""

    benchmark: str
    method: str
    seed: int
    load: Callable[[], Embedder]
    variant: str = ""


@dataclass(frozen=True)
class TestSplit:
    """A benchmark's tables and images."""

    benchmark: str
    tables: SplitTables
    raw_images: RawFolder
    stamps: pd.DataFrame | None = None


def evaluate_everywhere(
    embedders: Sequence[TrainedEmbedder],
    splits: Sequence[TestSplit],
    runtime: Runtime,
    evaluation: EvaluationParameters,
) -> CrossBenchmark:
    """Evaluate each embedder on each split; one embedder is in memory at a time.

    On another benchmark than its own an embedder gets no camids and no viewids, which mean others there: the mean of
    the learnt side information stands in. The camera filter reads the true cameras everywhere. Figures have no
    intervals, and none are of an open set. A split that the protocol cannot be applied to has a result that states the
    reason; so has an embedder's own benchmark if its tables have changed since, as training may have seen what is
    tested.

    Raises:
        UserError: images have changed since ingestion; an embedder cannot be read.
    """
    protocol = evaluation.model_copy(update={"resamples": 0, "open_set": OpenSetParameters(draws=0)})
    for split in splits:
        check_unchanged(split.tables.split_table, split.raw_images, split.stamps)
    results = []
    for trained in embedders:
        embedder = trained.load()
        results += [_evaluated(trained, embedder, split, runtime, protocol) for split in splits]
    benchmarks = tuple(split.benchmark for split in splits)
    return CrossBenchmark(benchmarks=benchmarks, results=tuple(results))


def _evaluated(
    trained: TrainedEmbedder, embedder: Embedder, split: TestSplit, runtime: Runtime, protocol: EvaluationParameters
) -> CrossResult:
    own, table, galleries = trained.benchmark == split.benchmark, split.tables.split_table, split.tables.galleries
    results: dict[str, Any] = {"why_not": _OTHER_TABLES}
    if not own or embedder.origin is None or embedder.origin.data == data_hash(table):
        absent = pd.array([pd.NA] * len(table), dtype="Int64")
        shown = table if own else table.assign(**{CAMID: absent, VIEWID: absent})
        try:
            embeddings = embed_test_rows(embedder, SplitTables(shown, galleries), split.raw_images, runtime, protocol)
            results, _ = evaluate_draws(embeddings, table, galleries, protocol)
        except UserError as error:
            results = {"why_not": str(error)}
    return CrossResult(
        trained_on=trained.benchmark,
        method=trained.method,
        variant=trained.variant,
        seed=trained.seed,
        tested_on=split.benchmark,
        **results,
    )
