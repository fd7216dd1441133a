"""From a labelled source to an unlabelled target: mAP before, without and after adaptation, between drawn benchmarks.

    .venv/bin/python bench/adaptation.py [--seeds 0 1 2] [--plan whole | short | tiny] [--folder <it stays>]

In both directions, people to vehicles and back, and for each seed: a supervised training on the source; its model on
the target as it is; `unsupervised_pcl` on the target from that model (`init_from`), and from the pretrained weights.
The runs are those of `kedro run`, in a folder of their own, one after the other in this process; with `--folder` those
that are finished there are not made again. `whole` has the plans in conf/, `short` 4 epochs of 20 iterations each, and
`tiny`, on a handful of drawings, only shows that the program runs.

Printed are mean and standard deviation over the seeds; the difference is by seed, of the adapted model to the source's.
"""

import argparse
import json
import shutil
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAIRS = (("synthetic", "synthetic_vehicles"), ("synthetic_vehicles", "synthetic"))
ADAPTED, ALONE, SOURCE = "adapted", "alone", "source"
UNSUPERVISED = "unsupervised_pcl"
FIGURES = {"mAP": "mAP", "rank1": "Rank-1"}
_SHORT = {"epochs": 4, "iterations_per_epoch": 20, "warmup_epochs": 1, "milestones": [3]}
_TINY = {"epochs": 1, "iterations_per_epoch": 1, "batch_size": 8, "instances": 2, "warmup_epochs": 0, "milestones": []}
_FEW = {"train_identities": 3, "test_identities": 3, "num_cameras": 2, "cameras_per_identity": [2, 2]}
PLANS: dict[str, dict[str, Any]] = {"whole": {}, "short": _SHORT, "tiny": _TINY}


@dataclass(frozen=True)
class Run:
    """One `kedro run`: a method on an environment, perhaps from another's model; `variant` names its cell."""

    environment: str
    method: str
    variant: str
    seed: int
    init_from: str = ""

    @property
    def address(self) -> str:
        """The address of its cell."""
        return f"{self.environment}/{self.method}+{self.variant}/seed_{self.seed}"

    def parameters(self, plan: str) -> dict[str, Any]:
        """Return what is given with the command."""
        given: dict[str, Any] = {"seed": self.seed, "variant": self.variant}
        if PLANS[plan]:
            given[self.method] = {"plan": PLANS[plan]}
        if plan == "tiny":
            given["synthetic"] = _FEW
            given["backbone"] = {"image_size": [24, 24]}
            if self.method == UNSUPERVISED:
                clustering = {"kind": "dbscan", "k1": 3, "k2": 1, "eps": 0.05, "min_samples": 1, "max_noise_share": 1.0}
                given[self.method] |= {"clustering": clustering}
        return given | ({"init_from": self.init_from} if self.init_from else {})


def runs_of(source: str, target: str, method: str, seed: int) -> tuple[Run, Run, Run]:
    """Return the supervised training on the source, and the trainings on the target from it and from no source."""
    supervised = Run(source, method, SOURCE, seed)
    adapted = Run(target, UNSUPERVISED, f"{ADAPTED}-from-{source}", seed, supervised.address)
    return supervised, adapted, Run(target, UNSUPERVISED, ALONE, seed)


def measured(results: Path, runs: tuple[Run, Run, Run]) -> dict[str, dict[str, float]]:
    """Return the figures of the models on the target, by what they are."""
    _, adapted, alone = runs
    beside = f"{adapted.environment}/zero_shot+{adapted.variant}/seed_{adapted.seed}"
    untrained = [f"{alone.environment}/zero_shot{each}/seed_{alone.seed}" for each in (f"+{ALONE}", "")]
    cells = {
        "zero_shot": next(each for each in untrained if (results / each / "metrics.json").is_file()),
        "source model, as it is": beside,
        "unsupervised_pcl, without source": alone.address,
        "unsupervised_pcl, from the source": adapted.address,
    }
    found = {name: json.loads((results / each / "metrics.json").read_text()) for name, each in cells.items()}
    return {name: {figure: 100 * metrics[figure] for figure in FIGURES} for name, metrics in found.items()}


def table(source: str, target: str, seeds: Sequence[dict[str, dict[str, float]]]) -> str:
    """Return the figures of one direction; of several seeds mean and standard deviation."""
    lines = [
        f"{source} -> {target}, {len(seeds)} seeds",
        f"{'':<36}" + "".join(f"{each:>16}" for each in FIGURES.values()),
    ]
    for name in seeds[0]:
        cells = [_spread([seed[name][figure] for seed in seeds]) for figure in FIGURES]
        lines.append(f"{name:<36}" + "".join(f"{cell:>16}" for cell in cells))
    names = ("source model, as it is", "unsupervised_pcl, from the source")
    before, after = ([seed[name] for seed in seeds] for name in names)
    gains = [
        _spread([new[figure] - old[figure] for old, new in zip(before, after, strict=True)], signed=True)
        for figure in FIGURES
    ]
    return "\n".join([*lines, f"{'gain by adaptation':<36}" + "".join(f"{cell:>16}" for cell in gains)])


def _spread(values: Sequence[float], *, signed: bool = False) -> str:
    mean = f"{statistics.mean(values):{'+' if signed else ''}.1f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.1f}"


def project(folder: Path) -> Path:
    """Make a folder a project with this one's code and parameters, and data of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, folder)
    for name in ("conf", "src"):
        shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True)
    return folder


def make(folder: Path, runs: Sequence[Run], plan: str) -> None:
    """Make the runs that are not finished there."""
    from kedro.framework.session import KedroSession

    for run in runs:
        if (folder / "data/08_reporting" / run.address / "run_card.json").is_file():
            continue
        with KedroSession.create(folder, env=run.environment, runtime_params=run.parameters(plan)) as session:
            session.run(pipeline_names=[run.method])


def directions(folder: Path, *, plan: str, seeds: Sequence[int], method: str) -> Iterator[str]:
    """Yield the table of each direction."""
    for source, target in PAIRS:
        found = []
        for seed in seeds:
            runs = runs_of(source, target, method, seed)
            make(folder, runs, plan)
            found.append(measured(folder / "data/08_reporting", runs))
        yield table(source, target, found)


def main() -> None:
    """Make the runs and print the tables."""
    from kedro.framework.startup import bootstrap_project

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--plan", choices=sorted(PLANS), default="short")
    parser.add_argument("--method", default="baseline", help="the supervised one, on the source")
    parser.add_argument("--folder", type=Path, help="where runs are made, and found again")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bootstrap_project(project(folder.resolve()))
        for each in directions(folder.resolve(), plan=given.plan, seeds=given.seeds, method=given.method):
            print(f"\n{each}", flush=True)


if __name__ == "__main__":
    main()
