"""bench/promise.py: the promise is held on simulated individuals, and broken by the threshold one rank lower."""

import sys
from pathlib import Path

import numpy as np
import pytest
from bench_programs import bench_program
from PIL import Image


def simulated(identities: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return vectors, individuals and cameras: unlike numbers of images, own scatter, groups that look alike."""
    rng = np.random.default_rng(seed)
    pids = np.repeat(np.arange(identities), rng.integers(1, 9, identities))
    groups = rng.normal(size=(identities // 10 + 1, 24))[np.arange(identities) // 10]
    centres = groups + rng.normal(size=(identities, 24))
    scatter = rng.exponential(0.6, identities)[pids][:, None]
    vectors = centres[pids] + scatter * rng.normal(size=(len(pids), 24))
    cameras = rng.integers(0, 3, len(pids))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), pids, cameras


def test_the_promise_on_simulated_individuals() -> None:
    program = bench_program("promise")
    vectors, pids, cameras = simulated(420, 5)
    images = program.Images("simulated", vectors, pids, cameras)
    rows = {(row.rate, row.enrolled): row for row in program.rows_of(images, program.RATES, splits=60)}
    assert list(rows) == [(0.1, 210), (0.1, 29), (0.01, 210), (0.01, 299)]
    for row in rows.values():
        assert row.is_held
        assert row.alarms.mean() > row.rate / 3  # and not by answering "new" to all
        assert row.alarms_lower.mean() >= row.alarms.mean()
    assert rows[0.1, 29].lower_breaks
    assert rows[0.01, 299].lower_breaks


def test_the_filter_must_be_that_of_the_use() -> None:
    """Pairs of one camera left out of the threshold and met in use break the promise, where cameras leave a mark."""
    program = bench_program("promise")
    vectors, pids, cameras = simulated(300, 6)
    marked = vectors + 0.7 * np.eye(24)[cameras]
    marked = (marked / np.linalg.norm(marked, axis=1, keepdims=True)).astype(np.float32)
    members = program._members(300, 150, 40)
    filtered, met = (program.split_scores(marked, pids, which, enrolled=members) for which in (cameras, None))
    mixed = np.where(members, filtered, met)
    images = program.Images("mixed", marked, pids)
    assert program._row(images, 0.1, filtered, members).is_held
    assert not program._row(images, 0.1, mixed, members).is_held


def colours(folder: Path, paths: list[str], size: tuple[int, int]) -> np.ndarray:
    """Embed by colours alone, which takes no network."""
    del size
    rows = [np.asarray(Image.open(folder / path).convert("RGB").resize((2, 4)), np.float32) for path in paths]
    vectors = np.stack(rows).reshape(len(rows), -1) + 1
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_program_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in range(10):
        (tmp_path / f"leopard {name}").mkdir()
        Image.fromarray(rng.integers(0, 255, (9, 9, 3), dtype=np.uint8)).save(tmp_path / f"leopard {name}" / "0.png")
    arguments = ["promise.py", "--quick", "--splits", "3", "--collection", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    program = bench_program("promise")
    monkeypatch.setattr(program, "embedded", colours)
    program.main()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    kinds = ["people", "vehicles", "collection"]
    assert [(line[0], line[3]) for line in lines[1:]] == [(kind, count) for kind in kinds for count in ("5", "5")]
