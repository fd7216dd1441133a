"""Time and peak memory of each part of `kedro run --pipeline=unsupervised_pcl`, from an empty data folder.

    .venv/bin/python bench/demo.py [--params name=value ...]

The demo runs in a child process, in a temporary copy of the project's `src` and `conf`. Kedro's hooks
say when a part begins and ends, the history says how long the parts of an epoch took, and a thread reads the
resident memory 50 times a second. Memory is that of the whole process during the part, not what it adds.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PIPELINE = "unsupervised_pcl"
DRAWING = "drawing (raw_images)"


@dataclass
class Span:
    """A part of the run, in seconds since the child began."""

    name: str
    begin: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.begin


@dataclass
class Watch:
    """Kedro hooks that note when parts begin and end, and a thread that samples the memory."""

    began: float
    marks: dict[str, Span] = field(default_factory=dict)
    epochs: list[float] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)
    _loading: float = 0.0

    def sample(self) -> None:
        import psutil

        process = psutil.Process()
        while True:
            self.memory.append((self.now(), process.memory_info().rss))
            time.sleep(0.02)

    def now(self) -> float:
        return time.time() - self.began

    def extend(self, name: str, begin: float) -> None:
        span = self.marks.setdefault(name, Span(name, begin, begin))
        span.end = self.now()

    def record(self) -> dict[str, Any]:
        return {"marks": [vars(span) for span in self.marks.values()], "epochs": self.epochs, "memory": self.memory}


class Hooks:
    """Kedro's hooks, which mark what a run is busy with; `hooks_of` makes them known to Kedro."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def after_catalog_created(self) -> None:
        self._watch.extend("start: imports, configuration", 0.0)

    def before_pipeline_run(self) -> None:
        self._watch.extend("checks before any work", self._watch.marks["start: imports, configuration"].end)

    def before_dataset_loaded(self, dataset_name: str, node: Any) -> None:
        self._watch._loading = self._watch.now()
        if not self._draws(dataset_name):
            self._watch.extend(node.name, self._watch._loading)

    def after_dataset_loaded(self, dataset_name: str, node: Any) -> None:
        self._watch.extend(DRAWING if self._draws(dataset_name) else node.name, self._watch._loading)

    def before_node_run(self, node: Any) -> None:
        self._watch.extend(node.name, self._watch.now())

    def after_node_run(self, node: Any) -> None:
        self._watch.extend(node.name, self._watch.now())

    def before_dataset_saved(self, dataset_name: str) -> None:
        if dataset_name.endswith("_state"):
            self._watch.epochs.append(self._watch.now())

    def after_dataset_saved(self, node: Any) -> None:
        self._watch.extend(node.name, self._watch.now())

    def _draws(self, dataset_name: str) -> bool:
        return dataset_name == "raw_images" and DRAWING not in self._watch.marks


def hooks_of(watch: Watch) -> Hooks:
    """Return the hooks; Kedro is imported here, so that the start is measured too."""
    from kedro.framework.hooks import hook_impl

    for name, hook in vars(Hooks).items():
        if not name.startswith("_"):
            hook_impl(hook, trylast=name == "before_pipeline_run")  # after the project's own checks
    return Hooks(watch)


def run_child(project: Path, began: float, params: list[str]) -> None:
    """Run the demo in `project` and leave what was seen of it in `watch.json`."""
    watch = Watch(began)
    threading.Thread(target=watch.sample, daemon=True).start()
    from kedro.framework.project import settings
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project
    from omegaconf import OmegaConf

    bootstrap_project(project)
    settings.set("HOOKS", (*settings.HOOKS, hooks_of(watch)))
    given = OmegaConf.to_container(OmegaConf.from_dotlist(params))
    with KedroSession.create(project, runtime_params=given) as session:
        session.run(pipeline_names=[PIPELINE])
    (project / "watch.json").write_text(json.dumps(watch.record()))


def epoch_spans(history: list[dict[str, Any]], ends: list[float]) -> dict[str, list[Span]]:
    """Return the spans of each part of an epoch, by part, in the order in which the parts follow."""
    parts: dict[str, list[Span]] = {}
    for record, end in zip(history, ends, strict=True):
        begin = end - record["seconds"]["epoch"]
        for part, seconds in record["seconds"].items():
            if part != "epoch":
                parts.setdefault(part, []).append(Span(part, begin, begin + seconds))
                begin += seconds
    return parts


def table(seen: dict[str, Any], history: list[dict[str, Any]], whole: float) -> str:
    """Return the table: part, seconds, share of the whole, peak memory during it."""

    def peak(spans: list[Span]) -> int:
        inside = [size for at, size in seen["memory"] if any(s.begin <= at <= s.end for s in spans)]
        return max(inside, default=0)

    rows: list[tuple[str, float, int]] = []
    for mark in seen["marks"]:
        span = Span(**mark)
        rows.append((span.name, span.seconds, peak([span])))
        if span.name == f"{PIPELINE}.train_cluster_contrast":
            for part, spans in epoch_spans(history, seen["epochs"]).items():
                label = f"  {len(spans)} epochs: {part}"
                rows.append((label, sum(s.seconds for s in spans), peak(spans)))
    named = sum(seconds for name, seconds, _ in rows if not name.startswith(" "))
    rows.append(("rest: Kedro between nodes, the end", whole - named, 0))
    rows.append(("whole", whole, max(size for _, size in seen["memory"])))
    rule = ("─" * 41, "─" * 8, "─" * 6, "─" * 9)
    cells = [("part", "seconds", "share", "peak MiB"), rule]
    for name, seconds, size in rows:
        memory = f"{size / 2**20:.0f}" if size else ""
        cells.append((name, f"{seconds:.1f}", f"{seconds / whole:.0%}", memory))
    lines = [f"{name:<41} {seconds:>8} {share:>6} {memory:>9}" for name, seconds, share, memory in cells]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--params", nargs="*", default=[], metavar="NAME=VALUE", help="as kedro run --params")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        run_child(Path(given.child[0]), float(given.child[1]), given.params)
        return
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        project = Path(folder).resolve()
        for name in ("src", "conf"):
            shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", ".telemetry"):
            shutil.copy(ROOT / name, project / name)
        began = time.time()
        command = [sys.executable, __file__, "--child", folder, str(began), "--params", *given.params]
        subprocess.run(command, cwd=project, check=True)
        whole = time.time() - began
        seen = json.loads((project / "watch.json").read_text())
        results = project / "data" / "08_reporting" / "synthetic" / PIPELINE
        (history,) = results.glob("seed_*/history.json")
        print(f"\n{table(seen, json.loads(history.read_text()), whole)}")


if __name__ == "__main__":
    main()
