"""bench/experiment_queue.py: what it types, and what it reads of the answers; the queue itself takes minutes."""

import json
from pathlib import Path

import pytest
from bench_programs import bench_program
from project_copy import ROOT

STATUS = """\
Task     Name    Created    Status
cd9ad63  {0}     11:54 PM   Success
37d42b6  {1}     11:54 PM   {2}

Worker status: 2 active, 0 idle
"""


def test_experiments_are_queued_from_what_is_there_and_run_after_it_was_broken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = bench_program("experiment_queue")
    typed: list[str] = []
    states = iter(["Running", "Running", "Success", "Success"])
    source = tmp_path / "project/src/reid_pipeline/methods/unsupervised_pcl.py"

    def made(project: Path, images: Path) -> None:
        source.parent.mkdir(parents=True)
        source.write_text("whole")

    def answer(project: Path, *command: str) -> str:
        typed.append(" ".join(command))
        if command[:2] == ("dvc", "exp"):
            assert source.read_text() == "whole"
        if command[:3] == ("dvc", "queue", "status"):
            assert source.read_text() != "whole"
            jobs = next(line.split()[-1] for line in reversed(typed) if " start " in line)
            return STATUS.format(f"t{jobs}0", f"t{jobs}1", next(states))
        if command[1] == "for-each-ref":
            return f"refs/exps/ab/cdef/{command[-1].rpartition('/')[2]}\n"
        return json.dumps({"mAP": 0.25}) if command[1] == "show" else ""

    monkeypatch.setattr(program, "write_images", lambda _: None)
    monkeypatch.setattr(program, "make_project", made)
    monkeypatch.setattr(program, "run", answer)
    monkeypatch.setattr(program, "POLL", 0.0)
    one, two = program.measured(tmp_path, [1, 2], 2)
    assert (one.jobs, one.scores) == (1, {"t10": 0.25, "t11": 0.25})
    assert (two.jobs, two.scores) == (2, {"t20": 0.25, "t21": 0.25})
    queued = [line for line in typed if "--queue" in line]
    assert len(queued) == 4
    # What the page tells people to type, but for the name and the value.
    (page,) = [
        line.split()[1:]
        for line in (ROOT / "docs/machines.md").read_text().splitlines()
        if line.startswith("$ dvc exp run --queue") and "market1501" in line
    ]
    assert [word for word in page if "=" not in word and word != "t01"] == [
        word for word in queued[0].split() if "=" not in word and word != "t10"
    ]


def test_a_failed_experiment_is_named() -> None:
    program = bench_program("experiment_queue")
    with pytest.raises(RuntimeError, match="b failed: dvc queue logs b"):
        program.unfinished(STATUS.format("a", "b", "Failed"), {"a": 0.1, "b": 0.2})
    assert program.unfinished(STATUS.format("a", "b", "Running"), {"a": 0.1, "b": 0.2})
    assert program.unfinished("", {"a": 0.1})
    assert not program.unfinished(STATUS.format("a", "b", "Success"), {"a": 0.1, "b": 0.2})
