"""Nodes of a method's pipeline.

Every node notes in what it makes where that comes from, and checks in what it uses that it was made by the
run that it works for (`schema.origin`).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd

from reid_pipeline.engine.stage import Method
from reid_pipeline.schema.addresses import ZERO_SHOT, Cells, address
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.origin import EXTRACTION, Origin, require_match
from reid_pipeline.schema.parameters import (
    ComputeParameters,
    EvaluationParameters,
    IngestionParameters,
    ReportParameters,
    SplitParameters,
)
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.records import Breakdown, Differences, EpochRecord, Metrics, RunCard
from reid_pipeline.splits import SplitTables

Record = dict[str, Any]


def train_node(method: Method, stage: str) -> Callable[..., Any]:
    """Return the node of a training stage; it yields the state and the history after every epoch."""

    def train(
        parameters: Any,
        split_table: pd.DataFrame,
        raw_images: RawFolder,
        image_cache: Any,
        image_stamps: pd.DataFrame | None,
        resume_point: Record | None,
        compute: ComputeParameters,
        cells: Cells,
        earlier: Any = None,
    ) -> Iterator[tuple[Record, list[EpochRecord]]]:
        from reid_pipeline.engine.loading import check_unchanged
        from reid_pipeline.engine.runtime import resolve_runtime
        from reid_pipeline.engine.training import TrainingRun, train_stage

        check_unchanged(split_table, raw_images, image_stamps)
        cell, runtime = cells[method.name], resolve_runtime(compute)
        read = (method, parameters, split_table, raw_images, runtime, cell.seed, image_cache)
        run = TrainingRun(*read, benchmark=cell.benchmark, variant=cell.variant)
        yield from train_stage(run, stage, resume_point, earlier)

    return train


def keep(state: Record) -> Any:
    """Return what is stored of a finished stage."""
    from reid_pipeline.engine.checkpoint import checkpoint_of

    return checkpoint_of(state)


def join_histories(*histories: list[EpochRecord]) -> list[EpochRecord]:
    """Put the records of all stages in one list, in order."""
    return [record for history in histories for record in history]


class MethodNodes:
    """The nodes of a method but its training. `parameters` are the method's own."""

    def __init__(self, method: Method) -> None:
        self._method = method

    def build(self, parameters: Any, split_table: pd.DataFrame, cells: Cells) -> tuple[Any, list[EpochRecord]]:
        """Return the embedder of a method without training, and an empty history."""
        from reid_pipeline.engine.training import built_embedder

        present = self._origin("build", cells, split_table, parameters={self._method.name: parameters})
        return built_embedder(self._method, parameters, split_table, present), []

    def export(
        self, parameters: Any, checkpoint: Any, split_table: pd.DataFrame, compute: ComputeParameters, cells: Cells
    ) -> Any:
        """Turn the last checkpoint into the inference-only embedder."""
        from reid_pipeline.engine.runtime import resolve_runtime
        from reid_pipeline.engine.training import exported_embedder

        read = {self._method.name: parameters}
        present = self._origin("export", cells, split_table, parameters=read, runtime=resolve_runtime(compute))
        return exported_embedder(self._method, parameters, checkpoint, present)

    def extract(
        self,
        parameters: Any,
        embedder: Any,
        split_table: pd.DataFrame,
        galleries: pd.DataFrame,
        raw_images: RawFolder,
        image_cache: Any,
        image_stamps: pd.DataFrame | None,
        compute: ComputeParameters,
        evaluation: EvaluationParameters,
        cells: Cells,
    ) -> Embeddings:
        """Embed query and gallery rows; every row where nothing is tested on."""
        from reid_pipeline.engine.loading import check_unchanged
        from reid_pipeline.engine.runtime import resolve_runtime
        from reid_pipeline.evaluation.extraction import embed_test_rows, originated

        tables, runtime = (split_table, galleries), resolve_runtime(compute)
        read = {self._method.name: parameters, "evaluation": evaluation.model_dump(mode="json", include=EXTRACTION)}
        present = self._origin("extract", cells, *tables, parameters=read, runtime=runtime, after=embedder.origin)
        require_match("extract", "embedder", embedder.origin, present)
        check_unchanged(split_table, raw_images, image_stamps)
        made = embed_test_rows(embedder, SplitTables(*tables), raw_images, runtime, evaluation, image_cache)
        return originated(made, _made_from(present, embedder=embedder.origin))

    def evaluate(
        self,
        parameters: Any,
        embeddings: Embeddings,
        split_table: pd.DataFrame,
        galleries: pd.DataFrame,
        evaluation: EvaluationParameters,
        cells: Cells,
    ) -> tuple[Metrics, Breakdown]:
        """Turn embeddings into metrics, and into where they come from."""
        from reid_pipeline.evaluation.protocol import evaluate_draws

        read, origin = {self._method.name: parameters, "evaluation": evaluation}, embeddings.origin
        present = self._origin("evaluate", cells, split_table, galleries, parameters=read, after=origin)
        require_match("evaluate", "embeddings", origin, present)
        present = _made_from(present, embeddings=origin)
        metrics, breakdown = evaluate_draws(embeddings, split_table, galleries, evaluation)
        named = cells[self._method.name].model_dump(exclude={"differs"})
        measured = Metrics(**named, **metrics, label_use=present.label_use)
        return measured.with_origin(present), Breakdown(**named, **breakdown).with_origin(present)

    def compare_with_zero_shot(
        self,
        parameters: Any,
        metrics: Metrics,
        breakdown: Breakdown,
        zero_shot_metrics: Metrics,
        zero_shot_breakdown: Breakdown,
        split_table: pd.DataFrame,
        galleries: pd.DataFrame,
        evaluation: EvaluationParameters,
        cells: Cells,
    ) -> Differences:
        """Compare the method's metrics with those of zero_shot, query by query."""
        from reid_pipeline.evaluation.paired_differences import difference_to_zero_shot

        name, read = "compare_with_zero_shot", {self._method.name: parameters, "evaluation": evaluation}
        present = self._origin(name, cells, split_table, galleries, parameters=read, after=metrics.origin)
        used = (("metrics", metrics), ("breakdown", breakdown))
        for artefact, record in (*used, (ZERO_SHOT, zero_shot_metrics), (ZERO_SHOT, zero_shot_breakdown)):
            require_match(name, artefact, record.origin, present)
        compared = (metrics, breakdown, zero_shot_metrics, zero_shot_breakdown)
        found = difference_to_zero_shot(*compared, other=address(cells[ZERO_SHOT]))
        return found.with_origin(_made_from(present, metrics=metrics.origin, zero_shot=zero_shot_metrics.origin))

    def run_card(
        self,
        parameters: Any,
        compute: ComputeParameters,
        ingestion: IngestionParameters,
        splits: SplitParameters,
        evaluation: EvaluationParameters,
        split_table: pd.DataFrame,
        galleries: pd.DataFrame,
        metrics: Metrics,
        history: list[EpochRecord],
        embedder: Any,
        run_environment: Record,
        cells: Cells,
    ) -> tuple[RunCard, Metrics, list[EpochRecord], RunCard]:
        """Record how the metrics came to be, after them, to report the time.

        The card is followed by metrics, history and card again, which are stored beside those of earlier runs.
        """
        from reid_pipeline.engine.runtime import resolve_runtime
        from reid_pipeline.evaluation.run_card import FinishedRun, make_run_card, require_history
        from reid_pipeline.splits import require_tables

        tables, runtime, name = (split_table, galleries), resolve_runtime(compute), self._method.name
        require_tables(*tables, ingestion, splits)
        read = {name: parameters, "evaluation": evaluation}
        present = self._origin("run_card", cells, *tables, parameters=read, runtime=runtime, after=embedder.origin)
        require_match("run_card", "embedder", embedder.origin, present)
        present = _made_from(present, embedder=embedder.origin)
        require_match("run_card", "metrics", metrics.origin, present)
        require_history(history, embedder.origin)
        blocks = _dumped(
            compute=compute, ingestion=ingestion, splits=splits, evaluation=evaluation, **{name: parameters}
        )
        run = FinishedRun(cells[name], split_table, metrics, history, embedder, runtime)
        other = None if name == ZERO_SHOT else address(cells[ZERO_SHOT])
        card = make_run_card(run, blocks, run_environment, zero_shot=other)
        card = card.with_origin(_made_from(present, metrics=metrics.origin))
        return card, metrics, history, card

    def make_report(
        self,
        parameters: Any,
        metrics: Metrics,
        history: list[EpochRecord],
        run_card: RunCard,
        breakdown: Breakdown,
        embeddings: Embeddings,
        split_table: pd.DataFrame,
        galleries: pd.DataFrame,
        raw_images: RawFolder,
        evaluation: EvaluationParameters,
        report: ReportParameters,
        cells: Cells,
        zero_shot_metrics: Metrics | None = None,
        differences: Differences | None = None,
    ) -> tuple[str, Any]:
        """Make the page and the curves."""
        from reid_pipeline.evaluation.ranked_queries import choose_ranked_queries
        from reid_pipeline.reporting.figures import curves_overview
        from reid_pipeline.reporting.report import ReportContent, render_report

        tables, cell, origin = (split_table, galleries), cells[self._method.name], embeddings.origin
        read = {self._method.name: parameters, "evaluation": evaluation}
        present = self._origin("report", cells, *tables, parameters=read, after=origin)
        require_match("report", "embeddings", origin, present)
        present = _made_from(present, embeddings=origin, metrics=metrics.origin)
        named: dict[str, Any] = {"breakdown": breakdown, "run_card": run_card, "differences": differences}
        _require_matches("report", {"metrics": metrics, **named, ZERO_SHOT: zero_shot_metrics}, present)
        bad, good = choose_ranked_queries(embeddings, SplitTables(*tables), raw_images, evaluation, report)
        content = ReportContent(
            benchmark=cell.benchmark,
            method=cell.method,
            seed=cell.seed,
            metrics=[metrics] if zero_shot_metrics is None else [zero_shot_metrics, metrics],
            history=history,
            **named,
            bad_queries=bad,
            good_queries=good,
            description=self._method.description,
        )
        return render_report(content), curves_overview(history)

    def _origin(self, node: str, cells: Cells, *tables: pd.DataFrame, **noted: Any) -> Origin:
        from reid_pipeline.evaluation.run_card import run_origin

        return run_origin(node, cells[self._method.name], *tables, **noted)


def _require_matches(node: str, records: Mapping[str, Any], present: Origin) -> None:
    for name, record in records.items():
        if record is not None:
            require_match(node, name, record.origin, present)


def _dumped(**blocks: Any) -> Mapping[str, Any]:
    return {name: block.model_dump(mode="json") for name, block in blocks.items()}


def _made_from(origin: Origin, **artefacts: Origin | None) -> Origin:
    """Return an origin with the digests of further artefacts that something was made from."""
    digests = {name: each.digest for name, each in artefacts.items() if each is not None and each.digest}
    return origin.replace(made_from={**origin.made_from, **digests})
