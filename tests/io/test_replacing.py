"""What killed writers leave is removed, what living ones write is not; modes are those of umask."""

import errno
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import torch
from kedro.io import DatasetError, Version
from made_records import make_metrics
from optuna.storages.journal import JournalFileBackend

from reid_pipeline.engine.checkpoint import Checkpoint
from reid_pipeline.images.cache import ImageCache
from reid_pipeline.images.decode import TargetSize
from reid_pipeline.io.atomic import AtomicJSONDataset, AtomicParquetDataset, AtomicPlotlyDataset, AtomicYAMLDataset
from reid_pipeline.io.cell_lock import CellLock
from reid_pipeline.io.page import TextDataset
from reid_pipeline.io.records import RecordDataset
from reid_pipeline.io.replacing import LOCK, remove_dead, replacing
from reid_pipeline.io.weights import (
    CheckpointDataset,
    EmbedderDataset,
    EmbeddingsDataset,
    TensorsDataset,
    TrainingStateDataset,
)
from reid_pipeline.models.reid_model import ReIDModel
from reid_pipeline.schema.digests import digest_of_file
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.parameters import BackboneParameters
from reid_pipeline.schema.population import Population
from reid_pipeline.schema.records import StageDescription

WRITER = """
import sys
from pathlib import Path
from reid_pipeline.io.replacing import replacing
with replacing(Path(sys.argv[1])) as written:
    if sys.argv[2] == "folder":
        written.mkdir()
        written = written / "file"
    written.write_text("half")
    print("writing", flush=True)
    sys.stdin.readline()
    written.write_text("whole")
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def start_writer() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start a process that is in the middle of writing a path until its input has a line."""
    started = []

    def start(target: Path, kind: str = "file") -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", WRITER, str(target), kind]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


class TestKilledWriters:
    @pytest.mark.parametrize("kind", ["file", "folder"])
    def test_the_next_write_removes_what_they_left(self, tmp_path, start_writer, kind):
        target = tmp_path / "metrics.json"
        process = start_writer(target, kind)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(names(tmp_path)) == 1, "a scratch folder, and no target"
        with replacing(tmp_path / "another.json") as written:
            written.write_text("new")
        assert names(tmp_path) == ["another.json"], "that of another file in the folder, too"

    def test_a_living_writer_is_left_alone(self, tmp_path, start_writer):
        process = start_writer(tmp_path / "a.txt")
        for _ in range(2):
            with replacing(tmp_path / "a.txt") as written:
                written.write_text("ours")
            assert len(names(tmp_path)) == 2
        assert (tmp_path / "a.txt").read_text() == "ours"
        process.communicate("go on\n")
        assert process.returncode == 0
        assert (tmp_path / "a.txt").read_text() == "whole"
        assert names(tmp_path) == ["a.txt"]

    def test_of_one_killed_and_one_living_the_first_goes(self, tmp_path, start_writer):
        killed, living = start_writer(tmp_path / "a.txt"), start_writer(tmp_path / "a.txt")
        killed.kill()
        killed.wait()
        remove_dead(tmp_path)
        assert len(names(tmp_path)) == 1
        living.communicate("go on\n")
        assert (tmp_path / "a.txt").read_text() == "whole"

    def test_another_machines_writer_shows_by_its_lock_alone(self, tmp_path, start_writer):
        """No name of a machine or number of a process decides: both are used again, in containers above all."""
        process = start_writer(tmp_path / "a.txt")
        (scratch,) = tmp_path.iterdir()
        assert str(process.pid) not in scratch.name
        assert names(scratch) == [LOCK, "a.txt"]

    def test_hidden_folders_of_the_user_stay(self, tmp_path):
        old = time.time() - 1_000_000
        for name in (".dvc", ".a.txt", ".ipynb_checkpoints", ".a.txt.ABCDEFGH"):
            (tmp_path / name).mkdir()
            os.utime(tmp_path / name, (old, old))
        (tmp_path / ".a.txt.abcdefgh").touch()
        (tmp_path / ".b.abcdefgh").symlink_to(tmp_path / ".dvc")
        before = names(tmp_path)
        with replacing(tmp_path / "a.txt") as written:
            written.write_text("x")
        assert names(tmp_path) == sorted([*before, "a.txt"])

    @pytest.mark.parametrize(("age", "stays"), [(3_600, True), (100_000, False)])
    def test_those_without_a_lock_are_removed_after_a_day(self, tmp_path, age, stays):
        left = tmp_path / ".a.txt.x0_y1z2w"
        left.mkdir()
        (left / "a.txt").write_text("half")
        os.utime(left, (time.time() - age,) * 2)
        remove_dead(tmp_path)
        assert left.exists() is stays

    def test_a_version_leaves_nothing_either(self, tmp_path):
        file = tmp_path / "seed_0" / "metrics.json"
        with pytest.raises(DatasetError):
            AtomicJSONDataset(filepath=str(file), version=Version(None, "2024-01-01T00.00.00.000Z")).save(object())
        assert names(file.parent) == []
        AtomicJSONDataset(filepath=str(file), version=Version(None, "2024-01-01T00.00.00.001Z")).save(1)
        assert names(file.parent) == ["metrics.json"]
        assert names(file) == ["2024-01-01T00.00.00.001Z"]


