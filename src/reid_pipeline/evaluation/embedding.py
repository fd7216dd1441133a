"""The rows that retrieval is evaluated on, embedded."""

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from reid_pipeline.engine.loading import images_of_rows
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.training import known_ids
from reid_pipeline.engine.whole_cost import embedding_sentence
from reid_pipeline.evaluation.extraction import extract_embeddings
from reid_pipeline.evaluation.protocol import retrieval_draws, retrieval_rows
from reid_pipeline.images.cache import ImageCache
from reid_pipeline.images.decode import TargetSize
from reid_pipeline.schema.columns import CAMID, VIEWID
from reid_pipeline.schema.digests import digest_of_arrays
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.parameters import EvaluationParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.splits import SplitTables, white_value
from reid_pipeline.splits.sample import noted_sample

if TYPE_CHECKING:
    from reid_pipeline.models.embedder import Embedder

_log = logging.getLogger(__name__)


def embed_test_rows(
    embedder: "Embedder",
    split_tables: SplitTables,
    raw_images: RawFolder,
    runtime: Runtime,
    evaluation: EvaluationParameters,
    image_cache: ImageCache | None = None,
) -> Embeddings:
    """Embed the query and gallery rows of every draw, or every image where nothing is tested on: unit rows, [n, D].

    It is done at `evaluation.precision`, not at that of training; a UserError where the device does not have it.
    """
    table, runtime = split_tables.split_table, runtime.for_evaluation(evaluation.precision)
    rows = retrieval_rows(table, retrieval_draws(table, split_tables.galleries, evaluation))
    embedded, encoder = table.iloc[rows], embedder.encoder
    target = TargetSize(*encoder.image_size, encoder.evaluation_resize, white_value(table))
    started = time.perf_counter()
    vectors = extract_embeddings(
        embedder.to(runtime.device),
        images_of_rows(embedded, raw_images, target, runtime, image_cache, memory_limit=0),
        runtime,
        ids=(known_ids(embedded[CAMID]), known_ids(embedded[VIEWID])),
        batch_size=evaluation.batch_size,
        flip_averaging=evaluation.flip_averaging,
    )
    if (sample := noted_sample(table)) is not None:
        _log.info("%s", embedding_sentence(sample, len(rows), time.perf_counter() - started))
    return Embeddings(rows, vectors)


def originated(embeddings: Embeddings, origin: Origin) -> Embeddings:
    """Return embeddings with their origin, whose digest is that of rows and vectors."""
    digest = digest_of_arrays({"rows": embeddings.rows, "embeddings": embeddings.vectors})
    return replace(embeddings, origin=origin.replace(digest=digest))
