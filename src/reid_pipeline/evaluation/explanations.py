"""What a report draws of a model's space and of where it looks, before and after: `schema.explanations`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reid_pipeline.engine.seeding import derived_seed, numpy_generator
from reid_pipeline.evaluation.attention_and_similarity import Candidates, attended_images, similar_images
from reid_pipeline.evaluation.embedding import Extraction
from reid_pipeline.evaluation.feature_space import image_space, text_space
from reid_pipeline.evaluation.protocol import retrieval_draws
from reid_pipeline.evaluation.sampled_groups import groups_of
from reid_pipeline.schema.columns import CAMID, PID
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.explanations import TextSpace
from reid_pipeline.schema.report_parameters import ExplainParameters
from reid_pipeline.splits import SplitTables

if TYPE_CHECKING:
    from reid_pipeline.engine.text_features import PromptFeatures
    from reid_pipeline.models.embedder import Embedder

_PURPOSE = "explain"


@dataclass(frozen=True)
class Explained:
    """A model with its embeddings, and those of the encoder before training, if it is compared with one."""

    embedder: "Embedder"
    embeddings: Embeddings
    before: "tuple[Embedder, Embeddings] | None" = None


def explanations_of(
    models: Explained,
    split_tables: SplitTables,
    clusters: pd.DataFrame,
    extraction: Extraction,
    explain: ExplainParameters,
    seed: int,
) -> dict[str, Any]:
    """Return the parts of an explanation that are made of images; which images follows from the seed and the data.

    They are sampled of all that were embedded: query and gallery or, where nothing is tested on, every image. What
    `clusters` decides is which clusters stand for a collection without identities.
    """
    table, generator = split_tables.split_table, numpy_generator(seed, _PURPOSE)
    groups = groups_of(table, models.embeddings.rows, clusters)
    sampled = groups.sampled(generator, explain.images)
    candidates = candidates_of(models.embeddings, split_tables, extraction, generator)
    pictured = [members[len(members) // 2] for _, members in sampled] or models.embeddings.rows.tolist()
    earlier = models.before or (None, None)
    parts: dict[str, Any] = {}
    if explain.identities:
        spaces = (earlier[1], models.embeddings)
        parts["images"] = image_space(groups, sampled[: explain.identities], table, spaces, _tsne_seed(seed))
    if explain.pictures:
        rows = np.array(pictured[: explain.pictures], dtype=np.int64)
        parts["attention"] = attended_images(models.embedder, earlier[0], table, rows, extraction)
    if explain.queries:
        read = (extraction, table)
        found = similar_images(models.embedder, models.embeddings, groups, candidates, explain.queries, read)
        parts["similar"] = tuple(found)
    return parts


def explained_texts(features: "PromptFeatures | None", seed: int) -> TextSpace | None:
    """Return the prompts of sampled identities in the plane, before they are learnt and after; None without any."""
    return None if features is None else text_space(features.names, features.before, features.after, _tsne_seed(seed))


def candidates_of(
    embeddings: Embeddings, split_tables: SplitTables, extraction: Extraction, generator: np.random.Generator
) -> Candidates:
    """Return queries in a random order, and what they meet: of the first draw, or all images where there is none."""
    table, evaluation = split_tables.split_table, extraction.evaluation
    draws = retrieval_draws(table, split_tables.galleries, evaluation)
    if not draws:
        return Candidates(generator.permutation(embeddings.rows), embeddings.rows)
    queries, gallery = draws[0].query_rows, draws[0].gallery_rows
    cameras = table[CAMID].iloc[np.concatenate([queries, gallery])]
    filters = evaluation.camera_filter and not cameras.isna().any()
    camids = table[CAMID].fillna(-1).to_numpy(np.int64) if filters else None
    return Candidates(generator.permutation(queries), gallery, table[PID].to_numpy(np.int64), camids)


def _tsne_seed(seed: int) -> int:
    return derived_seed(seed, _PURPOSE, "t-SNE") % 2**32
