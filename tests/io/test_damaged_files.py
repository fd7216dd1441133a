"""A file of an earlier run that is missing or damaged is named, with what is wrong; nothing hangs, nothing is run."""

import json
import logging
import os
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from kedro.io import DatasetError, Version
from made_records import make_epoch, make_metrics
from safetensors.torch import save_file
from unprivileged import run_unprivileged

from reid_pipeline.config.overlays import read_overlay
from reid_pipeline.engine.checkpoint import Checkpoint, digest_of_state
from reid_pipeline.io.all_cells import TestSplitsDataset as SplitsDataset
from reid_pipeline.io.atomic import (
    AtomicJSONDataset,
    AtomicParquetDataset,
    AtomicPlotlyDataset,
    AtomicYAMLDataset,
    EarlierTableDataset,
)
from reid_pipeline.io.base import UnreadableFile
from reid_pipeline.io.page import TextDataset
from reid_pipeline.io.raw import PROVENANCE, SyntheticBenchmarkDataset
from reid_pipeline.io.records import RecordDataset
from reid_pipeline.io.study import StudyFileDataset
from reid_pipeline.io.tuned import read_tuned
from reid_pipeline.io.weights import (
    CheckpointDataset,
    EmbedderDataset,
    EmbeddingsDataset,
    TensorsDataset,
    TrainingStateDataset,
)
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.population import Population
from reid_pipeline.schema.records import StageDescription
from reid_pipeline.schema.tables import IMAGE_STAMPS
from reid_pipeline.user_errors import user_error_text

Make = Callable[[Path], Any]
DEEP = b"[" * 20_000 + b"]" * 20_000
BOMB = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + level, 98 + level, b", ".join([b"*%c" % (97 + level)] * 9)) for level in range(9)
)


def record(name: str, **options: Any) -> Make:
    return lambda file: RecordDataset(filepath=str(file), record=name, **options)


def plain(kind: Any) -> Make:
    return lambda file: kind(filepath=str(file))


def checkpoint() -> Checkpoint:
    origin = Origin(made_by="toy.train_toy", code="1")
    description = StageDescription(origin=origin, stage="toy", population=Population(identities=2), label_map=())
    return Checkpoint({"a": torch.arange(2_000.0)}, description)


TABLE = pd.DataFrame({"a": np.arange(500.0)})
MADE: dict[str, tuple[Make, Any]] = {
    "json": (plain(AtomicJSONDataset), {"a": list(range(500))}),
    "yaml": (plain(AtomicYAMLDataset), {"a": {"b": 1}}),
    "parquet": (plain(AtomicParquetDataset), TABLE),
    "metrics": (record("Metrics"), make_metrics()),
    "history": (record("EpochRecord", many=True), [make_epoch(1), make_epoch(2)]),
    "notes": (record("ReaderNotes", plain=True), {"reader": "custom", "version": None, "notes": [], "warnings": []}),
    "text": (plain(TextDataset), "x" * 500),
    "checkpoint": (plain(CheckpointDataset), checkpoint()),
    "embeddings": (plain(EmbeddingsDataset), Embeddings(np.arange(500), np.ones((500, 1), np.float32))),
    "tensors": (plain(TensorsDataset), {"a": torch.arange(500.0)}),
    "embedder": (plain(EmbedderDataset), None),
    "plotly": (plain(AtomicPlotlyDataset), None),
}


def fault_of(dataset: Any) -> UnreadableFile:
    started = time.monotonic()
    with pytest.raises(DatasetError) as caught:
        dataset.load()
    assert time.monotonic() - started < 2
    found: BaseException | None = caught.value
    while found is not None and not isinstance(found, UnreadableFile):
        found = found.__cause__ or found.__context__
    assert found is not None, caught.value
    assert user_error_text(caught.value) == str(found)
    assert "weights_only" not in str(found)
    return found


