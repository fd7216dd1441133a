"""The embeddings of the rows that retrieval is judged on."""

from dataclasses import replace

from reid_pipeline.engine.loading import images_of_rows
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.training import camera_ids, view_ids
from reid_pipeline.evaluation.extraction import extract_embeddings
from reid_pipeline.evaluation.protocol import retrieval_draws, retrieval_rows
from reid_pipeline.images.cache import ImageCache
from reid_pipeline.images.decode import TargetSize
from reid_pipeline.models.embedder import Embedder
from reid_pipeline.schema.digests import digest_of_arrays
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.parameters import EvaluationParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.splits import SplitTables


def embed_test_rows(
    embedder: Embedder,
    split_tables: SplitTables,
    raw_images: RawFolder,
    runtime: Runtime,
    evaluation: EvaluationParameters,
    image_cache: ImageCache | None = None,
) -> Embeddings:
    """Embed the query and gallery rows of every draw, or every image where nothing is tested on.

    Returns:
        unit vectors, float32 [n, D], of rows of the split table; without an origin, which the caller knows.
    """
    draws = retrieval_draws(split_tables.split_table, split_tables.galleries, evaluation)
    rows = retrieval_rows(split_tables.split_table, draws)
    chosen = split_tables.split_table.iloc[rows]
    encoder = embedder.encoder
    target = TargetSize(*encoder.image_size, encoder.evaluation_resize)
    images = images_of_rows(chosen, raw_images, target, runtime, image_cache, memory_limit=0)
    embeddings = extract_embeddings(
        embedder.to(runtime.device),
        images,
        runtime,
        camids=camera_ids(chosen),
        viewids=view_ids(chosen),
        batch_size=evaluation.batch_size,
        flip_averaging=evaluation.flip_averaging,
    )
    return Embeddings(rows, embeddings)


def originated(embeddings: Embeddings, origin: Origin) -> Embeddings:
    """Return embeddings with their origin, whose digest is that of rows and vectors."""
    digest = digest_of_arrays({"rows": embeddings.rows, "embeddings": embeddings.vectors})
    return replace(embeddings, origin=origin.replace(digest=digest))
