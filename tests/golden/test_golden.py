"""The runs of all methods give the numbers that are stored in traces/; golden_comparison says how exactly."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from golden_comparison import REMEDY, complaint, differences, exactly
from golden_problem import METHODS, ROOT, RUNS
from golden_runs import TRACES, as_text, golden_project, record, this_machine, trace_of


def stored(run: str) -> dict[str, Any]:
    return json.loads((TRACES / f"{run}.json").read_text())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory):
    with golden_project(tmp_path_factory.mktemp("golden") / "project") as root:
        yield root


@pytest.mark.parametrize("run", RUNS)
def test_the_numbers_are_those_recorded(run: str, project: Path) -> None:
    before = stored(run)
    found = json.loads(as_text(trace_of(project, RUNS[run])))
    exact = exactly(before["recorded"], this_machine())
    lines = differences(before["trace"], found, exact=exact)
    if lines:
        pytest.fail(complaint((TRACES / f"{run}.json").relative_to(ROOT), run, lines, exact=exact))


def test_every_run_has_one_file_that_says_why_and_where_it_was_recorded() -> None:
    assert {run.method for run in RUNS.values()} == set(METHODS)
    assert {path.stem for path in TRACES.iterdir()} == set(RUNS)
    for run in RUNS:
        head = stored(run)["recorded"]
        assert set(head) == {"reason", "date", "torch", "numpy", "processor", "cpu_capability"}
        assert all(head.values())
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", head["date"])


def test_the_traces_hold_what_they_are_for() -> None:
    for name, run in RUNS.items():
        trace = stored(name)["trace"]
        stages = {record["stage"] for record in trace["history"]}
        assert set(trace["tensors"]) == {f"{stage}_checkpoint" for stage in stages} | {"embedder", "embeddings"}
        assert trace["metrics"]["num_valid_queries"] == 15
        assert len(trace["pseudo_labels"]) == (2 if run.method == "unsupervised_pcl" else 0)
        assert all(len(labels) == 72 and max(labels) > 3 for labels in trace["pseudo_labels"])
        assert len(trace["history"]) == {"zero_shot": 0, "clip_reid": 4, "svll_reid": 4}.get(run.method, 2)


def changed(name: str, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a stored trace, and a copy in which one thing differs."""
    before = stored("unsupervised_pcl")["trace"]
    after = copy.deepcopy(before)
    if name == "label":
        after["pseudo_labels"][1][7] += value
    elif name == "loss":
        after["history"][0]["losses"]["pcl"] += value
    elif name in ("ari", "nmi", "bcubed_recall"):
        after["history"][0]["ground_truth"][name] += value
    elif name == "digest":
        after["tensors"]["embedder"]["digest"] = value
    else:
        after["inputs"][name] = value
    return before, after


@pytest.mark.parametrize(
    ("name", "value", "field", "reported"),
    [
        ("label", 1, "pseudo_labels[1][7]", (True, True)),
        ("loss", 1e-3, "history[0].losses.pcl", (True, True)),
        ("loss", 1e-6, "history[0].losses.pcl", (True, False)),
        ("ari", 1e-11, "history[0].ground_truth.ari", (True, False)),
        ("ari", 1e-13, "history[0].ground_truth.ari", (False, False)),
        ("nmi", 1e-11, "history[0].ground_truth.nmi", (True, False)),
        ("nmi", 1e-13, "history[0].ground_truth.nmi", (False, False)),
        ("bcubed_recall", 1e-13, "history[0].ground_truth.bcubed_recall", (True, False)),
        ("digest", "0" * 64, "tensors.embedder.digest", (True, False)),
        ("weights", "0" * 64, "inputs.weights", (True, True)),
    ],
)
def test_a_change_is_reported(name: str, value: Any, field: str, reported: tuple[bool, bool]) -> None:
    before, after = changed(name, value)
    for exact, wanted in zip((True, False), reported, strict=True):
        lines = differences(before, after, exact=exact)
        assert len(lines) == wanted
        if wanted:
            told = complaint(Path("traces/one.json"), "one", lines, exact=exact)
            assert told.startswith("traces/one.json: run one is not as recorded")
            assert re.search(rf"\n  {re.escape(field)}: recorded \S+, found \S+\n", told)
            assert told.endswith(REMEDY)


@pytest.mark.parametrize(
    ("recorded", "found", "told"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, "trace: recorded fields a, b, found fields a"),
        ({"a": [1]}, {"a": [1, 2]}, "a: recorded a list of 1, found a list of 2"),
        ({"a": None}, {"a": 0.0}, "a: recorded None, found 0.0"),
        ({"a": 1}, {"a": 1.0}, "a: recorded 1, found 1.0"),
    ],
)
def test_what_is_missing_or_of_another_length_or_kind_is_reported(recorded: Any, found: Any, told: str) -> None:
    for exact in (True, False):
        assert differences(recorded, found, exact=exact) == [told]


@pytest.mark.parametrize("part", ["torch", "processor", "cpu_capability"])
def test_bits_are_compared_on_the_same_torch_and_processor_alone(part: str) -> None:
    head = stored("pcl")["recorded"]
    assert exactly(head, {name: head[name] for name in ("torch", "processor", "cpu_capability")})
    assert not exactly(head, {**head, part: "another"})


def test_nothing_is_recorded_without_a_reason() -> None:
    with pytest.raises(SystemExit, match=r'make golden REASON="\.\.\."'):
        record(" ")
