"""Two agents of torchrun meet at a loopback address; one worker is stopped, one is killed, and then their head.

bench/faults.py kills at ten random moments, and compares bits.
"""

import itertools
import json
import logging
import multiprocessing
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench_programs import bench_program

from reid_pipeline.engine.training import TrainingRun, train_stage
from reid_pipeline.schema.parameters import ComputeParameters
from reid_pipeline.workers.beats import Identity, Watch
from reid_pipeline.workers.launch import trained_by_processes

faults = bench_program("faults")
PATIENCE = 120.0


def follow(run: TrainingRun, compute: ComputeParameters, root: Path) -> None:
    """What the head does: log, and store each epoch."""
    logging.basicConfig(filename=root / "head.log", level=logging.WARNING, force=True)
    for state, history in trained_by_processes(run, "fine_tuning", compute, root / "workers", None):
        lines = [json.dumps([record.epoch, record.loss]) for record in history]
        (root / "unfinished").write_text("\n".join(lines))
        (root / "unfinished").replace(root / "epochs")
        assert state["epoch"] == history[-1].epoch


def until(found: Callable[[], Any], what: str, root: Path) -> Any:
    for _ in range(int(PATIENCE * 10)):
        if answer := found():
            return answer
        time.sleep(0.1)
    log = root / "workers" / "launcher.log"
    raise AssertionError(f"{what}\n{log.read_text()[-5000:] if log.is_file() else ''}")


@pytest.mark.slow
def test_a_stopped_worker_is_named_a_killed_one_replaced_and_none_survives_the_head(tmp_path: Path) -> None:
    run = faults.training_run(tmp_path / "images", epochs=500)
    folder = tmp_path / "workers"
    compute = ComputeParameters(
        processes=2, threads=1, device="cpu", stall_seconds=2, launcher=faults.two_nodes(tmp_path)
    )

    def epochs() -> list[list[float]]:
        file = tmp_path / "epochs"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []

    def logged(text: str) -> bool:
        return text in (tmp_path / "head.log").read_text()

    def workers() -> list[Identity]:
        return Watch(folder, 2, 60).workers()

    head = multiprocessing.get_context("fork").Process(target=follow, args=(run, compute, tmp_path))
    head.start()
    try:
        until(epochs, "no epoch", tmp_path)
        first = workers()
        os.kill(first[1].pid, signal.SIGSTOP)
        until(lambda: logged("Process 1 of 2 (process "), "nobody is named", tmp_path)
        head_log = (tmp_path / "head.log").read_text()
        assert re.search(r"stands still for 2 s in \S+", head_log), head_log
        assert not logged("Process 0 of 2 (process ")
        os.kill(first[1].pid, signal.SIGCONT)
        until(lambda: logged("Process 1 of 2 goes on."), "it does not go on", tmp_path)
        first[0].kill()
        before = len(epochs())
        until(lambda: len(epochs()) > before + 1, "no epoch after the kill", tmp_path)
        assert {each.pid for each in workers()}.isdisjoint({each.pid for each in first})
    finally:
        head.kill()
        head.join()
    until(lambda: not faults.left(folder), "processes are left", tmp_path)
    found = epochs()
    assert [epoch for epoch, _ in found] == list(range(1, len(found) + 1))
    alone = itertools.islice(train_stage(run, "fine_tuning", None), min(4, len(found)))
    wanted = [history[-1].loss for _, history in alone]
    assert [loss for _, loss in found[: len(wanted)]] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.slow
def test_a_launcher_without_workers_does_not_survive_a_killed_head(tmp_path: Path) -> None:
    run = faults.training_run(tmp_path / "images", epochs=1)
    script = tmp_path / "waits.sh"
    script.write_text("sleep 600 &\necho $! $$\nwait\n")  # as an agent of torchrun waits for another machine's
    compute = ComputeParameters(processes=2, threads=1, device="cpu", launcher=f"sh {script}")
    log = tmp_path / "workers" / "launcher.log"
    head = multiprocessing.get_context("fork").Process(target=follow, args=(run, compute, tmp_path))
    head.start()
    try:
        until(lambda: log.is_file() and log.read_text().endswith("\n"), "no launcher", tmp_path)
        started = [int(word) for word in log.read_text().split()]
        assert all(Path(f"/proc/{pid}").exists() for pid in started)
    finally:
        head.kill()
        head.join()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started), "the launcher is left", tmp_path)
