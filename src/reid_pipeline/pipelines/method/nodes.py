"""Nodes of a method's pipeline.

A node that takes the method's parameters is made per method, with the method's own model as annotation:
that is how Kedro knows which model to validate the parameters with before anything runs.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from reid_pipeline.engine.stage import Method
from reid_pipeline.schema.addresses import Cells
from reid_pipeline.schema.parameters import (
    ComputeParameters,
    EvaluationParameters,
    IngestionParameters,
    ReportParameters,
    SplitParameters,
)
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.splits import SplitTables

Record = dict[str, Any]


def _for_method(function: Callable[..., Any], method: Method) -> Callable[..., Any]:
    function.__annotations__["parameters"] = method.params
    return function


def build_node(method: Method) -> Callable[..., Any]:
    """Return the node of a method without training: parameters and seed to embedder and an empty history."""

    def build(parameters: Any, split_table: pd.DataFrame, seed: int) -> tuple[Any, list[Record]]:
        from reid_pipeline.engine.seeding import seed_global_state
        from reid_pipeline.engine.training import population_of

        seed_global_state(seed, "build")
        return method.build(parameters, population_of(split_table)).embedder(), []

    return _for_method(build, method)


def train_node(method: Method, stage: str) -> Callable[..., Any]:
    """Return the node of a training stage; it yields the state and the history after every epoch."""

    def train(
        parameters: Any,
        split_table: pd.DataFrame,
        raw_images: RawFolder,
        image_cache: Any,
        resume_point: Record | None,
        seed: int,
        compute: ComputeParameters,
        earlier: Any = None,
    ) -> Iterator[tuple[Record, list[Record]]]:
        from reid_pipeline.engine.runtime import resolve_runtime
        from reid_pipeline.engine.training import TrainingRun, train_stage

        runtime = resolve_runtime(compute)
        run = TrainingRun(method, parameters, split_table, raw_images, runtime, seed, image_cache)
        yield from train_stage(run, stage, resume_point, earlier)

    return _for_method(train, method)


def keep(state: Record) -> Any:
    """Return what is stored of a finished stage."""
    from reid_pipeline.engine.checkpoint import checkpoint_of

    return checkpoint_of(state)


def join_histories(*histories: list[Record]) -> list[Record]:
    """Put the records of all stages in one list, in order."""
    return [record for history in histories for record in history]


def export_node(method: Method) -> Callable[..., Any]:
    """Return the node from the last checkpoint to the inference-only embedder."""

    def export(parameters: Any, checkpoint: Any) -> Any:
        from reid_pipeline.engine.training import trained_model

        return trained_model(method, parameters, checkpoint).embedder()

    return _for_method(export, method)


def extract(
    embedder: Any,
    split_table: pd.DataFrame,
    galleries: pd.DataFrame,
    raw_images: RawFolder,
    image_cache: Any,
    compute: ComputeParameters,
    evaluation: EvaluationParameters,
) -> Record:
    """Embed the query and gallery rows of the split table; every row where nothing is tested on."""
    from reid_pipeline.engine.embedding import embed_test_rows
    from reid_pipeline.engine.runtime import resolve_runtime

    tables = SplitTables(split_table, galleries)
    return embed_test_rows(embedder, tables, raw_images, resolve_runtime(compute), evaluation, image_cache)


def evaluate_node(method: Method) -> Callable[..., Any]:
    """Return the node from embeddings to metrics, and to where they come from."""

    def evaluate(
        embeddings: Record,
        split_table: pd.DataFrame,
        galleries: pd.DataFrame,
        evaluation: EvaluationParameters,
        benchmark: str,
        seed: int,
        cells: Cells,
    ) -> tuple[Record, Record]:
        from reid_pipeline.retrieval.protocol import evaluate_draws

        variant = cells[method.name].variant
        named = {"benchmark": benchmark, "method": method.name, "seed": seed}
        named |= {"variant": variant} if variant else {}
        metrics, breakdown = evaluate_draws(embeddings, split_table, galleries, evaluation)
        return named | metrics, named | breakdown

    return evaluate


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
        metrics: Record,
        history: list[Record],
        embedder: Any,
        run_environment: Record,
        cells: Cells,
    ) -> tuple[Record, Record, list[Record], Record]:
        from reid_pipeline.engine.run_card import make_run_card
        from reid_pipeline.engine.runtime import device_peak_memory, resolve_runtime

        runtime = resolve_runtime(compute)
        found = {"device": str(runtime.device), "precision": runtime.precision}  # what `auto` came to
        resolved = {
            "benchmark": metrics["benchmark"],
            "seed": metrics["seed"],
            "compute": compute.model_dump(mode="json") | found,
            "ingestion": ingestion.model_dump(mode="json"),
            "splits": splits.model_dump(mode="json"),
            "evaluation": evaluation.model_dump(mode="json"),
            method.name: parameters.model_dump(mode="json"),
        }
        cell = cells[method.name]
        card = {"variant": cell.variant, "differs": cell.differs} | make_run_card(
            resolved,
            split_table,
            metrics,
            history,
            run_environment,
            num_parameters=sum(value.numel() for value in embedder.parameters()),
            device_peak_memory=device_peak_memory(runtime.device),
        )
        return card, metrics, history, card

    return _for_method(run_card, method)


def report_node(method: Method) -> Callable[..., Any]:
    """Return the node that makes the page and the curves."""

    def make_report(
        metrics: Record,
        floor_metrics: Record,
        history: list[Record],
        run_card: Record,
        breakdown: Record,
        embeddings: Record,
        split_table: pd.DataFrame,
        galleries: pd.DataFrame,
        raw_images: RawFolder,
        evaluation: EvaluationParameters,
        report: ReportParameters,
    ) -> tuple[str, Any]:
        from reid_pipeline.engine.ranked_queries import choose_ranked_queries
        from reid_pipeline.reporting import ReportContent, curves_overview, render_report

        tables = SplitTables(split_table, galleries)
        bad, good = choose_ranked_queries(embeddings, tables, raw_images, evaluation, report)
        content = ReportContent(
            benchmark=metrics["benchmark"],
            method=method.name,
            seed=metrics["seed"],
            metrics=[metrics] if floor_metrics == metrics else [floor_metrics, metrics],
            history=history,
            run_card=run_card,
            breakdown=breakdown,
            bad_queries=bad,
            good_queries=good,
            description=method.description,
        )
        return render_report(content), curves_overview(history)

    return make_report
