"""Nodes of a method's pipeline.

A node that takes the method's parameters is made per method, with the method's own model as annotation:
that is how Kedro knows which model to validate the parameters with before anything runs.

Every node notes in what it makes where that comes from, and checks in what it uses that it was made by the
run that it works for (`schema.origin`).
"""

from collections.abc import Callable, Iterator
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


def _for_method(function: Callable[..., Any], method: Method) -> Callable[..., Any]:
    function.__annotations__["parameters"] = method.params
    return function


def build_node(method: Method) -> Callable[..., Any]:
    """Return the node of a method without training: parameters and seed to embedder and an empty history."""

    def build(parameters: Any, split_table: pd.DataFrame, cells: Cells) -> tuple[Any, list[EpochRecord]]:
        from reid_pipeline.engine.training import built_embedder
        from reid_pipeline.evaluation.run_card import run_origin

        cell = cells[method.name]
        present = run_origin("build", cell, split_table, parameters={method.name: parameters})
        return built_embedder(method, parameters, split_table, present), []

    return _for_method(build, method)


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
        run = TrainingRun(
            method,
            parameters,
            split_table,
            raw_images,
            runtime,
            cell.seed,
            image_cache,
            benchmark=cell.benchmark,
            variant=cell.variant,
        )
        yield from train_stage(run, stage, resume_point, earlier)

    return _for_method(train, method)


def keep(state: Record) -> Any:
    """Return what is stored of a finished stage."""
    from reid_pipeline.engine.checkpoint import checkpoint_of

    return checkpoint_of(state)


def join_histories(*histories: list[EpochRecord]) -> list[EpochRecord]:
    """Put the records of all stages in one list, in order."""
    return [record for history in histories for record in history]


def export_node(method: Method) -> Callable[..., Any]:
    """Return the node from the last checkpoint to the inference-only embedder."""

    def export(
        parameters: Any, checkpoint: Any, split_table: pd.DataFrame, compute: ComputeParameters, cells: Cells
    ) -> Any:
        from reid_pipeline.engine.runtime import resolve_runtime
        from reid_pipeline.engine.training import exported_embedder
        from reid_pipeline.evaluation.run_card import run_origin

        present = run_origin(
            "export",
            cells[method.name],
            split_table,
            parameters={method.name: parameters},
            runtime=resolve_runtime(compute),
        )
        return exported_embedder(method, parameters, checkpoint, present)

    return _for_method(export, method)


