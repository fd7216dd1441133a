"""`reid-pipeline launch`: what its script submits, each run's exact command, and what nodes need."""

import json
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from project_copy import ROOT

from reid_pipeline.cli import slurm
from reid_pipeline.cli.program import program
from reid_pipeline.schema.resources import Resources, SlurmParameters, fits

# The cluster: what it is given is written down, and each task of an array is run by the test itself.
SBATCH = """\
#!/usr/bin/env bash
number=$(ls "$CLUSTER" | grep -c job)
printf '%s\\n' "$@" > "$CLUSTER/$number.options"
cat > "$CLUSTER/$number.job"
echo "10$number;a_cluster"
"""
SRUN = """\
#!/usr/bin/env bash
printf '%s\\0' "$@"
"""
ODD = 'it\'s $(touch pwned) `touch pwned`; "x" & y'


@dataclass(frozen=True)
class Submitted:
    """A job as the cluster was given it."""

    options: Mapping[str, str]
    runs: list[list[str]]


def launched(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(program, ["launch", *words], prog_name="reid-pipeline")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def submitted(script: str, folder: Path) -> dict[str, Submitted]:
    """Run a script on the cluster, and every task of what it submits; return the jobs by name."""
    for name, text in (("sbatch", SBATCH), ("srun", SRUN)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    cluster = folder / "cluster"
    cluster.mkdir()
    path = {"PATH": f"{folder}:/usr/bin:/bin", "CLUSTER": str(cluster)}
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    done = subprocess.run(["bash"], input=script, text=True, check=True, env=path, capture_output=True, cwd=folder)
    found = {}
    for number, line in enumerate(done.stdout.splitlines()[:-1]):
        options = [each.partition("=") for each in (cluster / f"{number}.options").read_text().splitlines()]
        given = {name: value for name, _, value in options}
        assert line.startswith(f"{given['--job-name']}: job 10{number}, ")
        tasks = range(int(given.get("--array", "0-0").partition("-")[2]) + 1)
        job = ["bash", str(cluster / f"{number}.job")]
        outputs = [run_task(job, path, task, folder) for task in tasks]
        found[given["--job-name"]] = Submitted(given, [output.rstrip("\0").split("\0") for output in outputs])
    return found


def run_task(job: list[str], path: dict[str, str], task: int, folder: Path) -> str:
    env = {**path, "SLURM_ARRAY_TASK_ID": str(task)}
    return subprocess.run(job, env=env, text=True, check=True, capture_output=True, cwd=folder).stdout


@pytest.mark.slow
def test_each_cell_is_a_run_with_what_its_nodes_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    cells = ("--benchmark=market1501", "--methods=baseline,unsupervised_pcl", "--seeds=0,2", "--overlays=rn50")
    status, script = launched(*cells, "--params", f"variant='{ODD}',compute.device=cpu", "--dry-run")
    assert status == 0, script
    jobs = submitted(script.replace(f"cd {ROOT}", f"cd {tmp_path}"), tmp_path)
    assert list(jobs) == ["ingestion", "zero_shot", "methods", "report", "leaderboard"]
    assert not list(tmp_path.rglob("pwned"))
    odd = f"variant={json.dumps(ODD)},compute.device=cpu"

    def cell(method: str, given: str) -> list[str]:
        named = [f"--pipelines={method}", f"--namespaces={method}"]
        return ["kedro", "run", "--env=market1501", *named, f"--params={given},{odd}"]

    assert jobs["methods"].runs == [
        cell("baseline", "seed=0"),
        cell("baseline", "seed=2"),
        cell("unsupervised_pcl", "seed=0"),
        cell("unsupervised_pcl", "seed=2"),
        cell("baseline", "seed=0,overlay=rn50"),
        cell("baseline", "seed=2,overlay=rn50"),
    ]
    plain, varied = ("seed=0", "seed=2"), ("seed=0,overlay=rn50", "seed=2,overlay=rn50")
    assert jobs["zero_shot"].runs == [cell("zero_shot", given) for given in (*plain, *varied)]
    for name in ("ingestion", "report", "leaderboard"):
        assert jobs[name].runs == [["kedro", "run", "--env=market1501", f"--pipelines={name}", f"--params={odd}"]]
    assert {name: job.options.get("--dependency") for name, job in jobs.items()} == {
        "ingestion": None,
        "zero_shot": "afterok:100",
        "methods": "afterok:101",
        "report": "afterok:101,afterany:102",
        "leaderboard": "afterok:103",
    }
    # Of conf/base/resources.yml: the most of train, extract, evaluate and group, and the hours of all nodes.
    wanted = {"--array": "0-5", "--cpus-per-task": "8", "--mem": "32768M", "--gres": "gpu:1", "--time": "28:45:00"}
    assert wanted.items() <= jobs["methods"].options.items()
    assert "--gres" not in jobs["ingestion"].options
    assert jobs["zero_shot"].options["--cpus-per-task"] == "4", "it trains nothing"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--benchmark market", "--benchmark=market: there is no such benchmark. Did you mean 'market1501'?"),
        ("--env market", "--benchmark=market: there is no such benchmark. Did you mean 'market1501'?"),
        ("--methods pcl,zeroshot", "--methods=zeroshot: there is no such method. Did you mean 'zero_shot'?"),
        ("--seeds 0,x", "--seeds=0,x: seeds are whole numbers with a comma between them, such as 0,1,2."),
        ("--overlays rn51", "--overlays=rn51: there is no such overlay. Did you mean 'rn50'?"),
        ("--methods pcl --overlays rn50", "--overlays=rn50: it is of baseline, clip_reid, none of which is in"),
        ("--params seed=1", "--params seed=...: each cell has its own. Give them by --seeds."),
        ("--params compute.devise=cpu", "unknown parameter 'devise'. Did you mean 'device'?"),
        ("--methods zero_shot", "There is no sbatch here: jobs are submitted where Slurm is, on a cluster's login"),
    ],
)
def test_what_cannot_be_launched(words: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PATH", "/nowhere")
    status, output = launched(*words.split())
    assert status == 1
    assert said in output
    assert "Traceback" not in output


@pytest.mark.slow
def test_keys_of_resources_mean_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In conf/ as it is shipped; a key that means none has its neighbour."""
    monkeypatch.chdir(ROOT)
    from kedro.framework.project import configure_project, pipelines

    configure_project("reid_pipeline")
    from reid_pipeline.cli.launch import read_resources
    from reid_pipeline.schema.errors import UserError

    found = read_resources(ROOT / "conf", "market1501")
    nodes = [node.name for node in pipelines["unsupervised_pcl"].nodes]
    meant = {key: [name for name in nodes if fits(key, name)] for key in found.nodes}
    assert {key: len(names) for key, names in meant.items()} == {
        "train": 1, "extract": 2, "evaluate": 2, "group": 2, "explain": 2, "check_image_files": 1,
    }  # fmt: skip
    for folder, text in (("base", "nodes: {train: {gpus: 1}}"), ("mine", "nodes: {extrakt: {gpus: 2}}")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "resources.yml").write_text(f"resources: {{{text}}}\n")
    with pytest.raises(UserError, match=r"nodes.extrakt: no node is called so, or begins so. Did you mean 'e"):
        read_resources(tmp_path, "mine")
    assert read_resources(tmp_path, "other").nodes["train"].gpus == 1
    (tmp_path / "mine/resources.yml").write_text("resources: {default: {memory: 0}}\n")
    with pytest.raises(UserError, match=r"Parameter resources.default.memory: Input should be greater than 0; g"):
        read_resources(tmp_path, "mine")
    (tmp_path / "mine/resources.yml").write_text("train: {gpus: 2}\n")
    with pytest.raises(UserError, match="must hold one block, resources:"):
        read_resources(tmp_path, "mine")


class TestResources:
    def test_a_job_has_the_most_of_each_and_the_hours_of_all(self) -> None:
        found = Resources.model_validate(
            {
                "default": {"cores": 2, "memory": 4, "hours": 0.5},
                "nodes": {"train": {"processes": 2, "cores": 3, "gpus": 2}, "train_prompts": {"memory": 9.5}},
            }
        )
        assert found.of_node("a.train_fine_tuning").all_cores == 6
        assert found.of_node("a.train_prompts").model_dump() == {
            "processes": 1, "cores": 2, "memory": 9.5, "gpus": 0, "hours": 0.5,
        }  # fmt: skip
        assert found.of_node("a.trainer") == found.default
        job = found.of_job(["a.train_fine_tuning", "a.train_prompts", "a.extract"])
        assert (job.processes, job.all_cores, job.mebibytes, job.gpus, job.minutes) == (2, 6, 9728, 2, 90)

    def test_runs_of_shared_work_are_given_the_processes(self) -> None:
        from reid_pipeline.cli.launch import _shared

        assert _shared({"a": 1}, 2) == {"a": 1, "compute.processes": 2}
        assert _shared({"a": 1}, 1) == {"a": 1}

    @pytest.mark.parametrize("wrong", [{"options": ["-p gpu"]}, {"setup": ["a\nb"]}, {"setup": [" "]}])
    def test_options_and_lines_of_the_shell_are_one_each(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"is no (option|line)"):
            SlurmParameters.model_validate(wrong)

    def test_what_a_cluster_wants_is_in_every_job(self, tmp_path: Path) -> None:
        wanted = SlurmParameters(options=("--partition=gpu", "--comment=a b"), setup=("export READY=1",))
        job = slurm.Job("alone", [["echo", "a b", "$READY"]], Resources().default)
        folder = tmp_path / "with space"
        folder.mkdir()
        script = slurm.script_of([job], wanted, title="t", project=folder, programs=Path("/p q"), again="x")
        found = submitted(script, tmp_path)["alone"]
        assert found.options["--partition"] == "gpu"
        assert found.options["--comment"] == "a b", "the last counts"
        assert found.runs == [["echo", "a b", "$READY"]]
        body = (tmp_path / "cluster/0.job").read_text()
        assert body.index("export READY=1") < body.index("srun")
        assert shlex.quote("/p q") in body
