"""Images to embeddings, in row order."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from reid_pipeline.engine.progress import track
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.images.augment import normalise
from reid_pipeline.images.reid_images import ReIDImages

if TYPE_CHECKING:
    from reid_pipeline.models import Embedder


def extract_embeddings(
    embedder: "Embedder",
    images: ReIDImages,
    runtime: Runtime,
    *,
    camids: np.ndarray | None = None,
    viewids: np.ndarray | None = None,
    batch_size: int = 256,
) -> np.ndarray:
    """Embed every image with the evaluation transform (resize and normalise).

    Args:
        embedder: on `runtime.device`.
        images: the rows to embed, in order, of the embedder's image size.
        runtime: device and precision.
        camids: int array [n], for models with camera embeddings.
        viewids: int array [n], for models with viewpoint embeddings.
        batch_size: images at once.

    Returns:
        float32 array [n, D] of unit rows; memory is n x D x 4 bytes and one batch.
    """
    encoder = embedder.encoder
    parts: list[np.ndarray] = []
    with torch.inference_mode():
        batches = images.batches(_groups(len(images), batch_size))
        for rows, pixels in track(batches, "extract", total=len(images), unit="images", size=batch_size):
            batch = normalise(pixels.to(runtime.device), encoder.pixel_mean, encoder.pixel_std)
            cameras, views = (
                None if ids is None else torch.from_numpy(ids[rows]).to(runtime.device)
                for ids in (camids, viewids)
            )
            with runtime.autocast():
                parts.append(embedder(batch, cameras, views).float().cpu().numpy())
    return np.concatenate(parts)


def _groups(count: int, batch_size: int) -> Sequence[np.ndarray]:
    rows = np.arange(count)
    return [rows[start : start + batch_size] for start in range(0, count, batch_size)]
