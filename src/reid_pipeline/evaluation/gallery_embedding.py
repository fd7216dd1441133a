"""Images and words embedded for a gallery, without a file beside it; all entries embedded anew by another model."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.evaluation.embedded_parts import EmbeddedParts
from reid_pipeline.evaluation.embedding_files import EmbeddingOfFiles
from reid_pipeline.evaluation.gallery_probes import Probes
from reid_pipeline.evaluation.loaded_embedder import LoadedEmbedder
from reid_pipeline.gallery import Gallery
from reid_pipeline.gallery.operations import Reembedding
from reid_pipeline.models.embedder import Embedder
from reid_pipeline.schema.addresses import ZERO_SHOT
from reid_pipeline.schema.columns import CAMERA, IDENTITY, PATH, TIME, TRACKID
from reid_pipeline.schema.embed_parameters import EmbedParameters
from reid_pipeline.schema.embedded_images import EMBEDDED_COLUMNS, EmbeddedImages
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.listed_images import ListedImages

Given = EmbeddedImages | ListedImages | None
"""What `images` names: embedded before, to be embedded, or nothing."""


class InMemory(EmbeddedParts):
    """No parts: vectors that go into a gallery, or are asked by, are in no other file."""

    def __init__(self) -> None:
        super().__init__(Path())

    @contextmanager
    def only_writer(self) -> Iterator[None]:
        """Let everybody embed."""
        yield

    def vectors(self, name: str, count: int, width: int) -> np.ndarray | None:  # noqa: ARG002
        """Return None: nothing is stored."""
        return None

    def keep_vectors(self, name: str, vectors: np.ndarray) -> None:
        """Store nothing."""

    def facts(self) -> pd.DataFrame | None:
        """Return None: nothing is stored."""
        return None

    def keep_facts(self, facts: pd.DataFrame) -> None:
        """Store nothing."""


@dataclass(frozen=True)
class Embedding:
    """How the images of a run on a gallery are embedded.

    Attributes:
        embedder: the model.
        runtime: where it is computed.
        embed: batch and precision.
        skip_unreadable: whether images that cannot be decoded are left out.
    """

    embedder: Embedder
    runtime: Runtime
    embed: EmbedParameters
    skip_unreadable: bool

    @cached_property
    def loaded(self) -> LoadedEmbedder:
        """The model, ready to embed."""
        return LoadedEmbedder(self.embedder, self.runtime.for_evaluation(self.embed.precision), self.embed.batch_size)

    def of(self, listed: ListedImages) -> EmbeddedImages:
        """Return the listed images, embedded; what it is made with stands in the origin."""
        file = "" if self.embedder.origin is None else self.embedder.origin.file
        made_with = {"embed": self.embed.model_dump(mode="json"), "model": file}
        run = EmbeddingOfFiles(self.loaded, listed, InMemory()).run
        return run(made_with, skip_unreadable=self.skip_unreadable)[0]


def probes_of(gallery: Gallery, given: Given, embedding: Embedding) -> Probes:
    """Return the images that are asked about, embedded by the gallery's model.

    Raises:
        UserError: none are named, one cannot be decoded, or they are embedded by another model.
    """
    if given is None:
        raise UserError("There are no images to ask about. Give --params images=<folder, list, table or file>.")
    if isinstance(given, ListedImages):
        gallery.require_model(embedding.loaded.digest)
        given = embedding.of(given)
    gallery.require_model(given.model)
    files = given.files()
    return Probes([stored_path(file) for file in files], given.vectors, given.rows[CAMERA].tolist(), files)


def words_of(gallery: Gallery, text: str, embedding: Embedding) -> Probes:
    """Return the words that are asked about, in the space that CLIP's images and texts share.

    Raises:
        UserError: the gallery is of another model, or that has no such space, or no text tower.
    """
    from reid_pipeline.evaluation.word_search import require_projected, text_vectors

    gallery.require_model(embedding.loaded.digest)
    columns = require_projected(embedding.loaded)
    vectors = text_vectors(embedding.loaded, [text])
    return Probes([text], vectors, [""], [None], columns, remarks_on_words(embedding.loaded.origin.method))


def remarks_on_words(method: str | None) -> list[str]:
    """Return what a reader of a search by words must know of the model of a method; None: not known."""
    if method == ZERO_SHOT:
        return []
    return [
        "This model was trained on pictures after its words were: they find less by it than by zero_shot. How much less"
        " says docs/embedding.md; a gallery embedded anew by zero_shot is the one to ask by words."
    ]


def reembedded(gallery: Gallery, embedding: Embedding) -> Reembedding:
    """Return the vectors of all entries by another model, of the picture that each is shown by.

    Raises:
        UserError: pictures are gone, or cannot be decoded.
    """
    ids, paths = gallery.ids, gallery.entries()[PATH]
    gone = [path for path in paths.drop_duplicates() if not Path(path).is_file()]
    if gone:
        raise UserError(
            f"{len(gone):,} pictures of gallery {gallery.folder.name} are not there any more, such as"
            f" {first_few(gone, 3)}: their entries cannot be embedded anew. Bring them back, or forget these entries."
        )
    rows = pd.DataFrame({PATH: paths.drop_duplicates().to_numpy(), IDENTITY: "", CAMERA: "", TIME: ""})
    types = {column: "int64" if column == TRACKID else "str" for column in EMBEDDED_COLUMNS}
    listed = rows.assign(trackid=-1)[list(EMBEDDED_COLUMNS)].astype(types)
    images = replace(embedding, skip_unreadable=False).of(ListedImages(Path("/"), listed))
    places = pd.Index(images.rows[PATH]).get_indexer(paths)
    return Reembedding(ids, images.vectors[places], images.model, images.origin)


def stored_path(file: Path) -> str:
    """Return a file's path as a gallery stores it: in full."""
    return Path(os.path.abspath(file)).as_posix()  # noqa: PTH100 - not where links lead
