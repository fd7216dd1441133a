"""A trained model in a Python shell: `load_embedder("market1501/pcl/seed_0").embed(["a.jpg"])`.

In shapes n is the number of images, d that of an embedding's numbers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from reid_pipeline.engine.checkpoint import digest_of_tensors
from reid_pipeline.engine.loading import decoding_threads
from reid_pipeline.engine.runtime import Runtime, resolve_runtime
from reid_pipeline.evaluation.extraction import embedded_batches, evaluation_batches, joined
from reid_pipeline.images.decode import TargetSize
from reid_pipeline.images.given import GivenImage, GivenImages
from reid_pipeline.models.embedder import Embedder, embedder_from_description
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.model_files import EMBEDDER, embedder_file
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.parameters import ComputeParameters
from reid_pipeline.schema.tensor_files import TensorFileError, origin_in, read_tensor_file

_BATCH_SIZE = 64


@dataclass(frozen=True)
class LoadedEmbedder:
    """A model that turns images into unit vectors.

    Attributes:
        embedder: the network.
        runtime: device, precision and threads.
        batch_size: images at a time, where `embed` is not given another number.
    """

    embedder: Embedder
    runtime: Runtime
    batch_size: int = _BATCH_SIZE

    def __post_init__(self) -> None:
        self.embedder.to(self.runtime.device)

    @property
    def description(self) -> dict[str, Any]:
        """What the network is: backbone, image size, necks, pixel statistics; plain values."""
        return self.embedder.description()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the tensors: vectors can be compared where this is equal, and nowhere else."""
        return digest_of_tensors(self.embedder.state_dict())

    @property
    def origin(self) -> Origin:
        """What it was made from; of files of the first version that says nothing but the digest."""
        found = self.embedder.origin or Origin(made_by="export", code="")
        return found.replace(digest=self.digest)

    @property
    def width(self) -> int:
        """Numbers of an embedding, d."""
        return int(self.embedder.encoder.embedding_width)

    @property
    def projected(self) -> slice | None:
        """Columns of an embedding that lie in CLIP's joint space of images and texts; None where there are none.

        There are none without a projection, and none where embeddings are read after necks.
        """
        encoder = self.embedder.encoder
        return slice(encoder.width, self.width) if encoder.projects and self.embedder.neck == "before" else None

    def embed(
        self,
        images: GivenImage | Iterable[GivenImage],
        *,
        camids: Sequence[int] | np.ndarray | None = None,
        viewids: Sequence[int] | np.ndarray | None = None,
        batch_size: int | None = None,
        progress: bool = False,
    ) -> np.ndarray:
        """Return the embedding of each image.

        The same images in the same batches, on the same number of threads, have the pipeline's own embeddings to the
        bit; other batches change the last digits.

        Args:
            images: files, pictures of Pillow's, or RGB pixels as uint8 [h, w, 3]; or one of these.
            camids: camera of each, from 0, as in training, -1 where unknown; read by models with side information,
                whose mean stands in without.
            viewids: viewpoint of each; likewise.
            batch_size: images at a time; None: that of this object.
            progress: whether a bar shows how many are done, and the rate.

        Returns:
            float32 [n, d] of unit rows, in order; n is 1 for one image.

        Raises:
            UserError: an image cannot be read; the message names it.
        """
        given = _listed(images)
        ids = tuple(_ids(each, len(given), name) for each, name in ((camids, "camids"), (viewids, "viewids")))
        size = self.batch_size if batch_size is None else batch_size
        if size < 1:
            raise UserError(f"batch_size is {size}; give 1 or more.")
        if not given:
            return np.empty((0, self.width), dtype=np.float32)
        made = GivenImages(given, self.target, threads=decoding_threads())
        made.pinned = self.runtime.device.type == "cuda"
        title = "embed" if progress else ""
        batches = evaluation_batches(
            made, self.embedder.encoder, self.runtime, ids=(ids[0], ids[1]), title=title, batch_size=size
        )
        return joined(embedded_batches(self.embedder, batches, self.runtime), made.paths)

    @property
    def target(self) -> TargetSize:
        """How images become arrays."""
        encoder = self.embedder.encoder
        return TargetSize(*encoder.image_size, encoder.evaluation_resize, self.embedder.white_value)


def load_embedder(
    model: str | Path,
    *,
    root: Path | None = None,
    device: str = "auto",
    threads: int = 0,
    batch_size: int = _BATCH_SIZE,
) -> LoadedEmbedder:
    """Return a trained model, ready to embed.

    Args:
        model: an `embedder.safetensors`, the folder of a cell, or its address, "market1501/pcl/seed_0".
        root: the project's folder, at which `data/06_models` and relative paths begin; None: where Python runs.
        device: "auto", "cpu", "cuda:0" ...; embeddings are computed in float32, as the pipelines' are.
        threads: of torch on the CPU, for the whole process; 0: as they are.
        batch_size: images at a time, where `embed` is not given another number.

    Raises:
        UserError: there is no such file or cell, it is no embedder of this project, or the device is absent.
    """
    file = embedder_file(model, root or Path())
    runtime = resolve_runtime(ComputeParameters(device=device, threads=threads))
    return LoadedEmbedder(read_embedder(file), runtime.for_evaluation("float32"), batch_size)


def read_embedder(file: Path) -> Embedder:
    """Return the embedder of a file, on the CPU, with its origin; a UserError where it is none."""
    try:
        tensors, header = read_tensor_file(file, "pt")
        return embedder_of(tensors, header, file)
    except TensorFileError as error:
        raise UserError(
            f"{file} {error} Give an {EMBEDDER} of this project; a published model is imported first, kedro run"
            " --pipeline=import_model."
        ) from error
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}. Make it readable, or give another model.") from error


def embedder_of(tensors: dict[str, Any], header: dict[str, Any], file: Path) -> Embedder:
    """Return the embedder that tensors and header of `file` stand for, with its origin.

    Raises:
        TensorFileError: the header describes none, or the tensors are not those written.
        UserError: description and tensors do not fit.
    """
    if "embedder" not in header:
        raise TensorFileError("does not describe an embedder.")
    origin = origin_in(header, digest_of_tensors(tensors), file)
    embedder = embedder_from_description(header["embedder"], tensors)
    embedder.origin = origin
    return embedder


def _listed(images: GivenImage | Iterable[GivenImage]) -> list[GivenImage]:
    if isinstance(images, str | Path | Image.Image):
        return [images]
    return [images] if isinstance(images, np.ndarray) and images.ndim == 3 else list(images)


def _ids(given: Sequence[int] | np.ndarray | None, count: int, name: str) -> np.ndarray | None:
    """Return camids or viewids as int64 [n], None where none is given."""
    if given is None:
        return None
    ids = np.asarray(given)
    if ids.shape != (count,) or not np.issubdtype(ids.dtype, np.integer):
        raise UserError(
            f"{name} are {ids.dtype} {list(ids.shape)}; give a whole number for each of the {count} images."
        )
    return ids.astype(np.int64)
