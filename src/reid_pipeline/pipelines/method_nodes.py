"""Nodes of a method's pipeline: each notes an origin in what it makes, and checks it in what it uses."""

import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from reid_pipeline.clustering.settings import ClusteringSettings
from reid_pipeline.pipelines.cell_nodes import CellNodes, made_from, require_all, with_explain
from reid_pipeline.schema.addresses import ZERO_SHOT, Cells, address
from reid_pipeline.schema.clusters import ClusterFacts
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.explanations import Explanations
from reid_pipeline.schema.origin import EXTRACTION, Origin, require_match
from reid_pipeline.schema.parameters import (
    ComputeParameters,
    EvaluationParameters,
    IngestionParameters,
    SplitParameters,
)
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.records import Breakdown, Differences, EpochRecord, Metrics, RunCard
from reid_pipeline.schema.report_parameters import ReportParameters
from reid_pipeline.splits import SplitTables

Record = dict[str, Any]


def keep(state: Record | None) -> Any:
    """Return what is stored of a finished stage.

    Raises:
        UserError: its training has not begun, or not ended.
    """
    from reid_pipeline.engine.checkpoint import checkpoint_of

    again = "Run without --from-nodes and --nodes: the same command trains, or goes on."
    if state is None:
        raise UserError(f"No epoch of this training is stored. {again}")
    done, epochs = state["epoch"], state.get("epochs", state["epoch"])
    if done < epochs and not state.get("ended"):
        raise UserError(f"This training has not ended: epoch {done} of {epochs} is stored. {again}")
    return checkpoint_of(state)


def join_histories(*histories: list[EpochRecord]) -> list[EpochRecord]:
    """Put the records of all stages in one list, in order."""
    return [record for history in histories for record in history]


