"""The best model of a training so far, by what its stage measures: exported in the place of the last."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

WORTH_TRAINING = 0.125
"""Share by which training has to raise the measure: labels that a model gave itself raise it a little, right or wrong.

Of 60 short trainings on drawn people and vehicles, seed 0, those that it would take below where they began raised it by
9 % at most, and those that gained 5 points of mAP by 25 % at least (docs/methods.md).
"""


class BestModel:
    """A copy, on the CPU, of the tensors of the best model, and what was measured of all; part of the resumable state.

    Nothing is copied where a stage measures nothing.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self.measure = 0.0
        self.measures: list[float | None] = []  # None: the stage did not measure in that epoch
        self.tensors: dict[str, torch.Tensor] = {}

    def __bool__(self) -> bool:
        """Return whether there is one."""
        return bool(self.measures)

    def consider(self, measure: float | None, model: nn.Module) -> None:
        """Take the model after `len(measures)` epochs if it is better than all before; of equals the earlier stays.

        The model before training, which is the first, stays unless one is better by an eighth of its measure. A model
        that was not measured (None) is noted as such, and never the best; a stage may measure none at all.
        """
        if measure is None:
            self.measures += [None] if self.measures else []
            return
        if not self.measures or measure > self._bound():
            self.epoch, self.measure = len(self.measures), float(measure)
            self.tensors = {name: tensor.detach().to("cpu", copy=True) for name, tensor in model.state_dict().items()}
        self.measures.append(float(measure))

    def _bound(self) -> float:
        """Return what a better model has to be above."""
        return self.measure if self.epoch else self.measure + WORTH_TRAINING * abs(self.measure)

    def state(self) -> dict[str, Any]:
        """Return the entry `best` of a resumable state; nothing where there is none."""
        if not self:
            return {}
        measures = list(self.measures)
        return {
            "best": {"epoch": self.epoch, "measure": self.measure, "measures": measures, "model": dict(self.tensors)}
        }

    def restore(self, state: Mapping[str, Any], model: nn.Module) -> None:
        """Take up what `state` returned; a RuntimeError where its tensors are not those of such a model."""
        if "best" not in state:
            return
        best = state["best"]
        self.epoch, self.measure, self.measures = int(best["epoch"]), float(best["measure"]), list(best["measures"])
        self.tensors = dict(best["model"])
        shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
        if {name: tensor.shape for name, tensor in self.tensors.items()} != shapes:
            raise RuntimeError("the best model so far has other tensors")


def exported_tensors(state: Mapping[str, Any]) -> Mapping[str, torch.Tensor]:
    """Return the tensors of a resumable state that are exported: the best model's where one was measured."""
    tensors: Mapping[str, torch.Tensor] = state.get("best", state)["model"]
    return tensors
