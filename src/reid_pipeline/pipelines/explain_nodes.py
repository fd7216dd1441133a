"""The node that samples what a report draws of a model: its space by t-SNE, where it looks, what it finds alike."""

from typing import Any

import pandas as pd

from reid_pipeline.pipelines.cell_nodes import CellNodes, made_from, with_explain
from reid_pipeline.schema.addresses import Cells
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.explanations import Explanations
from reid_pipeline.schema.origin import Origin, require_match
from reid_pipeline.schema.parameters import ComputeParameters, EvaluationParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.report_parameters import ReportParameters
from reid_pipeline.splits import SplitTables


class ExplainNodes(CellNodes):
    """The node that draws on the exported model, its embeddings and, for before, those of zero_shot."""

    def explain(
        self,
        parameters: Any,
        embedder: Any,
        embeddings: Embeddings,
        cluster_table: pd.DataFrame,
        split_table: pd.DataFrame,
        galleries: pd.DataFrame,
        raw_images: RawFolder,
        image_cache: Any,
        image_stamps: pd.DataFrame | None,
        compute: ComputeParameters,
        evaluation: EvaluationParameters,
        report: ReportParameters,
        cells: Cells,
        zero_shot_embedder: Any = None,
        zero_shot_embeddings: Embeddings | None = None,
        checkpoint: Any = None,
        initial_model: Any = None,
    ) -> Explanations:
        """Place features of a sample in the plane, and follow what the models look at in a few images."""
        from reid_pipeline.engine.loading import check_unchanged
        from reid_pipeline.engine.runtime import resolve_runtime
        from reid_pipeline.evaluation.clusters import require_clusters_of
        from reid_pipeline.evaluation.embedding import Extraction
        from reid_pipeline.evaluation.explanations import Explained, explained_texts, explanations_of

        tables, cell, explain = SplitTables(split_table, galleries), cells[self.method.name], report.explain
        runtime = resolve_runtime(compute)
        read = {"parameters": parameters, "evaluation": evaluation, "used": {"embedder": embedder.origin}}
        present = self._origin("explain", cells, split_table, galleries, runtime=runtime, **read)
        require_match("explain", "embeddings", embeddings.origin, present)
        before = _before(zero_shot_embedder, zero_shot_embeddings, present)
        require_clusters_of(cluster_table, embedder.origin)
        check_unchanged(split_table, raw_images, image_stamps)
        texts = self._texts(parameters, checkpoint, present, (cell, initial_model), explain.texts)
        models, how = Explained(embedder, embeddings, before), Extraction(raw_images, runtime, evaluation, image_cache)
        parts = explanations_of(models, tables, cluster_table, how, explain, cell.seed)
        made = Explanations(**cell.model_dump(exclude={"differs"}), **parts, texts=explained_texts(texts, cell.seed))
        present = with_explain(made_from(present, embeddings=embeddings.origin), report)
        return made.with_origin(made_from(present, zero_shot=before[1].origin) if before else present)

    def _texts(self, parameters: Any, checkpoint: Any, present: Origin, started: tuple[Any, Any], count: int) -> Any:
        """Return the text features of a prompted model, whose checkpoint must be the one that was exported."""
        from reid_pipeline.engine.starting import Start
        from reid_pipeline.engine.text_features import prompt_features

        if checkpoint is None or not count:
            return None
        require_match("explain", "checkpoint", checkpoint.description.origin, present)
        cell, initial = started
        start = Start(self.method, parameters, checkpoint.description.population, cell.benchmark, initial)
        return prompt_features(start, checkpoint, cell.seed, count)


def _before(embedder: Any, embeddings: Embeddings | None, present: Origin) -> tuple[Any, Embeddings] | None:
    """Return zero_shot's model and embeddings, which must be those that this run is compared with; None without."""
    if embedder is None or embeddings is None:
        return None
    for each in (embedder, embeddings):
        require_match("explain", "zero_shot", each.origin, present)
    return embedder, embeddings