def damaged(file: Path, damage: str) -> None:
    """Damage a file that is there."""
    content = file.read_bytes() if file.exists() else b""
    if damage in ("missing", "folder", "FIFO", "socket", "dangling"):
        file.unlink(missing_ok=True)
    if damage == "folder":
        file.mkdir()
    elif damage == "FIFO":
        os.mkfifo(file)
    elif damage == "socket":
        os.mknod(file, 0o140644)  # that of a process that has ended
    elif damage == "dangling":
        file.symlink_to("cached")
    elif damage != "missing":
        by_name = {
            "empty": b"",
            "half": content[: len(content) // 2],
            "one byte": content[:1],
            "zeros": bytes(5_000),
            "garbage": bytes(range(256)) * 20,
            "deep": DEEP,
        }
        file.write_bytes(by_name[damage])


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("missing", "There is no "),
        ("dangling", "is a link to cached, which does not exist."),
        ("folder", "cannot be read: it is a folder, not a regular file."),
        ("FIFO", "cannot be read: it is a FIFO (named pipe), not a regular file."),
        ("socket", "cannot be read: it is a socket, not a regular file."),
    ],
)
def test_what_is_no_file_is_named(tmp_path: Path, kind: str, damage: str, says: str) -> None:
    file = tmp_path / "file"
    damaged(file, damage)
    fault = fault_of(MADE[kind][0](file))
    assert fault.file == file
    assert says in fault.fault
    assert str(file) in fault.fault
    assert len(str(fault)) > len(fault.fault) + 20, "a remedy follows"


@pytest.mark.parametrize("kind", [name for name, (_, data) in MADE.items() if data is not None and name != "text"])
@pytest.mark.parametrize("damage", ["empty", "half", "one byte", "zeros", "garbage", "deep"])
def test_what_is_damaged_is_named(tmp_path: Path, kind: str, damage: str) -> None:
    make, data = MADE[kind]
    dataset = make(tmp_path / "file")
    dataset.save(data)
    damaged(tmp_path / "file", damage)
    if kind == "yaml" and damage in ("empty", "one byte", "half"):
        assert dataset.load() != data  # a part of YAML is YAML: `read_tuned` asks for the end of the last line
        return
    fault = fault_of(dataset)
    assert fault.file == tmp_path / "file"
    assert str(tmp_path / "file") in fault.fault
    assert len(str(fault)) < len(str(tmp_path)) * 2 + 500
    if kind in ("json", "metrics", "history", "notes", "yaml") and damage == "deep":
        assert "nested more than 100 levels deep" in fault.fault


def test_a_good_file_is_read_through_a_link(tmp_path: Path) -> None:
    """As DVC's cache has it."""
    for kind, (make, data) in MADE.items():
        if data is not None:
            make(tmp_path / "cache" / kind).save(data)
            (tmp_path / kind).symlink_to(tmp_path / "cache" / kind)
            make(tmp_path / kind).load()


def test_a_description_nested_deeply_is_refused(tmp_path: Path) -> None:
    for name in ("header", "checkpoint"):
        save_file({"a": torch.ones(2)}, tmp_path / "a", metadata={name: DEEP.decode()})
        assert "a is damaged" in fault_of(CheckpointDataset(filepath=str(tmp_path / "a"))).fault


def test_a_later_versions_checkpoint_says_so(tmp_path: Path) -> None:
    later = checkpoint()
    CheckpointDataset(filepath=str(tmp_path / "a")).save(
        Checkpoint(later.tensors, later.description.model_copy(update={"version": 9}))
    )
    assert "is of version 9 of its kind" in fault_of(CheckpointDataset(filepath=str(tmp_path / "a"))).fault


def test_a_version_is_not_made_again(tmp_path: Path) -> None:
    dataset = RecordDataset(filepath=str(tmp_path / "a.json"), record="Metrics", version=Version(None, "one"))
    dataset.save(make_metrics())
    (tmp_path / "a.json" / "one" / "a.json").write_text("{")
    assert "take another, --load-versions=<entry>:<version>, or remove" in str(fault_of(dataset))


STAMPS = pd.DataFrame({"path": ["a"], "bytes": [1], "modified_ns": [1], "changed_ns": [1]})