class MethodNodes(CellNodes):
    """The nodes of a method, of which `train` is of one stage."""

    def train(
        self,
        parameters: Any,
        split_table: pd.DataFrame,
        raw_images: RawFolder,
        image_cache: Any,
        image_stamps: pd.DataFrame | None,
        resume_point: Record | None,
        compute: ComputeParameters,
        cells: Cells,
        initial_model: Any,
        worker_files: Path,
        earlier: Any = None,
    ) -> Iterator[tuple[Record, list[EpochRecord]]]:
        """Train the stage, here or in several processes; yield its state and history after every epoch."""
        from reid_pipeline.engine.loading import check_unchanged
        from reid_pipeline.engine.runtime import resolve_runtime
        from reid_pipeline.engine.training import TrainingRun, train_stage
        from reid_pipeline.engine.whole_cost import whole_parameters
        from reid_pipeline.workers.launch import trained_by_processes

        check_unchanged(split_table, raw_images, image_stamps)
        cell = cells[self.method.name]
        whole = whole_parameters(self.method, parameters, cell, split_table)
        parameters = self._in_force(parameters, cells, split_table)
        read = (self.method, parameters, split_table, raw_images, resolve_runtime(compute), cell.seed, image_cache)
        named = partial(TrainingRun, benchmark=cell.benchmark, variant=cell.variant, auto=frozenset(cell.auto))
        run = named(*read, whole=whole, initial=initial_model)
        if compute.processes == 1:
            shutil.rmtree(worker_files, ignore_errors=True)  # of a killed training in several
            yield from train_stage(run, self.stage, resume_point, earlier)
        else:
            yield from trained_by_processes(run, self.stage, compute, worker_files, resume_point, earlier)

    def build(
        self, parameters: Any, split_table: pd.DataFrame, cells: Cells, initial_model: Any
    ) -> tuple[Any, list[EpochRecord]]:
        """Return the embedder of a method without training, and an empty history."""
        from reid_pipeline.engine.training import built_embedder

        present = self._origin("build", cells, split_table, parameters=parameters)
        return built_embedder(self.method, parameters, split_table, present, initial_model), []

    def export(
        self,
        parameters: Any,
        checkpoint: Any,
        split_table: pd.DataFrame,
        compute: ComputeParameters,
        cells: Cells,
        initial_model: Any,
    ) -> Any:
        """Turn the last checkpoint into the inference-only embedder."""
        from reid_pipeline.engine.runtime import resolve_runtime
        from reid_pipeline.engine.starting import Start
        from reid_pipeline.engine.training import exported_embedder
        from reid_pipeline.splits import white_value

        noted = {"parameters": parameters, "runtime": resolve_runtime(compute)}
        present = self._origin("export", cells, split_table, **noted)
        trained = checkpoint.description.population
        start = Start(self.method, parameters, trained, cells[self.method.name].benchmark, initial_model)
        return exported_embedder(start, checkpoint, present, white=white_value(split_table))

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
        from reid_pipeline.evaluation.embedding import embed_test_rows, originated

        tables, runtime = (split_table, galleries), resolve_runtime(compute)
        read = {"parameters": parameters, "evaluation": evaluation.model_dump(mode="json", include=EXTRACTION)}
        used = {"embedder": embedder.origin}
        present = self._origin("extract", cells, *tables, used=used, runtime=runtime, **read)
        check_unchanged(split_table, raw_images, image_stamps)
        made = embed_test_rows(embedder, SplitTables(*tables), raw_images, runtime, evaluation, image_cache)
        return originated(made, present)

    def evaluate(
        self,
        parameters: Any,
        embeddings: Embeddings,
        split_table: pd.DataFrame,
        galleries: pd.DataFrame,
        evaluation: EvaluationParameters,
        cells: Cells,
        history: Sequence[EpochRecord] = (),
    ) -> tuple[Metrics, Breakdown]:
        """Turn embeddings into metrics, and into where they come from; the history says which model they are of."""
        from reid_pipeline.evaluation.protocol import evaluate_draws
        from reid_pipeline.evaluation.run_card import noted_export, require_history

        read = {"parameters": parameters, "evaluation": evaluation, "used": {"embeddings": embeddings.origin}}
        present = self._origin("evaluate", cells, split_table, galleries, **read)
        require_history(history, present)
        metrics, breakdown = evaluate_draws(embeddings, split_table, galleries, evaluation)
        named = cells[self.method.name].model_dump(exclude={"differs"})
        measured = Metrics(**named, **metrics, label_use=present.label_use, **noted_export(history))
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

        node, compared = "compare_with_zero_shot", (metrics, breakdown, zero_shot_metrics, zero_shot_breakdown)
        read = {"parameters": parameters, "evaluation": evaluation, "used": {"metrics": metrics.origin}}
        present = self._origin(node, cells, split_table, galleries, **read)
        for artefact, record in zip(("breakdown", ZERO_SHOT, ZERO_SHOT), compared[1:], strict=True):
            require_match(node, artefact, record.origin, present)
        found = difference_to_zero_shot(*compared, other=address(cells[ZERO_SHOT]))
        return found.with_origin(made_from(present, zero_shot=zero_shot_metrics.origin))

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

        tables, runtime, name = (split_table, galleries), resolve_runtime(compute), self.method.name
        require_tables(*tables, ingestion, splits)
        read = {"parameters": parameters, "evaluation": evaluation, "used": {"embedder": embedder.origin}}
        present = self._origin("run_card", cells, *tables, runtime=runtime, **read)
        require_match("run_card", "metrics", metrics.origin, present)
        require_history(history, embedder.origin)
        blocks = {"compute": compute, "ingestion": ingestion, "splits": splits, "evaluation": evaluation}
        in_force = self._in_force(parameters, cells, split_table)
        dumped = {each: block.model_dump(mode="json") for each, block in {**blocks, name: in_force}.items()}
        run = FinishedRun(cells[name], split_table, metrics, history, embedder, runtime)
        other = None if name == ZERO_SHOT or self.namespace else address(cells[ZERO_SHOT])
        card = make_run_card(run, dumped, run_environment, zero_shot=other)
        card = card.with_origin(made_from(present, metrics=metrics.origin))
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
        clusters: ClusteringSettings,
        cluster_facts: ClusterFacts,
        explanations: Explanations,
        cells: Cells,
        zero_shot_metrics: Metrics | None = None,
        zero_shot_cluster_facts: ClusterFacts | None = None,
        differences: Differences | None = None,
    ) -> tuple[str, Any]:
        """Make the page and the curves."""
        from reid_pipeline.evaluation.ranked_queries import choose_ranked_queries
        from reid_pipeline.evaluation.shown_images import shown_content
        from reid_pipeline.reporting.figures import curves_overview
        from reid_pipeline.reporting.report import ReportContent, render_report

        tables, blocks = (split_table, galleries), (parameters, evaluation, clusters, report)
        present = self._report_origin(cells, tables, blocks, embeddings.origin, metrics.origin)
        named: dict[str, Any] = {"breakdown": breakdown, "run_card": run_card, "differences": differences}
        others = [(ZERO_SHOT, zero_shot_metrics), (ZERO_SHOT, zero_shot_cluster_facts), ("clusters", cluster_facts)]
        require_all("report", [("metrics", metrics), *named.items(), *others, ("explanations", explanations)], present)
        bad, good = choose_ranked_queries(embeddings, SplitTables(*tables), raw_images, evaluation, report)
        named |= {"history": history, "description": self.method.description, "bad_queries": bad, "good_queries": good}
        content = ReportContent(
            **cells[self.method.name].model_dump(include={"benchmark", "method", "seed"}),
            **named,
            metrics=[metrics] if zero_shot_metrics is None else [zero_shot_metrics, metrics],
            **shown_content(cluster_facts, zero_shot_cluster_facts, explanations, split_table, raw_images),
        )
        return render_report(content), curves_overview(history)

    def _report_origin(
        self,
        cells: Cells,
        tables: tuple[pd.DataFrame, pd.DataFrame],
        blocks: tuple[Any, EvaluationParameters, ClusteringSettings, ReportParameters],
        embeddings: Origin | None,
        metrics: Origin | None,
    ) -> Origin:
        """Return the origin of the page, which all that it shows must fit."""
        parameters, evaluation, clusters, report = blocks
        read = {"parameters": parameters, "evaluation": evaluation, "used": {"embeddings": embeddings}}
        present = self._with_clustering(self._origin("report", cells, *tables, **read), parameters, clusters)
        return with_explain(made_from(present, metrics=metrics), report)
