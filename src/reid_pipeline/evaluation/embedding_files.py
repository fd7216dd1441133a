"""Any images, embedded: checked by the rule of ingestion, in parts that a killed run need not make again."""

import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from reid_pipeline import __version__
from reid_pipeline.engine.loading import decoding_threads
from reid_pipeline.engine.progress import progress_bar
from reid_pipeline.evaluation.embedded_parts import EmbeddedParts
from reid_pipeline.evaluation.extraction import embedded_batches, evaluation_batches, joined
from reid_pipeline.evaluation.loaded_embedder import LoadedEmbedder
from reid_pipeline.images.check import check_images
from reid_pipeline.images.decode import READING
from reid_pipeline.images.given import GivenImages
from reid_pipeline.schema.columns import FAULT, PATH, SHA256
from reid_pipeline.schema.digests import digest_of_json
from reid_pipeline.schema.embedded_images import EmbeddedImages
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.listed_images import ListedImages
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.unreadable import readable

_PART = 1024
"""Images of a part, at least: what a kill costs."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EmbeddingOfFiles:
    """The embedding of listed files by one model.

    Attributes:
        loaded: the model; its `batch_size` counts.
        listed: the files.
        parts: where finished parts are stored.
    """

    loaded: LoadedEmbedder
    listed: ListedImages
    parts: EmbeddedParts

    def run(self, parameters: dict[str, Any], *, skip_unreadable: bool) -> tuple[EmbeddedImages, pd.DataFrame]:
        """Embed all files that can be decoded.

        Args:
            parameters: what the origin says it was made with.
            skip_unreadable: whether files that cannot be decoded are left out; else they are refused.

        Returns:
            the embedded images, and a table of what was left out: path and fault.

        Raises:
            UserError: files cannot be decoded, or none is left; another process is at it.
            NotFinite: a vector is NaN or infinite.
        """
        with self.parts.only_writer():
            facts = self._facts()
            usable = readable(facts, skip=skip_unreadable).to_numpy()
            left_out = facts.loc[~usable, [PATH, FAULT]].reset_index(drop=True)
            if not usable.any():
                raise UserError(
                    f"None of the {len(facts)} images can be decoded, such as"
                    f" {first_few(left_out[PATH].tolist())}: there is nothing to embed."
                )
            if len(left_out):
                cases = [f"{path} ({fault})" for path, fault in left_out.itertuples(index=False)]
                _log.warning(
                    "%d of %d images cannot be decoded, and were left out: %s", len(cases), len(facts), first_few(cases)
                )
            rows = self.listed.rows[usable].reset_index(drop=True)
            vectors = self._vectors(rows, facts.loc[usable, SHA256].tolist())
        root = str(self.listed.root.resolve())
        made = EmbeddedImages(rows, vectors, self._origin(parameters), self.loaded.digest, root)
        return made, left_out

    def _facts(self) -> pd.DataFrame:
        """Return what decoding every file shows; one whose bytes an earlier process saw is only hashed."""
        paths = self.listed.rows[PATH].tolist()
        with progress_bar() as bar:
            task = bar.add_task("decode images", total=len(paths), unit="images")
            facts = check_images(
                self.listed.root, paths, known=self.parts.facts(), on_done=lambda done: bar.update(task, completed=done)
            )
        self.parts.keep_facts(facts)
        return facts

    def _vectors(self, rows: pd.DataFrame, digests: list[str]) -> np.ndarray:
        """Return the vectors of all rows; parts that are stored are read, the others made in one go, and stored."""
        size = self.loaded.batch_size * max(1, _PART // self.loaded.batch_size)
        starts = range(0, len(rows), size)
        names = [self._name(digests[start : start + size]) for start in starts]
        vectors = np.empty((len(rows), self.loaded.width), dtype=np.float32)
        missing = []
        for start, name in zip(starts, names, strict=True):
            part = vectors[start : start + size]
            stored = self.parts.vectors(name, *part.shape)
            if stored is None:
                missing.append((start, name))
            else:
                part[:] = stored
        if missing and (done := len(rows) - sum(len(vectors[start : start + size]) for start, _ in missing)):
            _log.info("%s of %s images were embedded before: they are not again.", f"{done:,}", f"{len(rows):,}")
        pending = [row for start, _ in missing for row in range(start, min(start + size, len(rows)))]
        made = self._batches([str(self.listed.root / rows[PATH].iloc[row]) for row in pending])
        for start, name in missing:
            part = vectors[start : start + size]
            batches = islice(made, -(-len(part) // self.loaded.batch_size))
            part[:] = joined(batches, rows[PATH].iloc[start : start + size].tolist())
            self.parts.keep_vectors(name, part)
        deque(made, maxlen=0)  # the bar shows the last batch when the next is asked for
        return vectors

    def _batches(self, files: list[str]) -> Iterator[Any]:
        """Yield the embeddings of each batch of files. All parts but the last are of whole batches."""
        if not files:
            return
        loaded = self.loaded
        images = GivenImages(files, loaded.target, threads=decoding_threads())
        images.pinned = loaded.runtime.device.type == "cuda"
        batches = evaluation_batches(
            images, loaded.embedder.encoder, loaded.runtime, title="embed", batch_size=loaded.batch_size
        )
        yield from embedded_batches(loaded.embedder, batches, loaded.runtime)

    def _name(self, digests: list[str]) -> str:
        """Return a digest of all that decides the vectors of a part."""
        runtime, loaded = self.loaded.runtime, self.loaded
        computed = [loaded.batch_size, runtime.precision, runtime.device.type, runtime.threads]
        return digest_of_json([loaded.digest, *computed, [*loaded.target], READING, __version__, digests])

    def _origin(self, parameters: dict[str, Any]) -> Origin:
        """Return the origin of the vectors: of the model's cell, made by this pipeline."""
        runtime, model = self.loaded.runtime, self.loaded.origin
        return model.replace(
            made_by="embed",
            data=None,
            galleries=None,
            parameters=parameters,
            made_from={**model.made_from, "embedder": self.loaded.digest},
            digest=None,
            code=__version__,
            device=runtime.device.type,
            threads=runtime.threads,
            file="",
        )