def test_a_file_never_takes_the_place_of_a_folder(tmp_path):
    (tmp_path / "metrics.json").mkdir()
    (tmp_path / "metrics.json" / "mine.txt").write_text("mine")
    says = r"metrics\.json is a folder, where a file is to be written\. Move it away"
    with pytest.raises(UserError, match=says), replacing(tmp_path / "metrics.json") as written:
        written.write_text("new")
    assert names(tmp_path) == ["metrics.json"]
    assert (tmp_path / "metrics.json" / "mine.txt").read_text() == "mine"


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "cached").write_text("old")
    (tmp_path / "a.txt").symlink_to("cached")
    with replacing(tmp_path / "a.txt") as written:
        written.write_text("new")
    assert not (tmp_path / "a.txt").is_symlink()
    assert (tmp_path / "cached").read_text() == "old"


def described() -> StageDescription:
    origin = Origin(made_by="toy.train_toy", code="1")
    return StageDescription(origin=origin, stage="toy", population=Population(identities=2), label_map=())


@pytest.fixture(scope="module")
def saved() -> dict[str, tuple[Any, Any]]:
    """By type: how its dataset is made, and what it saves, of 100 kB and more."""
    embedder = ReIDModel.from_backbone(
        BackboneParameters(name="demo-vit", image_size=(32, 16)), neck="after"
    ).embedder()
    tensors = {"a": torch.arange(50_000.0)}
    numbers = np.random.default_rng(0).random(20_000)
    return {
        "json": (AtomicJSONDataset, numbers.tolist()),
        "parquet": (AtomicParquetDataset, pd.DataFrame({"a": numbers})),
        "plotly": (AtomicPlotlyDataset, go.Figure(go.Scatter(x=numbers, y=numbers))),
        "yaml": (AtomicYAMLDataset, {"a": "x" * 100_000}),
        "checkpoint": (CheckpointDataset, Checkpoint(tensors, described())),
        "embedder": (EmbedderDataset, embedder),
        "embeddings": (EmbeddingsDataset, Embeddings(np.arange(50_000), np.ones((50_000, 1), np.float32))),
        "tensors": (TensorsDataset, tensors),
        "state": (TrainingStateDataset, tensors),
        "text": (TextDataset, "x" * 100_000),
    }


KINDS = ["json", "parquet", "plotly", "yaml", "checkpoint", "embedder", "embeddings", "tensors", "state", "text"]


@pytest.fixture(params=[0o022, 0o027, 0o002, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_every_files_mode_is_that_of_umask(tmp_path, saved, umask):
    for kind in KINDS:
        make, data = saved[kind]
        file = tmp_path / "new" / kind / "file"
        for _ in range(2):
            make(filepath=str(file)).save(data)
            assert mode(file) == 0o666 & ~umask, kind
            file.chmod(0o600)  # one that an earlier version made is mended by the next
        assert mode(file.parent) == 0o777 & ~umask
    version = Version(None, "2024-01-01T00.00.00.000Z")
    RecordDataset(filepath=str(tmp_path / "metrics.json"), record="Metrics", version=version).save(make_metrics())
    for path in (tmp_path / "metrics.json").rglob("*"):
        assert mode(path) == (0o666 if path.is_file() else 0o777) & ~umask


def test_so_is_that_of_folders_locks_studies_and_caches(tmp_path, umask, write_jpeg):
    with replacing(tmp_path / "folder") as written:
        (written / "below").mkdir(parents=True)
        (written / "below" / "file").write_text("x")
    lock = CellLock(tmp_path / "locks" / "cell.lock", "The cell")
    lock.acquire(wait=False)
    JournalFileBackend(str(tmp_path / "study.journal")).append_logs([{"op_code": 0}])
    image = write_jpeg("folder/image.jpg")
    ImageCache(tmp_path / "cache").of_size(TargetSize(8, 8)).fill({digest_of_file(image): image}, limit=10_000)
    found = [path for path in tmp_path.rglob("*") if not path.is_symlink()]
    assert {"cell.lock", "cell.json", "study.journal", "pixels", "hashes"} <= {path.name for path in found}
    for path in found:
        assert mode(path) == (0o666 if path.is_file() else 0o777) & ~umask, path
    lock.release()


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_takes_no_more_leaves_the_old_file(tmp_path, saved, kind):
    """The limit of a file's size stands for a full disk: the write fails in its midst."""
    make, data = saved[kind]
    dataset = make(filepath=str(tmp_path / "file"))
    dataset.save(data)
    before = (tmp_path / "file").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))
        with pytest.raises(DatasetError):
            dataset.save(data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / "file").read_bytes() == before
    assert names(tmp_path) == ["file"]


def test_a_lock_file_names_its_holder_as_json(tmp_path):
    lock = CellLock(tmp_path / "cell.lock", "The cell")
    lock.acquire(wait=False)
    assert json.loads((tmp_path / "cell.json").read_text())["pid"] == os.getpid()
    lock.release()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """None can be mounted here, hence its answer is made up."""

    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    with replacing(tmp_path / "a.txt") as written:
        written.write_text("new")
        with replacing(tmp_path / "b.txt") as other:
            other.write_text("beside it")
        assert written.exists(), "the second writer has left the first one's folder alone"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt"]
    killed = tmp_path / ".a.txt.abcd_123"
    killed.mkdir()
    remove_dead(tmp_path)
    assert killed.exists()
    os.utime(killed, (0, 0))
    remove_dead(tmp_path)
    assert not killed.exists()
