"""A training that costs nothing: a parabola approached epoch by epoch. Importable, so that it can be sent."""

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reid_pipeline.schema.tuning import PrunerParameters, SamplerParameters, SearchedParameter
from reid_pipeline.tuning.study import StudyPlan
from reid_pipeline.tuning.trials import Score

SPACE = {
    "plan.rate": SearchedParameter(type="float", low=0.1, high=10.0, log=True),
    "cluster.k": SearchedParameter(type="int", low=2, high=10, step=2),
    "fill": SearchedParameter(type="categorical", choices=("mean", "noise")),
}
START = {"plan.rate": 1.0, "cluster.k": 4, "fill": "mean"}


def final(values: Mapping[str, Any]) -> float:
    """The last epoch's score; the best is 1, at rate 2, k 6, noise."""
    return (
        1.0
        - 0.1 * abs(values["plan.rate"] - 2)
        - 0.02 * abs(values["cluster.k"] - 6)
        - 0.1 * (values["fill"] == "mean")
    )


@dataclass(frozen=True)
class Toy:
    """Four epochs, each a quarter of the way; with `sign`, the second trial leaves that file and hangs."""

    seconds: float = 0.0
    sign: Path | None = None

    def __call__(self, values: Mapping[str, Any]) -> Generator[Score, None, None]:
        for epoch in range(1, 5):
            if self.sign is not None and epoch == 3 and values["plan.rate"] != START["plan.rate"]:
                self.sign.touch()
                time.sleep(60)
            time.sleep(self.seconds)
            yield Score(epoch, 4, final(values) * epoch / 4)


def plan(folder: Path, **changed: Any) -> StudyPlan:
    """A study in `folder`."""
    given: dict[str, Any] = {
        "storage": str(folder / "study.journal"),
        "benchmark": "toy",
        "method": "parabola",
        "name": "main",
        "facts": {"data": "abc", "parameters": {"plan.epochs": 4}},
        "space": SPACE,
        "start": START,
        "trials": 6,
        "sampler": SamplerParameters(seed=1, startup_trials=3),
        "pruner": PrunerParameters(name="none"),
    }
    return StudyPlan(**{**given, **changed})
