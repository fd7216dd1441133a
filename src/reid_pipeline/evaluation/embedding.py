"""The rows that retrieval is evaluated on, and those of training, embedded."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from reid_pipeline.engine.loading import images_of_rows
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.training import known_ids
from reid_pipeline.engine.whole_cost import embedding_sentence
from reid_pipeline.evaluation.extraction import Inputs, evaluation_batches, extract_embeddings
from reid_pipeline.evaluation.protocol import retrieval_draws, retrieval_rows
from reid_pipeline.images.cache import ImageCache
from reid_pipeline.images.decode import TargetSize
from reid_pipeline.schema.columns import CAMERA, CAMID, IDENTITY, PATH, SPLIT, TIME, TRACKID, VIEWID
from reid_pipeline.schema.digests import digest_of_arrays
from reid_pipeline.schema.embedded_images import EMBEDDED_COLUMNS, EmbeddedImages
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.parameters import EvaluationParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.splits import SplitTables, white_value
from reid_pipeline.splits.sample import noted_sample

if TYPE_CHECKING:
    from reid_pipeline.models.embedder import Embedder

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Extraction:
    """How rows are embedded: where their images lie, on which device, and by which parameters.

    It is done at `evaluation.precision`, not at that of training; a UserError where the device does not have it.
    """

    raw_images: RawFolder
    runtime: Runtime
    evaluation: EvaluationParameters
    image_cache: ImageCache | None = None

    def vectors(self, embedder: "Embedder", table: pd.DataFrame, rows: np.ndarray) -> np.ndarray:
        """Return the embeddings of `rows` of the split table, float32 [n, D] of unit rows."""
        runtime = self.runtime.for_evaluation(self.evaluation.precision)
        embedded, encoder = table.iloc[rows], embedder.encoder
        target = TargetSize(*encoder.image_size, encoder.evaluation_resize, white_value(table))
        return extract_embeddings(
            embedder.to(runtime.device),
            images_of_rows(embedded, self.raw_images, target, runtime, self.image_cache, memory_limit=0),
            runtime,
            ids=(known_ids(embedded[CAMID]), known_ids(embedded[VIEWID])),
            batch_size=self.evaluation.batch_size,
            flip_averaging=self.evaluation.flip_averaging,
        )

    def inputs(self, embedder: "Embedder", table: pd.DataFrame, rows: np.ndarray) -> Iterator[Inputs]:
        """Yield the images of `rows` as the embedder takes them, in float32: normalised, with camids and viewids."""
        shown, encoder = table.iloc[rows], embedder.to(self.runtime.device).encoder
        target = TargetSize(*encoder.image_size, encoder.evaluation_resize, white_value(table))
        images = images_of_rows(shown, self.raw_images, target, self.runtime, self.image_cache, memory_limit=0)
        ids = (known_ids(shown[CAMID]), known_ids(shown[VIEWID]))
        size = self.evaluation.batch_size
        yield from evaluation_batches(images, encoder, self.runtime, ids=ids, title="", batch_size=size)


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
    started = time.perf_counter()
    vectors = Extraction(raw_images, runtime, evaluation, image_cache).vectors(embedder, table, rows)
    if (sample := noted_sample(table)) is not None:
        _log.info("%s", embedding_sentence(sample, len(rows), time.perf_counter() - started))
    return Embeddings(rows, vectors, paths=tuple(table[PATH].iloc[rows]))


def training_vectors(
    embedder: "Embedder", embeddings: Embeddings, split_table: pd.DataFrame, extraction: Extraction
) -> np.ndarray:
    """Return the embeddings of the training images in the order of the table, float32 [n, D] of unit rows.

    Where nothing is tested on, `embeddings` are of all images, these among them; else they are made here.
    """
    rows = np.flatnonzero((split_table[SPLIT] == "train").to_numpy())
    if np.isin(rows, embeddings.rows).all():
        return embeddings.of(rows)
    return extraction.vectors(embedder, split_table, rows)


def originated(embeddings: Embeddings, origin: Origin) -> Embeddings:
    """Return embeddings with their origin, whose digest is that of rows and vectors."""
    digest = digest_of_arrays({"rows": embeddings.rows, "embeddings": embeddings.vectors})
    return replace(embeddings, origin=origin.replace(digest=digest))


def embedded_images_of(embeddings: Embeddings, split_table: pd.DataFrame, root: Path) -> EmbeddedImages:
    """Return a run's embeddings as those of any images: by path, with identity, camera and tracklet as published.

    Args:
        embeddings: of a run, with its origin.
        split_table: of that run.
        root: the raw folder.

    Raises:
        UserError: the embeddings have no origin, or are of another table.
    """
    origin = embeddings.origin
    model = None if origin is None else origin.made_from.get("embedder")
    if origin is None or model is None:
        raise UserError(f"{_named(embeddings)} do not say which model made them. {_EXTRACT_AGAIN}")
    beyond = len(embeddings.rows) and int(embeddings.rows.max()) >= len(split_table)
    rows = split_table.iloc[:0] if beyond else split_table.iloc[embeddings.rows]
    if beyond or (embeddings.paths is not None and tuple(rows[PATH]) != embeddings.paths):
        raise UserError(f"{_named(embeddings)} are of another split table than the one there. {_EXTRACT_AGAIN}")
    tracks = rows[TRACKID].fillna(-1).astype("int64")
    text = dict.fromkeys((PATH, IDENTITY, CAMERA, TIME), "str")
    table = rows.assign(time="", trackid=tracks)[list(EMBEDDED_COLUMNS)].astype(text)
    return EmbeddedImages(table.reset_index(drop=True), embeddings.vectors, origin, model, str(root.resolve()))


_EXTRACT_AGAIN = "Make them anew from the node `extract`."


def _named(embeddings: Embeddings) -> str:
    file = embeddings.origin.file if embeddings.origin is not None else ""
    return f"The embeddings {file}".strip()
