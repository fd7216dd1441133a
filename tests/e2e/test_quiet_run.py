"""What a run prints by default is what it was started for; Kedro's own lines come by a switch."""

import json
import re
import signal
from pathlib import Path

import pytest
from console_blocks import documented
from small_project import Project, last_run, make_project

from reid_pipeline.pipeline_registry import register_pipelines

METHOD = "unsupervised_pcl"
LOGGED = re.compile(r"^(\[\d\d:\d\d:\d\d\]| {10}) INFO     (?P<text>.*?) *$")
EPOCH = rf"{METHOD} epoch [1-3]/3, loss .*, \d+\.\d s"
BAR = re.compile(r"^  (draw people|decode images|extract|cluster_contrast epoch [1-3]/3) \S* +\d")
KEDROS = re.compile(
    r"Loading data|Saving data|Running node|Completed|Kedro project|as logging configuration|synchronous mode"
    r"|execution completed|No nodes ran|You can resume|from-nodes|[Dd]eprecat"
)
MODEL = f"data/06_models/synthetic/{METHOD}/seed_0/embedder.safetensors"
LAST = [f"report  data/08_reporting/synthetic/{METHOD}/report_seed_0.html", f"model   {MODEL}"]


def classified(printed: str) -> dict[str, list[str]]:
    """Return the lines of a run by kind; `other` are of none."""
    found: dict[str, list[str]] = {kind: [] for kind in ("node", "epoch", "table", "last", "other")}
    place = "log"
    for line in printed.splitlines():
        logged = LOGGED.match(line)
        place = "table" if line.startswith("synthetic, seed 0:") else "last" if line in LAST else place
        if place != "log":
            found[place] += [line] if line.strip() else []
        elif logged and (done := re.fullmatch(r"(\S+) done in \d+\.\d s", logged["text"])):
            found["node"].append(done[1])
        elif logged and re.fullmatch(EPOCH, logged["text"]):
            found["epoch"].append(logged["text"])
        elif line.strip() and not BAR.match(line):
            found["other"].append(line)
    return found


def test_a_run_prints_nodes_epochs_the_table_and_three_lines(finished: tuple[Project, str]) -> None:
    lines = classified(finished[1])
    assert lines["other"] == []
    assert sorted(lines["node"]) == sorted(node.name for node in register_pipelines()[METHOD].nodes)
    assert len(lines["epoch"]) == 3
    assert lines["table"][0].endswith("measured in this run")
    assert re.match(rf"{METHOD} +\d", lines["table"][4])
    assert lines["last"] == [*LAST, "next    kedro run --pipeline=report"]
    assert not KEDROS.search(finished[1])


@pytest.fixture
def project(finished: tuple[Project, str], tmp_path: Path) -> Project:
    """A project with drawn images."""
    made = make_project(tmp_path / "project")
    (made.root / "data").mkdir()
    (made.root / "data/01_raw").symlink_to(finished[0].root / "data/01_raw")
    return made


