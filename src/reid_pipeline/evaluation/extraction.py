"""Images to embeddings, in row order."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from reid_pipeline.engine.progress import track
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.images.augment import normalise
from reid_pipeline.images.reid_images import ReIDImages

if TYPE_CHECKING:
    from reid_pipeline.models.embedder import Embedder


def extract_embeddings(
    embedder: "Embedder",
    images: ReIDImages,
    runtime: Runtime,
    *,
    camids: np.ndarray | None = None,
    viewids: np.ndarray | None = None,
    batch_size: int = 256,
    flip_averaging: bool = False,
) -> np.ndarray:
    """Embed every image with the evaluation transform (resize and normalise).

    Args:
        embedder: on `runtime.device`.
        images: the rows to embed, in order, of the embedder's image size.
        runtime: device and precision.
        camids: int array [n], for models with camera embeddings.
        viewids: int array [n], for models with viewpoint embeddings.
        batch_size: images at once.
        flip_averaging: embed the mirror image too; a row is the unit vector along the mean of both.

    Returns:
        float32 array [n, D] of unit rows; memory is n x D x 4 bytes and one batch.

    Raises:
        ValueError: there are no images.
    """
    encode = _averaged_over_flips(embedder) if flip_averaging else embedder
    with torch.inference_mode():
        batches = encoded(encode, embedder.encoder, images, runtime, ids=(camids, viewids), batch_size=batch_size)
        made = None  # as wide as the first batch says; each batch is written to its place, without a copy
        done = 0
        for batch in batches:
            if made is None:
                made = torch.empty(len(images), batch.shape[1])
            made[done : done + len(batch)] = batch
            done += len(batch)
    if made is None:
        raise ValueError("There is nothing to embed: no images.")
    return made.numpy()


def _averaged_over_flips(encode: Callable[..., Any]) -> Callable[..., Any]:
    def averaged(images: torch.Tensor, camids: Any, viewids: Any) -> torch.Tensor:
        both = encode(images, camids, viewids).float() + encode(images.flip(-1), camids, viewids).float()
        return torch.nn.functional.normalize(both, dim=1)

    return averaged


def encoded(
    encode: Callable[..., Any],
    encoder: Any,
    images: ReIDImages,
    runtime: Runtime,
    *,
    ids: tuple[np.ndarray | None, np.ndarray | None] = (None, None),
    title: str = "extract",
    batch_size: int = 256,
) -> Iterator[Any]:
    """Yield what `encode(images, camids, viewids)` returns, batch by batch, in row order.

    Args:
        encode: on `runtime.device`.
        encoder: whose pixel statistics the images are normalised with.
        images: of the encoder's image size.
        runtime: device and precision.
        ids: camids and viewids, int arrays [n], or None.
        title: of the progress bar.
        batch_size: images at once.
    """
    batches = images.batches(_groups(len(images), batch_size))
    for rows, pixels in track(batches, title, total=len(images), unit="images", size=batch_size):
        batch = normalise(pixels.to(runtime.device, non_blocking=True), encoder.pixel_mean, encoder.pixel_std)
        cameras, views = (
            None if values is None else torch.from_numpy(values[rows]).to(runtime.device) for values in ids
        )
        with runtime.autocast():
            yield encode(batch, cameras, views)


def _groups(count: int, batch_size: int) -> Sequence[np.ndarray]:
    rows = np.arange(count)
    return [rows[start : start + batch_size] for start in range(0, count, batch_size)]
