"""What kedro viz's server answers of runs that end in different ways; whole runs are in e2e/test_main_job.py."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kedro.framework.hooks.manager import _create_hook_manager, _register_hooks
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node, pipeline
from kedro.runner import SequentialRunner
from kedro_viz.api.rest.responses.run_events import get_run_status_response
from kedro_viz.integrations.kedro.hooks_utils import hash_node

from reid_pipeline.hooks.last_run import EVENTS, LastRun


def train(start: int) -> Iterator[int]:
    for epoch in range(start, start + 3):
        time.sleep(0.02)
        if epoch == 6:
            raise ValueError("NaN in epoch 6")
        yield epoch


PIPELINE = pipeline(
    [
        node(lambda start: start + 1, "start", "first", name="prepare"),
        node(train, "first", "model", name="train"),
        node(lambda model: model, "model", "page", name="report"),
    ]
)


def shown_after(run: Pipeline, start: int, hook: LastRun) -> dict[str, Any]:
    """Run as Kedro's session does, and return what the server answers, nodes by name."""
    manager = _create_hook_manager()
    _register_hooks(manager, [hook])
    catalog = DataCatalog({"start": MemoryDataset(start)})
    hook.before_pipeline_run(catalog)
    try:
        SequentialRunner().run(run, catalog, manager)
    except ValueError as error:
        hook.on_pipeline_error(error)
    else:
        hook.after_pipeline_run()
    answer = get_run_status_response().model_dump(mode="json")
    names = {hash_node(each): each.name for each in run.nodes}
    return {**answer, "nodes": {names[number]: found for number, found in answer["nodes"].items()}}


@pytest.fixture
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LastRun:
    (tmp_path / "pyproject.toml").write_text("[tool.kedro]\n")
    monkeypatch.chdir(tmp_path)
    made = LastRun()
    made.after_context_created(SimpleNamespace(project_path=tmp_path))
    return made


def test_the_time_of_a_node_that_trains_is_that_of_its_epochs(hook: LastRun) -> None:
    shown = shown_after(PIPELINE, 0, hook)
    assert {name: found["status"] for name, found in shown["nodes"].items()} == dict.fromkeys(
        ("prepare", "train", "report"), "success"
    )
    assert shown["nodes"]["train"]["duration"] >= 0.06
    assert shown["nodes"]["prepare"]["duration"] < 0.06
    assert shown["pipeline"]["status"] == "success"


def test_a_node_that_fails_in_its_second_epoch_is_shown_and_the_next_run_begins_anew(hook: LastRun) -> None:
    shown = shown_after(PIPELINE, 4, hook)
    assert {name: found["status"] for name, found in shown["nodes"].items()} == {
        "prepare": "success",
        "train": "failed",
    }
    assert shown["nodes"]["train"]["error"]["message"] == "NaN in epoch 6"
    assert "raise ValueError" in shown["nodes"]["train"]["error"]["traceback"]
    assert (shown["pipeline"]["status"], shown["pipeline"]["error"]["message"]) == ("failed", "NaN in epoch 6")
    assert shown_after(PIPELINE, 0, hook)["pipeline"]["error"] is None


def test_a_run_that_has_not_ended_is_not_shown_as_a_success(hook: LastRun) -> None:
    hook.before_pipeline_run(DataCatalog())
    shown = get_run_status_response().pipeline
    assert shown.status.value == "failed"
    assert "still going, or it was killed" in shown.error.message


def test_without_a_project_or_a_place_to_write_a_run_goes_on(hook: LastRun, tmp_path: Path) -> None:
    (tmp_path / EVENTS).mkdir(parents=True)
    hook.before_pipeline_run(DataCatalog())
    (tmp_path / EVENTS).rmdir()
    (tmp_path / "pyproject.toml").unlink()
    hook.before_pipeline_run(DataCatalog())
    assert not (tmp_path / EVENTS).exists()
