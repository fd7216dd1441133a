"""Images of the split table's rows, with the cache and without: the same pixels, and what the log says."""

import logging
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from reid_pipeline.engine import loading
from reid_pipeline.engine.loading import images_of_rows
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.images.cache import ImageCache
from reid_pipeline.images.check import check_images
from reid_pipeline.images.decode import TargetSize
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.raw_folder import RawFolder

SIZE = (16, 8)
EACH = 16 * 8 * 3 + 32
CPU = torch.device("cpu")


@pytest.fixture
def root(drawn_folder, drawn_files, tmp_path):
    shutil.copytree(drawn_folder / "query", tmp_path / "raw")
    return tmp_path / "raw"


@pytest.fixture
def rows(root):
    return check_images(root, sorted(path.name for path in root.iterdir()))


@pytest.fixture
def cache(tmp_path):
    return ImageCache(tmp_path / "cache" / "images")


def images(rows, root, cache, *, limit=10**9, memory=10**6, size=SIZE):
    raw = RawFolder(root, tuple(rows["path"]))
    return images_of_rows(rows, raw, size, Runtime(CPU, image_cache_limit=limit), cache, memory_limit=memory)


def everything(made):
    return made.batch(range(len(made)))


def test_the_cache_changes_no_pixel(rows, root, cache):
    plain = everything(images(rows, root, None))
    assert torch.equal(everything(images(rows, root, cache)), plain)
    for path in root.iterdir():
        path.unlink()
    again = images(rows, root, cache, memory=0)
    assert torch.equal(everything(again), plain)
    order = np.random.default_rng(0).permutation(len(rows))
    assert torch.equal(again.batch(order), plain[order])


def test_without_a_limit_nothing_is_written(rows, root, cache):
    everything(images(rows, root, cache, limit=0))
    assert not cache.folder.exists()


def test_a_changed_file_is_another_picture(rows, root, cache):
    everything(images(rows, root, cache))
    first, second = rows["path"][:2]
    shutil.copy(root / second, root / first)
    changed = check_images(root, rows["path"].tolist())
    made = everything(images(changed, root, cache))
    assert torch.equal(made[0], made[1])
    assert torch.equal(made, everything(images(changed, root, None)))


def test_it_says_what_it_takes_before_it_takes_it(rows, root, cache, caplog, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(loading, "progress_bar", interrupt)
    with caplog.at_level(logging.INFO), pytest.raises(KeyboardInterrupt):
        images(rows, root, cache)
    assert not cache.folder.exists()
    assert f"grows by {len(rows)} images of 16 x 8, 0.0 MB, in {cache.folder}" in caplog.text


@pytest.mark.parametrize("memory", [0, 2 * 16 * 8 * 3, 10**6])
def test_what_does_not_fit_is_decoded(rows, root, cache, caplog, memory):
    made = images(rows, root, cache, limit=3 * EACH, memory=memory)
    found = f"{len(rows) - 3} of {len(rows)} images do not fit"
    assert re.search(rf"image_cache_limit is 0\.0 MB, .* takes 0\.0 MB: {found}", caplog.text)
    plain = everything(images(rows, root, None))
    for wanted in (range(len(rows)), [0, 5, 5, 1], [6, 7, 6], [2, 1], [4, 0, 4, 7]):
        assert torch.equal(made.batch(wanted), plain[list(wanted)])
    assert cache.nbytes() == 3 * EACH


def test_too_little_memory_is_said_once_and_only_without_cache(rows, root, cache, caplog):
    caplog.set_level(logging.INFO)
    images(rows, root, cache, memory=100)
    images(rows, root, None, memory=10**6)
    assert "image_memory" not in caplog.text
    images(rows, root, None, memory=100_000_000, size=TargetSize(4096, 2048))
    assert "8 images take 0.20 GB, and compute.image_memory is 0.10 GB" in caplog.text


def test_a_full_disk_is_said_before_anything_is_written(rows, root, cache, monkeypatch):
    monkeypatch.setattr(loading.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(UserError, match=r"needs 0\.0 MB in .*images, where 0\.0 MB are free\. Make room"):
        images(rows, root, cache)
    assert not cache.folder.exists()


def test_a_folder_that_cannot_be_written_is_named(rows, root, cache):
    cache.folder.parent.write_text("a file where the folder should be")
    with pytest.raises(UserError, match=r"image cache in .* cannot be used: Not a directory.*image_cache_limit=0"):
        images(rows, root, cache)


def test_batches_for_cuda_are_pinned(rows, root):
    raw = RawFolder(root, tuple(rows["path"]))
    for device, pinned in (("cpu", False), ("cuda:0", True)):
        made = images_of_rows(rows, raw, SIZE, Runtime(torch.device(device)), None, memory_limit=0)
        assert made.pinned is pinned


def test_equal_files_are_one_image(rows, root, cache):
    shutil.copy(root / rows["path"][0], root / "copy.jpg")
    doubled = pd.concat([rows, check_images(root, ["copy.jpg"])], ignore_index=True)
    made = everything(images(doubled, root, cache))
    assert torch.equal(made[0], made[-1])
    assert cache.nbytes() == len(rows) * EACH
