"""The cache of decoded images: the right picture, kills, changed files, limits, two processes."""

import hashlib
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from reid_pipeline.images import cache as module
from reid_pipeline.images.cache import ImageCache
from reid_pipeline.images.decode import READING, TargetSize, read_image, resize
from reid_pipeline.schema.errors import UserError

TARGET = TargetSize(8, 4)
EACH = 8 * 4 * 3 + 32
PLENTY = 10**9


@pytest.fixture
def files(write_jpeg):
    """Six files of six colours, by hash."""
    paths = [write_jpeg(f"{n}.jpg", colour=(40 * n, 255 - 40 * n, 20), size=(12, 20)) for n in range(6)]
    return {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in paths}


@pytest.fixture
def stored(tmp_path):
    return ImageCache(tmp_path / "cache").of_size(TARGET)


@pytest.fixture(autouse=True)
def two_at_a_time(monkeypatch):
    monkeypatch.setattr(module, "_AT_A_TIME", 2 * TARGET.nbytes)


def first(files, count):
    return dict(list(files.items())[:count])


def holds(stored, files):
    """Check every image against a fresh decoding."""
    places, pixels = stored.places(), stored.pixels()
    assert set(places) == set(files)
    assert sorted(places.values()) == list(range(len(files)))
    for digest, path in files.items():
        assert (pixels[places[digest]] == read_image(path, TARGET)).all()
    return True


def test_every_image_is_found_by_its_content(stored, files):
    assert stored.places() == {}
    done = []
    stored.fill(files, limit=PLENTY, on_done=done.append)
    assert done == [2, 4, 6]
    assert holds(stored, files)
    assert not stored.pixels().flags.writeable


def test_only_what_is_missing_is_decoded(stored, files):
    stored.fill(first(files, 3), limit=PLENTY)
    for path in first(files, 3).values():
        path.rename(path.with_suffix(".moved"))
    done = []
    stored.fill(files, limit=PLENTY, on_done=done.append)
    assert done == [5, 6]
    assert set(stored.places()) == set(files)


def test_a_changed_file_is_refused_and_its_old_picture_kept(stored, files):
    digest, path = next(iter(files.items()))
    old = read_image(path, TARGET)
    stored.fill({digest: path}, limit=PLENTY)
    other = list(files.values())[1]
    path.write_bytes(other.read_bytes())
    assert (stored.pixels()[stored.places()[digest]] == old).all()
    with pytest.raises(UserError, match=r"0\.jpg is not the file .* its content has changed\. Run ingestion"):
        ImageCache(path.parent / "another").of_size(TARGET).fill({digest: path}, limit=PLENTY)