class TestEarlierTable:
    def test_one_that_is_whole_is_used(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        IMAGE_STAMPS.validate(STAMPS.astype({"path": "str"})).to_parquet(tmp_path / "a")
        loaded = EarlierTableDataset(filepath=str(tmp_path / "a"), schema="IMAGE_STAMPS").load()
        assert loaded is not None
        assert not caplog.text

    def test_a_missing_one_is_no_fault(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        assert EarlierTableDataset(filepath=str(tmp_path / "a"), schema="IMAGE_STAMPS").load() is None
        assert not caplog.text

    @pytest.mark.parametrize("damage", ["empty", "half", "zeros", "folder", "FIFO", "columns", "types"])
    def test_any_other_is_done_anew(self, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
        file = tmp_path / "a"
        changed = {"columns": STAMPS.drop(columns="bytes"), "types": STAMPS.astype({"bytes": "str"})}
        changed.get(damage, STAMPS).to_parquet(file)
        if damage not in changed:
            damaged(file, damage)
        with caplog.at_level(logging.WARNING):
            assert EarlierTableDataset(filepath=str(file), schema="IMAGE_STAMPS").load() is None
        assert str(file) in caplog.text
        assert "What it would have saved is done anew." in caplog.text
        assert ("Move it away" in caplog.text) is (damage == "folder")


class TestTrainingState:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "scratch" / "stage_state.pt"

    @pytest.mark.parametrize(
        "damage", ["empty", "half", "one byte", "zeros", "garbage", "folder", "FIFO", "socket", "dangling", "other"]
    )
    def test_what_is_of_no_use_is_set_aside(self, file: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
        dataset = TrainingStateDataset(filepath=str(file))
        dataset.save({"model": torch.arange(500.0)})
        if damage == "other":
            torch.save({"digest": digest_of_state(None)}, file)
        else:
            damaged(file, damage)
        with caplog.at_level(logging.WARNING):
            assert dataset.load() is None
        assert not os.path.lexists(file)
        assert [path.name for path in file.parent.iterdir()] == ["stage_state.damaged-1.pt"]
        assert str(file) in caplog.text
        assert "It is now stage_state.damaged-1.pt, which can be removed: training starts anew." in caplog.text
        assert "weights_only" not in caplog.text
        assert dataset.load() is None, "nothing is there any more"
        dataset.save({"model": torch.ones(2)})
        state = dataset.load()
        assert state is not None
        assert torch.equal(state["model"], torch.ones(2))

    def test_those_set_aside_before_stay(self, file: Path) -> None:
        dataset = TrainingStateDataset(filepath=str(file))
        for content in (b"first", b"second"):
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)
            assert dataset.load() is None
        found = {path.name: path.read_bytes() for path in file.parent.iterdir()}
        assert found == {"stage_state.damaged-1.pt": b"first", "stage_state.damaged-2.pt": b"second"}


ENTRY = b'{"op_code":0,"worker_id":"w","study_name":"s","directions":[2]}\n'


class TestStudy:
    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (ENTRY + b'{"op_code":0,"work', "line 2: it has no end"),
            (ENTRY + b"\x00\xff\n" + ENTRY, "line 2: byte 1 is no UTF-8"),
            (ENTRY + b"[]\n", "line 2: it is no entry of a study"),
            (ENTRY + b'{"op_code":0}\n', "line 2: it is no entry of a study"),
            (b"7\n", "line 1: it is no entry of a study"),
            (ENTRY + DEEP + b"\n", "line 2: it is nested more than 100 levels deep"),
            (b'{"op_code":0,"worker_id"' + ENTRY, "line 1: line 1, column 25"),
        ],
    )
    def test_a_damaged_line_is_named(self, tmp_path: Path, content: bytes, says: str) -> None:
        file = tmp_path / "study.journal"
        file.write_bytes(content)
        fault = str(fault_of(StudyFileDataset(filepath=str(file))))
        assert f"{file} is damaged in {says}" in fault
        assert "the study goes on from there; or begin another one: --params study=<name>" in fault
        assert file.read_bytes() == content

    @pytest.mark.parametrize("content", [None, b"", ENTRY, ENTRY * 3])
    def test_a_study_goes_on(self, tmp_path: Path, content: bytes | None) -> None:
        file = tmp_path / "new" / "study.journal"
        if content is not None:
            file.parent.mkdir()
            file.write_bytes(content)
        assert StudyFileDataset(filepath=str(file)).load() == str(file)

    def test_no_file_is_no_study(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "study.journal")
        says = "Begin another study, --params study=<name>, or move that one away"
        assert says in str(fault_of(StudyFileDataset(filepath=str(tmp_path / "study.journal"))))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"pcl:\n  plan:\n    learning_rate: 0.0", "its last line has no end"),
        (b"\xffpcl: {}\n", "cannot be read as YAML"),
        (b"pcl: [\n", "cannot be read as YAML: line 2"),
        (DEEP + b"\n", "nested more than 100 levels deep"),
        (BOMB, "its aliases stand for more than"),
        (b"pcl: {}\npcl: {}\n", "stands there a second time"),
        (b"- pcl\n", "does not hold parameters of 'pcl'"),
        (b"zero_shot: {}\n", "does not hold parameters of 'pcl'"),
    ],
)
def test_a_tuned_file_that_cannot_be_used(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "parameters.yml").write_bytes(content)
    started = time.monotonic()
    with pytest.raises(UserError) as caught:
        read_tuned(tmp_path / "parameters.yml", "pcl")
    assert time.monotonic() - started < 1
    assert says in str(caught.value)
    assert "kedro run --pipeline=tuning --params method=pcl" in str(caught.value)


