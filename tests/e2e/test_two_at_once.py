"""Two processes at once: one writes a cell, the other is told; and a run says only what it did."""

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.project import configure_project
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from small_project import Project, make_project
from warm_python import Program

from reid_pipeline.io.cell_lock import CellLock
from reid_pipeline.user_errors import user_error_text

METHOD = "unsupervised_pcl"
RUN = ("run", f"--pipeline={METHOD}")
RESULTS = ("06_models", "07_model_output", "08_reporting", "09_records")


def results(project: Project) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for layer in RESULTS
        for path in sorted((project.root / "data" / layer).rglob("*"))
        if path.is_file()
    }


def wait_for(found: Path, process: Program) -> None:
    deadline = time.monotonic() + 120
    while not found.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f"no {found}"
        time.sleep(0.01)


@pytest.fixture
def project(finished: tuple[Project, str], tmp_path: Path) -> Project:
    """A project with tables and zero_shot's results, in which nothing has been trained."""
    made = make_project(tmp_path / "project")
    shutil.copytree(finished[0].root / "data", made.root / "data")
    for layer in RESULTS:
        shutil.rmtree(made.root / "data" / layer / "synthetic" / METHOD)
    return made


def test_one_cell_has_one_writer_and_another_seed_is_another_cell(
    finished: tuple[Project, str], project: Project
) -> None:
    """The first is stopped in the middle of its training, for as long as the others take."""
    first = project.start(*RUN)
    wait_for(project.root / f"data/06_models/synthetic/{METHOD}/seed_0/scratch", first)
    first.send_signal(signal.SIGSTOP)
    before = results(project)

    status, printed = project.kedro(*RUN, "--params=report.queries=2")  # no other cell
    said = " ".join(printed.split())
    assert status == 1, printed
    assert "Traceback" not in printed
    assert f"Error: {METHOD}, seed 0 of synthetic: process {first.pid} on " in said
    assert re.search(rf"kedro run --pipeline={METHOD}\) is writing there.*give the command again", said)
    assert results(project) == before

    status, printed = project.kedro(*RUN, "--params=seed=1", f"--to-nodes={METHOD}.train_cluster_contrast")
    assert status == 0, printed
    other, own = (
        json.loads(place.result(METHOD, "history.json", seed=seed).read_text())[0]
        for place, seed in ((project, 1), (finished[0], 0))
    )
    assert other["loss"] != own["loss"], "another seed is another run"
    assert not project.result(METHOD, "metrics.json").exists()

    first.send_signal(signal.SIGCONT)
    printed, _ = first.communicate(timeout=300)
    assert first.returncode == 0, printed
    ours, alone = (place.result(METHOD, "metrics.json") for place in (project, finished[0]))
    assert ours.read_bytes() == alone.read_bytes()
    mean_ap = json.loads(alone.read_text())["mAP"]
    assert re.search(rf"{METHOD} +{100 * mean_ap:.1f} ", printed[printed.rindex("measured in this run") :])
    assert not list(project.root.glob(f"data/06_models/synthetic/{METHOD}/seed_0/**/*_state.pt"))


def test_both_that_need_the_tables_get_them_in_turn(project: Project) -> None:
    """This process has them first, so that both must wait for it."""
    lock = CellLock(project.root / "data/.locks/synthetic/tables.lock", "The tables")
    lock.acquire(wait=False)
    both = [project.start("run", "--pipeline=ingestion") for _ in range(2)]
    streams = [process.stdout for process in both]
    heard = ["".join(lines_until("Waiting for", stream)) for stream in streams]
    lock.release()
    for process, before in zip(both, heard, strict=True):
        printed = before + process.communicate(timeout=300)[0]
        assert process.returncode == 0, printed
        said = " ".join(printed.split())
        assert f"Waiting for The tables of synthetic: process {os.getpid()} on " in said
        assert "\nreport  data/08_reporting/synthetic/dataset/dataset.html\n" in printed


def lines_until(word: str, stream: Any) -> Iterator[str]:
    for line in stream:
        yield line
        if word in line:
            return


def only_missing(project: Project, **parameters: Any) -> None:
    with KedroSession.create(project.root, runtime_params=parameters) as session:
        session.run(pipeline_names=[METHOD], only_missing_outputs=True)


@pytest.fixture
def done(finished: tuple[Project, str]) -> Iterator[Project]:
    """The finished project, as this process's."""
    bootstrap_project(finished[0].root)
    yield finished[0]
    configure_project("reid_pipeline")


def test_a_run_with_nothing_to_do_shows_no_figures_and_wrote_nothing(
    done: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    before = results(done)
    only_missing(done)
    said = " ".join(capsys.readouterr().out.split())
    started = json.loads(done.result(METHOD, "run_card.json").read_text())["started"]
    assert re.search(rf"Nothing ran and nothing .*{METHOD} by the run that started {started}; zero_shot", said)
    assert "measured in this run" not in said
    assert "report " not in said
    assert results(done) == before


def test_what_other_parameters_made_is_not_kept(finished: tuple[Project, str], tmp_path: Path) -> None:
    """An edit of conf/ stays in the cell, so that files of the old parameters lie there."""
    done = make_project(tmp_path / "project")
    shutil.copytree(finished[0].root / "data", done.root / "data")
    done.configure("synthetic", **{METHOD: {"clustering": {"eps": 0.5}}, "evaluation": {"query_expansion": 2}})
    bootstrap_project(done.root)
    before = results(done)
    try:
        with pytest.raises(Exception, match="was made with") as caught:
            only_missing(done)
    finally:
        configure_project("reid_pipeline")
    said = user_error_text(caught.value)
    assert said is not None
    assert f"{METHOD}.clustering.eps 0.6, and this run asks for 0.5: leave out --only-missing-outputs" in said
    assert "zero_shot was made with evaluation.query_expansion" in said
    assert results(done) == before