def test_part_of_a_run_says_what_is_true_of_it(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    status, printed = project.kedro(*documented("docs/datasets.md", "kedro run --pipeline=ingestion")[1:])
    assert status == 0, printed
    page = "report  data/08_reporting/synthetic/dataset/dataset.html"
    assert printed.splitlines()[-2:] == [page, "next    kedro run --pipeline=zero_shot"]
    status, printed = project.kedro("run", "--pipeline=zero_shot", "--nodes=zero_shot.build")
    assert status == 0, printed
    model = MODEL.replace(METHOD, "zero_shot")
    assert printed.splitlines()[-2:] == [f"model   {model}", "next    the same command without --nodes"]
    assert not KEDROS.search(printed)

    monkeypatch.setenv("KEDRO_LOGGING_CONFIG", "conf/logging_all.yml")
    status, printed = project.kedro("run", "--pipeline=zero_shot", "--nodes=zero_shot.build")
    assert status == 0, printed
    for text in ("Using 'conf/logging_all.yml' as", "Loading data from", "Saving data to", "Running node: build"):
        assert text in printed
    assert re.search(r"Completed 1 out of 1 tasks[\s\S]*Pipeline execution completed", printed)
    assert re.search(rf"DEBUG +wrote zero_shot_embedder: \S*{model}", printed)
    assert printed.splitlines()[-2:] == [f"model   {model}", "next    the same command without --nodes"]


def test_lists_are_printed_alone(project: Project) -> None:
    status, printed = project.kedro("registry", "list")
    assert status == 0
    assert [line for line in printed.splitlines() if line] == [f"- {name}" for name in sorted(register_pipelines())]
    for words, first in (
        (("registry", "describe", "zero_shot"), "Nodes:"),
        (("catalog", "list-patterns"), "- '{method}."),
    ):
        status, printed = project.kedro(*words)
        assert status == 0, printed
        assert printed.startswith(first)
        assert not LOGGED.search(printed)


def test_a_user_error_in_a_node_is_one_message(project: Project) -> None:
    """The image is found broken by a node, after others have run."""
    folder = project.root / "broken"
    folder.mkdir()
    for subset in (project.root / "data/01_raw/synthetic").iterdir():
        if subset.is_dir():
            (folder / subset.name).mkdir()
            for image in subset.iterdir():
                (folder / subset.name / image.name).write_bytes(image.read_bytes())
    image = sorted((folder / "bounding_box_train").iterdir())[5]
    image.write_bytes(image.read_bytes()[:200])
    backbone = {"name": "demo-vit", "pretrained": "demo", "image_size": [96, 48]}
    project.configure("market1501", backbone=backbone, ingestion={"strict_counts": False})
    status, printed = project.kedro("run", "--pipeline=zero_shot", "--env=market1501", "--params=raw_root=broken")
    assert status == 1
    assert not KEDROS.search(printed)
    assert "Traceback" not in printed
    assert "ERROR" not in printed
    (message,) = [line for line in printed.splitlines() if "cannot be decoded" in line]
    assert message.startswith("Error: 1 of ")
    assert printed.rstrip().splitlines()[-1] == message


def test_a_run_that_was_cut_says_how_to_go_on_and_a_fault_keeps_its_traceback(project: Project) -> None:
    process = project.start("run", f"--pipeline={METHOD}")
    history = project.result(METHOD, "history.json")
    assert process.stdout is not None
    before = ""
    for line in process.stdout:
        before += line
        if history.is_file() and json.loads(history.read_text()):
            process.send_signal(signal.SIGINT)
            break
    printed = before + process.communicate(timeout=120)[0]
    assert process.returncode == 130, printed
    stored = r"(Epoch [12] of 3|All 3 epochs)"
    last = rf"Interrupted\. {stored} of {METHOD}\.train_\w+ (is|are) stored: the same command goes on after (it|them)\."
    assert re.fullmatch(last, printed.rstrip().splitlines()[-1])
    assert not list(project.root.glob("data/.locks/**/*.json")), "it has given its lock back"
    assert "Traceback" not in printed
    assert not KEDROS.search(printed)
    assert "still going, or it was killed" in last_run(project)["pipeline"]["error"]["message"]

    # A fault of the program after the training keeps its traceback: JSON cannot hold the table of pseudo labels.
    catalog = project.root / "conf/base/catalog.yml"
    dataset = '"{method}.pseudo_labels":\n  type: '
    before, found, after = catalog.read_text().partition(dataset)
    assert found
    catalog.write_text(f"{before}{dataset}json.JSONDataset\n{after.partition(chr(10))[2]}")
    status, printed = project.kedro("run", f"--pipeline={METHOD}")
    assert status == 1
    assert "Going on after epoch" in printed
    assert "Traceback" in printed
    assert (
        f"All 3 epochs of {METHOD}.train_cluster_contrast are stored: the same command goes on after them." in printed
    )
    assert not re.search(r"You can resume|INFO +Completed", printed)
    shown = last_run(project)
    failed = {name: found for name, found in shown["nodes"].items() if found["status"] == "failed"}
    assert [*failed] == [f"{METHOD}.store_labels"]
    assert "Traceback" in failed[f"{METHOD}.store_labels"]["error"]["traceback"]
    assert shown["pipeline"]["status"] == "failed"
    assert shown["nodes"]["make_split_table"]["status"] == "success"
