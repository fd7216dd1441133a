"""The images of some rows of the split table, ready to be loaded, from the cache where there is one."""

import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from reid_pipeline.engine.progress import progress_bar
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.images.cache import ImageCache, SizedImages
from reid_pipeline.images.decode import TargetSize
from reid_pipeline.images.reid_images import DecodedImages, ReIDImages
from reid_pipeline.images.unchanged import require_unchanged
from reid_pipeline.schema.columns import PATH, SHA256
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.raw_folder import RawFolder

_MANY = 5_000  # images that are hashed without a bar
_log = logging.getLogger(__name__)


def images_of_rows(
    rows: pd.DataFrame,
    raw_images: RawFolder,
    size: tuple[int, int] | TargetSize,
    runtime: Runtime,
    image_cache: ImageCache | None,
    *,
    memory_limit: int,
) -> ReIDImages:
    """Return the images of `rows` of the split table, after filling the cache with those that it lacks.

    Beside those of the cache, which is used if the runtime's `image_cache_limit` is above 0, up to `memory_limit`
    bytes of decoded images stay in memory.

    Raises:
        UserError: an image cannot be read or has changed since ingestion, or the cache cannot be used.
    """
    target = TargetSize(*size)
    cached = None
    if image_cache is not None and runtime.image_cache_limit:
        stored = image_cache.of_size(target)
        try:
            cached = _cached(rows, raw_images, image_cache, stored, runtime.image_cache_limit)
        except OSError as error:
            raise UserError(
                f"The image cache in {stored.folder} cannot be used: {error.strerror}. What it holds already is good."
                " Mend the folder or make room, or do without: compute.image_cache_limit=0."
            ) from error
    elif 0 < memory_limit < len(rows) * target.nbytes:
        _log.info(
            "%d images take %s, and compute.image_memory is %s: the others are decoded in every epoch. With"
            " compute.image_cache_limit they are stored on disk.",
            *(len(rows), _text(len(rows) * target.nbytes), _text(memory_limit)),
        )
    images = ReIDImages(
        raw_images.root,
        rows[PATH].tolist(),
        target,
        memory_limit=memory_limit,
        threads=decoding_threads(),
        cached=cached,
    )
    images.pinned = runtime.device.type == "cuda"
    return images


def decoding_threads() -> int:
    """Return how many threads decode images, by the CPUs that this process may use: 4 to 16."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(4, min(16, count))


def check_unchanged(split_table: pd.DataFrame, raw_images: RawFolder, stamps: pd.DataFrame | None) -> None:
    """Refuse images that are gone or have changed since ingestion: `images.unchanged` with a bar."""
    with progress_bar() as bar:
        task = bar.add_task("check images", total=None, unit="images", visible=False)
        require_unchanged(
            raw_images.root,
            split_table,
            stamps,
            on_done=lambda done, total: bar.update(task, completed=done, total=total, visible=total > _MANY),
        )


def _cached(
    rows: pd.DataFrame, raw_images: RawFolder, image_cache: ImageCache, stored: SizedImages, limit: int
) -> DecodedImages | None:
    files = dict(zip(rows[SHA256], (raw_images.root / path for path in rows[PATH]), strict=True))
    places = stored.places()
    if not files.keys() <= places.keys():
        _fill(files, len(files.keys() - places.keys()), image_cache, stored, limit)
        places = stored.places()
    found = np.array([places.get(digest, -1) for digest in rows[SHA256]], dtype=np.int64)
    return DecodedImages(stored.pixels(), found) if (found >= 0).any() else None


def _fill(files: dict[str, Path], missing: int, image_cache: ImageCache, stored: SizedImages, limit: int) -> None:
    """Write what is missing, up to the limit; log before what that takes, and what does not fit."""
    height, width = stored.target[:2]
    taken = image_cache.nbytes()
    fitting = min(missing, max(0, limit - taken) // stored.bytes_each)
    if fitting < missing:
        _log.warning(
            "compute.image_cache_limit is %s, and the image cache in %s takes %s: %d of %d images do not fit and are"
            " decoded whenever they are asked for. Raise the limit, or remove the folders of sizes no longer used.",
            *(_text(limit), image_cache.folder, _text(taken), missing - fitting, len(files)),
        )
    if not fitting:
        return
    needed = fitting * stored.bytes_each
    _log.info(
        "The image cache grows by %d images of %d x %d, %s, in %s; next time they are not decoded.",
        *(fitting, height, width, _text(needed), stored.folder),
    )
    there = next(place for place in (image_cache.folder, *image_cache.folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise UserError(
            f"The image cache needs {_text(needed)} in {image_cache.folder}, where {_text(free)} are free. Make room,"
            " or lower compute.image_cache_limit (0: no cache)."
        )
    with progress_bar() as bar:
        task = bar.add_task("fill image cache", total=len(files), unit="images")
        stored.fill(
            files,
            limit=limit,
            on_done=lambda done: bar.update(task, completed=done),
            on_wait=lambda: _log.info("Another process fills the image cache; waiting for it."),
        )


def _text(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