def test_a_bad_image_stops_the_filling_and_spoils_nothing(stored, files, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    listed = {**first(files, 3), hashlib.sha256(b"no image").hexdigest(): bad}
    with pytest.raises(UserError, match=r"bad\.jpg .* cannot be decoded"):
        stored.fill(listed, limit=PLENTY)
    assert holds(stored, first(files, 2))
    stored.fill(files, limit=PLENTY)
    assert holds(stored, files)


@pytest.mark.parametrize("name", ["pixels", "hashes"])
@pytest.mark.parametrize("kept", range(0, 3 * 96 + 1, 31))
def test_a_file_cut_anywhere_is_trusted_only_as_far_as_it_is_whole(stored, files, name, kept):
    """What a kill, or a crash of the machine, leaves behind; then the next process fills the rest."""
    stored.fill(first(files, 3), limit=PLENTY)
    path = stored.folder / name
    os.truncate(path, min(kept, path.stat().st_size))
    for digest, place in stored.places().items():
        assert (stored.pixels()[place] == read_image(files[digest], TARGET)).all()
    stored.fill(dict(reversed(files.items())), limit=PLENTY)
    assert holds(stored, files)


def test_hashes_without_pixels_never_come_to_vouch_for_other_pixels(stored, files, monkeypatch):
    """Six hashes, one image left; then a process is killed between its pixels and its hashes."""
    stored.fill(files, limit=PLENTY)
    os.truncate(stored.folder / "pixels", TARGET.nbytes)
    monkeypatch.setattr(module.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        stored.fill(dict(reversed(files.items())), limit=PLENTY)
    monkeypatch.undo()
    assert holds(stored, first(files, 1))


def interrupt(_):
    raise KeyboardInterrupt


@pytest.mark.slow
def test_a_killed_process_leaves_a_cache_that_is_good(stored, files, tmp_path):
    """Killed after its second image; the lock goes with it, and a process that waited goes on."""
    program = (
        "import sys, time; from pathlib import Path; from reid_pipeline.images import cache\n"
        "from reid_pipeline.images.decode import TargetSize; cache._AT_A_TIME = 192\n"
        "digests = sys.argv[2::2]; paths = map(Path, sys.argv[3::2])\n"
        "stored = cache.ImageCache(Path(sys.argv[1])).of_size(TargetSize(8, 4))\n"
        "halt = lambda done: (print(done, flush=True), time.sleep(60))\n"
        "stored.fill(dict(zip(digests, paths)), limit=10**9, on_done=halt)\n"
    )
    words = [str(word) for item in files.items() for word in item]
    command = [sys.executable, "-c", program, str(tmp_path / "cache"), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "2\n"
        waited = threading.Event()
        filling = threading.Thread(target=stored.fill, args=(files,), kwargs=wait_and_fill(waited))
        filling.start()
        assert waited.wait(30), "a second writer waits for the first"
        assert len(stored.places()) == 2, "readers do not wait"
        process.kill()
        filling.join(30)
    assert holds(stored, files)


def wait_and_fill(waited):
    return {"limit": PLENTY, "on_wait": waited.set}


def test_several_writers_at_a_time_write_each_image_once(stored, files):
    """In threads, whose locks on a file of their own exclude one another as those of processes do."""
    orders = [list(np.random.default_rng(seed).permutation(list(files))) for seed in range(4)]
    work = [
        threading.Thread(target=stored.fill, args=({name: files[name] for name in order},), kwargs={"limit": PLENTY})
        for order in orders
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join(30)
    assert holds(stored, files)


@pytest.mark.parametrize(("limit", "kept"), [(0, 0), (EACH - 1, 0), (3 * EACH, 3), (6 * EACH - 1, 5)])
def test_the_limit_holds(stored, files, limit, kept):
    stored.fill(files, limit=limit)
    assert list(stored.places()) == list(files)[:kept]
    assert sum(path.stat().st_size for path in stored.folder.glob("*")) == kept * EACH
    stored.fill(files, limit=limit)
    assert len(stored.places()) == kept


def test_the_limit_is_that_of_all_sizes_together(tmp_path, files):
    cache = ImageCache(tmp_path / "cache")
    assert cache.nbytes() == 0
    cache.of_size(TARGET).fill(files, limit=PLENTY)
    assert cache.nbytes() == 6 * EACH
    cache.of_size(TargetSize(4, 8)).fill(files, limit=8 * EACH)
    assert cache.nbytes() == 8 * EACH


def test_sizes_filters_and_versions_do_not_meet(tmp_path, files, monkeypatch):
    cache = ImageCache(tmp_path / "cache")
    targets = [TARGET, TargetSize(4, 8), TargetSize(8, 4, "bilinear")]
    for target in targets:
        cache.of_size(target).fill(files, limit=PLENTY)
        image = cache.of_size(target).pixels()[0]
        assert (image == read_image(next(iter(files.values())), target)).all()
    monkeypatch.setattr(module, "READING", READING + 1)
    assert cache.of_size(TARGET).places() == {}


def test_the_pixels_of_this_reading_are_these():
    """If this fails, raise READING, so that no cache keeps old images, and write down the new hash."""
    rows, columns = np.mgrid[0:37, 0:21]
    pixels = np.stack([rows * 6, columns * 12, (rows * columns) % 256], axis=2).astype(np.uint8)
    made = [resize(pixels, TargetSize(16, 8, name)) for name in ("bicubic", "bilinear")]
    made += [resize(pixels, TargetSize(64, 32))]
    digest = hashlib.sha256(b"".join(image.tobytes() for image in made)).hexdigest()[:16]
    assert (READING, digest) == (1, "9c927a3d46d5a121")


def test_an_image_in_two_files_takes_one_place(stored, files, tmp_path):
    digest, path = next(iter(files.items()))
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(path.read_bytes())
    stored.fill({digest: path}, limit=PLENTY)
    stored.fill({digest: copy}, limit=PLENTY)
    assert len(stored.pixels()) == 1


def test_what_pillow_made_is_what_is_kept(stored, tmp_path):
    """Beyond JPEG: a PNG with transparency goes through the same reading."""
    pixels = np.random.default_rng(0).integers(0, 256, (9, 5, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    digest = hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()
    stored.fill({digest: tmp_path / "a.png"}, limit=PLENTY)
    assert (stored.pixels()[0] == read_image(tmp_path / "a.png", TARGET)).all()
