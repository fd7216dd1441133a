"""Nodes that show what a model makes of the training images without one identity: their clusters."""

from typing import Any

import pandas as pd

from reid_pipeline.clustering.settings import ClusteringSettings
from reid_pipeline.pipelines.cell_nodes import CellNodes, made_from
from reid_pipeline.schema.addresses import Cells
from reid_pipeline.schema.clusters import ClusterFacts
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.origin import EXTRACTION, require_match
from reid_pipeline.schema.parameters import ComputeParameters, EvaluationParameters
from reid_pipeline.schema.raw_folder import RawFolder


def store_labels(state: dict[str, Any], split_table: pd.DataFrame) -> pd.DataFrame:
    """Return the last pseudo labels of a finished stage, by image."""
    from reid_pipeline.evaluation.pseudo_labels import pseudo_label_table

    return pseudo_label_table(state, split_table)


class ClusterNodes(CellNodes):
    """The node that clusters the training images by the exported model."""

    def group(
        self,
        parameters: Any,
        embedder: Any,
        embeddings: Embeddings,
        split_table: pd.DataFrame,
        raw_images: RawFolder,
        image_cache: Any,
        image_stamps: pd.DataFrame | None,
        compute: ComputeParameters,
        evaluation: EvaluationParameters,
        clusters: ClusteringSettings,
        cells: Cells,
        pseudo_labels: pd.DataFrame | None = None,
    ) -> tuple[pd.DataFrame, str, ClusterFacts]:
        """Cluster the training images, by the method's own settings if it has any: table, CSV, and what is shown."""
        from reid_pipeline.engine.loading import check_unchanged
        from reid_pipeline.engine.runtime import resolve_runtime
        from reid_pipeline.evaluation.clusters import cluster_facts, clusters_csv, clusters_of, clusters_table
        from reid_pipeline.evaluation.embedding import Extraction, training_vectors
        from reid_pipeline.evaluation.pseudo_labels import require_labels_of

        runtime, used = resolve_runtime(compute), {"embedder": embedder.origin}
        read = {"parameters": parameters, "evaluation": evaluation.model_dump(mode="json", include=EXTRACTION)}
        present = self._origin("group", cells, split_table, used=used, runtime=runtime, **read)
        present = self._with_clustering(present, parameters, clusters)
        require_match("group", "embeddings", embeddings.origin, present)
        if pseudo_labels is not None:
            require_labels_of(pseudo_labels, embedder.origin)
        check_unchanged(split_table, raw_images, image_stamps)
        extraction = Extraction(raw_images, runtime, evaluation, image_cache)
        vectors = training_vectors(embedder, embeddings, split_table, extraction)
        settings = getattr(parameters, "clustering", clusters)
        found = clusters_of(split_table[split_table["split"] == "train"], vectors, settings)
        table = clusters_table(found, embedder.origin.digest)
        named = cells[self.method.name].model_dump(exclude={"differs"})
        facts = ClusterFacts(**named, **cluster_facts(found, settings, pseudo_labels))
        return table, clusters_csv(table), facts.with_origin(made_from(present, embeddings=embeddings.origin))