def extract_node(method: Method) -> Callable[..., Any]:
    """Return the node that embeds query and gallery rows; every row where nothing is tested on."""

    def extract(
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
        from reid_pipeline.engine.loading import check_unchanged
        from reid_pipeline.engine.runtime import resolve_runtime
        from reid_pipeline.evaluation.extraction import embed_test_rows, originated
        from reid_pipeline.evaluation.run_card import run_origin

        runtime = resolve_runtime(compute)
        read = {method.name: parameters, "evaluation": evaluation.model_dump(mode="json", include=EXTRACTION)}
        cell = cells[method.name]
        present = run_origin(
            "extract", cell, split_table, galleries, parameters=read, runtime=runtime, after=embedder.origin
        )
        require_match("extract", "embedder", embedder.origin, present)
        check_unchanged(split_table, raw_images, image_stamps)
        tables = SplitTables(split_table, galleries)
        made = embed_test_rows(embedder, tables, raw_images, runtime, evaluation, image_cache)
        return originated(made, _made_from(present, embedder=embedder.origin))

    return _for_method(extract, method)


def evaluate_node(method: Method) -> Callable[..., Any]:
    """Return the node from embeddings to metrics, and to where they come from."""

    def evaluate(
        parameters: Any,
        embeddings: Embeddings,
        split_table: pd.DataFrame,
        galleries: pd.DataFrame,
        evaluation: EvaluationParameters,
        cells: Cells,
    ) -> tuple[Metrics, Breakdown]:
        from reid_pipeline.evaluation.protocol import evaluate_draws
        from reid_pipeline.evaluation.run_card import run_origin

        cell, read = cells[method.name], {method.name: parameters, "evaluation": evaluation}
        origin = embeddings.origin
        present = run_origin("evaluate", cell, split_table, galleries, parameters=read, after=origin)
        require_match("evaluate", "embeddings", origin, present)
        present = _made_from(present, embeddings=origin)
        metrics, breakdown = evaluate_draws(embeddings, split_table, galleries, evaluation)
        named = cell.model_dump(exclude={"differs"})
        used = {"label_use": present.label_use}
        return (
            Metrics(**named, **metrics, **used).with_origin(present),
            Breakdown(**named, **breakdown).with_origin(present),
        )

    return _for_method(evaluate, method)


def compare_node(method: Method) -> Callable[..., Any]:
    """Return the node that sets a method's metrics against those of zero_shot, query by query."""

    def compare_with_zero_shot(
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
        from reid_pipeline.evaluation.paired_differences import difference_to_zero_shot
        from reid_pipeline.evaluation.run_card import run_origin

        node = "compare_with_zero_shot"
        read = {method.name: parameters, "evaluation": evaluation}
        cell = cells[method.name]
        present = run_origin(node, cell, split_table, galleries, parameters=read, after=metrics.origin)
        for name, record in (("metrics", metrics), ("breakdown", breakdown)):
            require_match(node, name, record.origin, present)
        for record in (zero_shot_metrics, zero_shot_breakdown):
            require_match(node, ZERO_SHOT, record.origin, present)
        found = difference_to_zero_shot(
            metrics, breakdown, zero_shot_metrics, zero_shot_breakdown, other=address(cells[ZERO_SHOT])
        )
        return found.with_origin(_made_from(present, metrics=metrics.origin, zero_shot=zero_shot_metrics.origin))

    return _for_method(compare_with_zero_shot, method)


def run_card_node(method: Method) -> Callable[..., Any]:
    """Return the node that records how the metrics came to be. It runs after them, to report the time.

    It gives the card, and then metrics, history and card again, to be kept beside those of earlier runs.
    """

    def run_card(
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
        from reid_pipeline.engine.runtime import resolve_runtime
        from reid_pipeline.evaluation.run_card import FinishedRun, make_run_card, require_history, run_origin
        from reid_pipeline.splits import require_tables

        runtime, cell = resolve_runtime(compute), cells[method.name]
        require_tables(split_table, galleries, ingestion, splits)
        read = {method.name: parameters, "evaluation": evaluation}
        present = run_origin(
            "run_card", cell, split_table, galleries, parameters=read, runtime=runtime, after=embedder.origin
        )
        require_match("run_card", "embedder", embedder.origin, present)
        present = _made_from(present, embedder=embedder.origin)
        require_match("run_card", "metrics", metrics.origin, present)
        require_history(history, embedder.origin)
        blocks = {"compute": compute, "ingestion": ingestion, "splits": splits, "evaluation": evaluation}
        blocks |= {method.name: parameters}
        card = make_run_card(
            FinishedRun(cell, split_table, metrics, history, embedder, runtime),
            {name: block.model_dump(mode="json") for name, block in blocks.items()},
            run_environment,
            zero_shot=None if method.name == ZERO_SHOT else address(cells[ZERO_SHOT]),
        )
        card = card.with_origin(_made_from(present, metrics=metrics.origin))
        return card, metrics, history, card

    return _for_method(run_card, method)


def report_node(method: Method) -> Callable[..., Any]:
    """Return the node that makes the page and the curves."""

    def make_report(
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
        from reid_pipeline.evaluation.ranked_queries import choose_ranked_queries
        from reid_pipeline.evaluation.run_card import run_origin
        from reid_pipeline.reporting.figures import curves_overview
        from reid_pipeline.reporting.report import ReportContent, render_report

        cell, read = cells[method.name], {method.name: parameters, "evaluation": evaluation}
        origin = embeddings.origin
        present = run_origin("report", cell, split_table, galleries, parameters=read, after=origin)
        require_match("report", "embeddings", origin, present)
        present = _made_from(present, embeddings=origin, metrics=metrics.origin)
        used = {"metrics": metrics, "breakdown": breakdown, "run_card": run_card}
        used |= {} if differences is None else {"differences": differences}
        used |= {} if zero_shot_metrics is None else {ZERO_SHOT: zero_shot_metrics}
        for name, record in used.items():
            require_match("report", name, record.origin, present)
        tables = SplitTables(split_table, galleries)
        bad, good = choose_ranked_queries(embeddings, tables, raw_images, evaluation, report)
        content = ReportContent(
            benchmark=cell.benchmark,
            method=method.name,
            seed=cell.seed,
            metrics=[metrics] if zero_shot_metrics is None else [zero_shot_metrics, metrics],
            history=history,
            run_card=run_card,
            breakdown=breakdown,
            differences=differences,
            bad_queries=bad,
            good_queries=good,
            description=method.description,
        )
        return render_report(content), curves_overview(history)

    return _for_method(make_report, method)


def _made_from(origin: Origin, **artefacts: Origin | None) -> Origin:
    """Return an origin with the digests of further artefacts that something was made from."""
    digests = {name: each.digest for name, each in artefacts.items() if each is not None and each.digest}
    return origin.replace(made_from={**origin.made_from, **digests})
