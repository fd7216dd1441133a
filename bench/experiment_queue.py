"""DVC's queue of experiments: what two workers gain over one, on a small benchmark that lies behind a link.

    .venv/bin/python bench/experiment_queue.py [--out <folder>] [--jobs 1 2] [--experiments 2]

A copy of the project, in a git repository of its own, has people laid out as Market-1501 in a folder outside of it.
The link to them is in git, so that every experiment, which runs in a checkout of its own below .dvc/tmp/exps/, has it.
`dvc repro` makes the tables and one cell; then for every number of workers so many experiments are queued, each with
another temperature, and run. Before they are, the source of the copy's own folder is broken: what runs is what was
queued. Some minutes on two cores. docs/machines.md has the commands and the figures.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENV, METHOD = "market1501", "unsupervised_pcl"
CELL = f"dvc/{ENV}/dvc.yaml:{METHOD}@0"
PARAMETER = f"conf/base/parameters_{METHOD}.yml:{METHOD}.memory.temperature"
SHARED = "\nbackbone: {name: demo-vit, pretrained: demo, image_size: [64, 32]}\n"
SMALL = """\
unsupervised_pcl:
  plan: {epochs: 2, iterations_per_epoch: 2, batch_size: 8, instances: 4, warmup_epochs: 0, milestones: []}
  clustering: {k1: 6, k2: 2, eps: 0.7, min_samples: 2, max_noise_share: 1.0}
"""
PATIENCE, POLL = 1800.0, 1.0


@dataclass(frozen=True)
class Measured:
    """Experiments that were run by so many workers.

    Attributes:
        jobs: workers.
        seconds: from the start of the workers to the end of the last experiment.
        scores: mAP by name of the experiment.
    """

    jobs: int
    seconds: float
    scores: dict[str, float]


def run(project: Path, *command: str) -> str:
    """Run a command in the project's folder and return what it printed; a RuntimeError has that of one that failed."""
    programs = Path(sys.executable).parent
    done = subprocess.run(
        [str(programs / command[0]) if (programs / command[0]).exists() else command[0], *command[1:]],
        cwd=project,
        env={
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
            "COLUMNS": "200",
            "OMP_NUM_THREADS": "1",
            "DVC_SITE_CACHE_DIR": str(project / ".dvc/tmp/site"),
            **{
                f"GIT_{who}_{what}": "nobody@example.org"
                for who in ("AUTHOR", "COMMITTER")
                for what in ("NAME", "EMAIL")
            },
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def write_images(folder: Path) -> None:
    """Draw people and lay them out as Market-1501."""
    from reid_drawings import SyntheticBenchmark, draw_pictures
    from reid_pipeline.readers import lay_out

    people = SyntheticBenchmark(train_identities=8, test_identities=6, distractors=4, junk=2, lighting=0.0)
    for path, content in lay_out(ENV, draw_pictures(people)).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def make_project(project: Path, images: Path) -> None:
    """Copy the project, make it small, link the images, and commit all of it with one reproduced cell."""
    listed = run(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    for name in sorted({*listed.split("\0")} - {""}):
        if not name.startswith(("data/", "tests/")) and name != "dvc.lock" and (ROOT / name).is_file():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, project / name)
    conf = project / "conf" / ENV
    with (conf / "parameters.yml").open("a") as file:
        file.write(SHARED)
    (conf / f"parameters_{METHOD}.yml").write_text(SMALL)
    (project / "data/01_raw").mkdir(parents=True)
    (project / "data/01_raw" / ENV).symlink_to(images)
    run(project, "env", f"PYTHONPATH={project / 'src'}", "python", "dvc/write.py", ENV)
    run(project, "git", "init", "--quiet")
    run(project, "dvc", "repro", "code")
    run(project, "dvc", "repro", CELL)
    run(project, "git", "add", "--all")
    run(project, "git", "add", "--force", f"data/01_raw/{ENV}")
    run(project, "git", "commit", "--quiet", "--message", "first")


def queue(project: Path, names: dict[str, float]) -> None:
    """Queue an experiment for each temperature."""
    for name, temperature in names.items():
        run(project, "dvc", "exp", "run", "--queue", "--name", name, "-S", f"{PARAMETER}={temperature}", CELL)


def worked_off(project: Path, names: dict[str, float], jobs: int) -> Measured:
    """Run what is queued by so many workers, and wait for the end."""
    started = time.monotonic()
    run(project, "dvc", "queue", "start", "--jobs", str(jobs))
    while unfinished(run(project, "dvc", "queue", "status"), names):
        if time.monotonic() - started > PATIENCE:
            raise RuntimeError(run(project, "dvc", "queue", "status"))
        time.sleep(POLL)
    seconds = time.monotonic() - started
    return Measured(jobs, seconds, {name: score_of(project, name) for name in names})


def unfinished(status: str, names: dict[str, float]) -> bool:
    """Return whether an experiment has not ended; a RuntimeError says which failed."""
    states = {line.split()[1]: line.split()[-1] for line in status.splitlines() if len(line.split()) > 3}
    if failed := [name for name in names if states.get(name) == "Failed"]:
        raise RuntimeError(f"{', '.join(failed)} failed: dvc queue logs {failed[0]}\n{status}")
    return any(states.get(name) != "Success" for name in names)


def score_of(project: Path, name: str) -> float:
    """Return the mAP of an experiment, of the figures in its own commit."""
    file = f"data/08_reporting/{ENV}/{METHOD}/seed_0/metrics.json"
    commit = run(project, "git", "for-each-ref", "--format=%(refname)", f"refs/exps/**/{name}").split()[0]
    return float(json.loads(run(project, "git", "show", f"{commit}:{file}"))["mAP"])


def measured(folder: Path, jobs: list[int], experiments: int) -> list[Measured]:
    """Make the project in `folder`, and run experiments with each number of workers."""
    project, images = folder / "project", folder / "images"
    write_images(images)
    make_project(project, images)
    groups = {each: {f"t{each}{n}": round(0.01 * each + 0.1 * (n + 1), 3) for n in range(experiments)} for each in jobs}
    found = []
    source = project / f"src/reid_pipeline/methods/{METHOD}.py"
    text = source.read_text()
    for each, names in groups.items():
        source.write_text(text)
        queue(project, names)
        source.write_text("what is edited after an experiment is queued is not in it\n")
        found.append(worked_off(project, names, each))
    return found


def main() -> None:
    """Measure and print a line for each number of workers."""
    parser = argparse.ArgumentParser(description="Run queued experiments by one worker and by two.")
    parser.add_argument("--out", type=Path, help="folder for the project; else a temporary one, removed in the end")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--experiments", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.out or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        print(f"{'workers':>7}  {'experiments':>11}  {'seconds':>7}  mAP")
        for each in measured(folder, given.jobs, given.experiments):
            scores = ", ".join(f"{name} {score:.4f}" for name, score in each.scores.items())
            print(f"{each.jobs:>7}  {len(each.scores):>11}  {each.seconds:>7.0f}  {scores}", flush=True)


if __name__ == "__main__":
    main()
