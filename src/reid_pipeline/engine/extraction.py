"""Images to embeddings, in row order."""

from collections.abc import Callable

import numpy as np
import torch

from reid_pipeline.engine.progress import track
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.images.augment import normalise
from reid_pipeline.images.reid_images import ReIDImages

Embed = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]


def extract_embeddings(
    embed: Embed,
    images: ReIDImages,
    runtime: Runtime,
    *,
    camids: np.ndarray | None = None,
    batch_size: int = 256,
) -> np.ndarray:
    """Embed every image with the evaluation transform (resize and normalise).

    Args:
        embed: a module in eval mode: (float32 images [B, 3, H, W], camids [B] or None) to [B, D].
        images: the rows to embed, in order.
        backbone: pixel mean and std.
        runtime: device and precision.
        camids: int array [n], for models with camera embeddings.
        batch_size: images at once.

    Returns:
        float32 array [n, D]; memory is n x D x 4 bytes and one batch.
    """
    rows = np.arange(len(images))
    groups = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    parts: list[np.ndarray] = []
    with torch.inference_mode():
        bar = track(
            images.batches(groups), "extract", total=len(rows), unit="images", size=batch_size
        )
        for group, pixels in bar:
            batch = normalise(pixels.to(runtime.device), backbone)
            cameras = None if camids is None else torch.from_numpy(camids[group]).to(runtime.device)
            with runtime.autocast():
                embedded = embed(batch, cameras)
            parts.append(embedded.float().cpu().numpy())
    return np.concatenate(parts)
