"""Images to embeddings, in row order."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from reid_pipeline.engine.finite import NotFinite
from reid_pipeline.engine.progress import track
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.images.augment import PixelStatistics, normalise
from reid_pipeline.images.reid_images import ReIDImages

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
    unit vector along the mean of the embeddings of an image and its mirror image. NotFinite where one is NaN or
    infinite.
    """
    batches = evaluation_batches(images, embedder.encoder, runtime, ids=ids, batch_size=batch_size)
    embedded = embedded_batches(embedder, batches, runtime, flip_averaging=flip_averaging)
    if not runtime.processes.alone:
        embedded = iter([of_all_batches(embedded, len(images), runtime, batch_size=batch_size)])
    return joined(embedded, images.paths)


def embedded_batches(
    embedder: "Embedder", batches: Iterable[Inputs], runtime: Runtime, *, flip_averaging: bool = False
) -> Iterator[torch.Tensor]:
    """Yield the embeddings of each batch of `evaluation_batches`, unit rows [B, D] on the device."""
    for inputs in batches:
        with torch.inference_mode(), runtime.autocast():
            batch = embedder(*inputs)
            if flip_averaging:
                pixels, *given = inputs
                both = batch.float() + embedder(pixels.flip(-1), *given).float()
                batch = torch.nn.functional.normalize(both, dim=1)
        yield batch


def of_all_batches(own: Iterable[torch.Tensor], count: int, runtime: Runtime, *, batch_size: int = 256) -> torch.Tensor:
    """Return the rows [count, ...] of all images, given those of the batches that this process had, which it had all.

    `own` is what was made of `evaluation_batches` of the same size, in which several processes share the batches.
    """
    processes, made = runtime.processes, list(own)
    rows = torch.cat(made) if made else torch.empty(0, 0, device=runtime.device)
    if processes.alone:
        return rows
    found, _ = processes.rows_of_all(rows)
    groups = _groups(count, batch_size)
    order = np.concatenate([group for rank in range(processes.count) for group in groups[rank :: processes.count]])
    whole = torch.empty_like(found)
    whole[torch.from_numpy(order).to(found.device)] = found
    return whole


def joined(batches: Iterable[torch.Tensor], paths: Sequence[str]) -> np.ndarray:
    """Return the embeddings of all batches, float32 [n, D], of the images of these `paths`.

    Raises:
        NotFinite: one is NaN or infinite.
        ValueError: there is no batch.
    """
    embeddings = None  # as wide as the first batch; each batch is written to its place, without a copy
    done = 0
    for batch in batches:
        if embeddings is None:
            embeddings = torch.empty(len(paths), batch.shape[1])
        embeddings[done : done + len(batch)] = batch
        done += len(batch)
    if embeddings is None:
        raise ValueError("There is nothing to embed: no images.")
    _require_finite(embeddings, paths)
    return embeddings.numpy()


def _require_finite(embeddings: torch.Tensor, paths: Sequence[str]) -> None:
    """Refuse (NotFinite) embeddings that are NaN or infinite; they say which images, and where that comes from."""
    if embeddings.sum().isfinite():
        return
    bad = (~embeddings.isfinite().all(dim=1)).nonzero().flatten().tolist()
    raise NotFinite(
        f"The model gives embeddings that are not finite for {len(bad)} of {len(paths)} images (the first:"
        f" {paths[bad[0]]}). The images are good: the model has diverged, its weights are damaged, or half"
        " precision overflowed. Train again at a lower learning rate, or use float32 (compute.precision of training,"
        " evaluation.precision of the test)."
    )


def evaluation_batches(
    images: ReIDImages,
    statistics: PixelStatistics,
    runtime: Runtime,
    *,
    ids: Ids = (None, None),
    title: str = "extract",
    batch_size: int = 256,
) -> Iterator[Inputs]:
    """Yield normalised images, camids and viewids on the device, in row order, behind a bar named `title`, if any.

    Whole batches are dealt to the processes that train together: the i-th of P gets each P-th, from the i-th on.
    """
    processes = runtime.processes
    groups = _groups(len(images), batch_size)[processes.rank :: processes.count]
    batches = images.batches(groups)
    if title:
        batches = track(batches, title, total=sum(map(len, groups)), unit="images", size=batch_size)
    for number, (rows, pixels) in enumerate(batches, start=1):
        processes.pulse.at(f"{title or 'extract'}, batch {number} of {len(groups)}")
        loaded = pixels.to(runtime.device, non_blocking=True)
        camids, viewids = (None if each is None else torch.from_numpy(each[rows]).to(runtime.device) for each in ids)
        yield normalise(loaded, statistics.pixel_mean, statistics.pixel_std), camids, viewids


def _groups(count: int, batch_size: int) -> list[np.ndarray]:
    """Return the rows of each batch."""
    order = np.arange(count)
    return [order[start : start + batch_size] for start in range(0, count, batch_size)]