@pytest.mark.parametrize("name", ["mine.yml", "card.json"])
@pytest.mark.parametrize("content", [DEEP, b'{"a": ' * 20_000 + b"1" + b"}" * 20_000])
def test_a_deep_overlay_is_refused_at_once(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    started = time.monotonic()
    with pytest.raises(UserError, match=r"nested more than 100 levels deep") as caught:
        read_overlay(tmp_path, str(tmp_path / name), "base")
    assert name in str(caught.value)
    assert time.monotonic() - started < 1


def test_an_overlay_whose_aliases_multiply_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_bytes(BOMB)
    with pytest.raises(UserError, match=r"mine\.yml.*aliases stand for more than"):
        read_overlay(tmp_path, str(tmp_path / "mine.yml"), "base")


@pytest.mark.parametrize("damage", ["empty", "half", "garbage", "deep", "folder", "FIFO", "list"])
def test_what_was_drawn_is_not_overwritten_on_a_guess(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "synthetic"
    folder.mkdir()
    (folder / PROVENANCE).write_text("[1]" if damage == "list" else json.dumps({"seed": 0, "cameras": 6}))
    (folder / "mine.jpg").write_bytes(b"mine")
    if damage != "list":
        damaged(folder / PROVENANCE, damage)
    dataset = SyntheticBenchmarkDataset(filepath=str(folder))
    for call in (dataset.check, dataset.load):
        with pytest.raises((UserError, DatasetError), match=r".") as caught:
            call()
        text = str(user_error_text(caught.value))
        assert text.startswith(f"{folder / PROVENANCE} ")
        assert text.endswith(f"not overwritten. Remove {folder}, and it is drawn anew.")
    assert (folder / "mine.jpg").read_bytes() == b"mine"


@pytest.mark.parametrize("damage", ["empty", "folder", "FIFO", "columns"])
def test_a_split_table_of_another_benchmark_names_its_ingestion(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "market1501" / "split_table.parquet"
    file.parent.mkdir()
    TABLE.to_parquet(file)
    if damage != "columns":
        damaged(file, damage)
    text = str(fault_of(SplitsDataset(filepath=str(tmp_path), raw="raw", intermediate="intermediate")))
    assert text.startswith(f"{file} ")
    assert "kedro run --pipeline=ingestion --env=market1501" in text


UNREADABLE = """
import sys
from pathlib import Path
from reid_pipeline.io.atomic import AtomicParquetDataset, EarlierTableDataset
from reid_pipeline.io.records import RecordDataset
from reid_pipeline.io.study import StudyFileDataset
from reid_pipeline.io.weights import EmbeddingsDataset, TrainingStateDataset
from reid_pipeline.user_errors import user_error_text
file = Path(sys.argv[1])
file.write_bytes(b"{}")
file.chmod(0)
made = [
    AtomicParquetDataset(filepath=str(file)), RecordDataset(filepath=str(file), record="Metrics"),
    EmbeddingsDataset(filepath=str(file)), StudyFileDataset(filepath=str(file)),
]
for dataset in made:
    try:
        dataset.load()
    except Exception as error:
        print('=', user_error_text(error))
print('=', EarlierTableDataset(filepath=str(file)).load())
print('=', TrainingStateDataset(filepath=str(file)).load(), file.exists())
"""


@pytest.mark.slow
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    done = run_unprivileged([sys.executable, "-c", textwrap.dedent(UNREADABLE), tmp_path / "file"])
    assert done.returncode == 0, done.stderr
    lines = [line[2:] for line in done.stdout.splitlines() if line.startswith("= ")]
    assert len(lines) == 6, done.stdout
    for line in lines[:4]:
        assert line.startswith(f"{tmp_path}/file cannot be read: Permission denied.")
    assert lines[4:] == ["None", "None False"]
    assert "It is now file.damaged-1, which can be removed: training starts anew" in " ".join(
        f"{done.stdout} {done.stderr}".split()
    )
