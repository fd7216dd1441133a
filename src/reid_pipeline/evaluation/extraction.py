"""Images to embeddings, in row order: of any images, and of the rows that retrieval is evaluated on."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from reid_pipeline.engine.loading import images_of_rows
from reid_pipeline.engine.progress import track
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.training import known_ids
from reid_pipeline.evaluation.protocol import retrieval_draws, retrieval_rows
from reid_pipeline.images.augment import PixelStatistics, normalise
from reid_pipeline.images.cache import ImageCache
from reid_pipeline.images.decode import TargetSize
from reid_pipeline.images.reid_images import ReIDImages
from reid_pipeline.schema.columns import CAMID, VIEWID
from reid_pipeline.schema.digests import digest_of_arrays
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.parameters import EvaluationParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.splits import SplitTables

if TYPE_CHECKING:
    from reid_pipeline.models.embedder import Embedder

Ids = tuple[np.ndarray | None, np.ndarray | None]
Inputs = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]


def extract_embeddings(
    embedder: "Embedder",
    images: ReIDImages,
    runtime: Runtime,
    *,
    ids: Ids = (None, None),
    batch_size: int = 256,
    flip_averaging: bool = False,
) -> np.ndarray:
    """Return the embeddings of images of the embedder's size, float32 [n, D] of unit rows; a ValueError without images.

    `ids` are camids and viewids, int arrays [n], for models with side information. With `flip_averaging` a row is the
    unit vector along the mean of the embeddings of an image and its mirror image.
    """
    embeddings = None  # as wide as the first batch; each batch is written to its place, without a copy
    done = 0
    with torch.inference_mode():
        for inputs in evaluation_batches(images, embedder.encoder, runtime, ids=ids, batch_size=batch_size):
            with runtime.autocast():
                batch = embedder(*inputs)
                if flip_averaging:
                    pixels, *given = inputs
                    both = batch.float() + embedder(pixels.flip(-1), *given).float()
                    batch = torch.nn.functional.normalize(both, dim=1)
            if embeddings is None:
                embeddings = torch.empty(len(images), batch.shape[1])
            embeddings[done : done + len(batch)] = batch
            done += len(batch)
    if embeddings is None:
        raise ValueError("There is nothing to embed: no images.")
    return embeddings.numpy()


def evaluation_batches(
    images: ReIDImages,
    statistics: PixelStatistics,
    runtime: Runtime,
    *,
    ids: Ids = (None, None),
    title: str = "extract",
    batch_size: int = 256,
) -> Iterator[Inputs]:
    """Yield normalised images, camids and viewids on the device, in row order, behind a bar named `title`."""
    order = np.arange(len(images))
    groups = [order[start : start + batch_size] for start in range(0, len(images), batch_size)]
    for rows, pixels in track(images.batches(groups), title, total=len(images), unit="images", size=batch_size):
        loaded = pixels.to(runtime.device, non_blocking=True)
        camids, viewids = (None if each is None else torch.from_numpy(each[rows]).to(runtime.device) for each in ids)
        yield normalise(loaded, statistics.pixel_mean, statistics.pixel_std), camids, viewids


def embed_test_rows(
    embedder: "Embedder",
    split_tables: SplitTables,
    raw_images: RawFolder,
    runtime: Runtime,
    evaluation: EvaluationParameters,
    image_cache: ImageCache | None = None,
) -> Embeddings:
    """Embed the query and gallery rows of every draw, or every image where nothing is tested on: unit rows, [n, D]."""
    table = split_tables.split_table
    rows = retrieval_rows(table, retrieval_draws(table, split_tables.galleries, evaluation))
    embedded, encoder = table.iloc[rows], embedder.encoder
    target = TargetSize(*encoder.image_size, encoder.evaluation_resize)
    vectors = extract_embeddings(
        embedder.to(runtime.device),
        images_of_rows(embedded, raw_images, target, runtime, image_cache, memory_limit=0),
        runtime,
        ids=(known_ids(embedded[CAMID]), known_ids(embedded[VIEWID])),
        batch_size=evaluation.batch_size,
        flip_averaging=evaluation.flip_averaging,
    )
    return Embeddings(rows, vectors)


def originated(embeddings: Embeddings, origin: Origin) -> Embeddings:
    """Return embeddings with their origin, whose digest is that of rows and vectors."""
    digest = digest_of_arrays({"rows": embeddings.rows, "embeddings": embeddings.vectors})
    return replace(embeddings, origin=origin.replace(digest=digest))
