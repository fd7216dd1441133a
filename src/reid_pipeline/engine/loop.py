"""The engine: one generator that trains a stage and yields after every epoch; its consumer saves, scores or prunes.

To prune is to iterate no longer; there are no callbacks.
"""

import math
import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic

import torch
from torch import nn

from reid_pipeline.engine.best_model import BestModel
from reid_pipeline.engine.finite import NonFiniteWeights, non_finite_tensors
from reid_pipeline.engine.joint_model import JointModel
from reid_pipeline.engine.progress import track
from reid_pipeline.engine.seeding import seed_global_state
from reid_pipeline.engine.stage import Batch, M, Stage, TrainingData, TrainingEnded
from reid_pipeline.engine.step_guard import StepGuard, state_for, stays_on_device
from reid_pipeline.engine.tower_plan import fitted_plan, layer_factors, require_possible, set_chunks
from reid_pipeline.schema.parameters import TrainingPlan


class UnusableState(ValueError):  # noqa: N818 - says what it found
    """A state to resume from is not of this training: something is missing, or has another shape."""


_REMEDY = (
    "Lower the learning rate, lengthen the warm-up, or use compute.precision=float32; the same command then goes on or"
    " starts anew."
)


@dataclass(frozen=True)
class Progress:
    """Where training stands after an epoch.

    Attributes:
        epoch: the finished epoch, from 1, of `epochs`.
        history: one record per finished epoch, earlier runs' included.
        state: from which `fit` resumes. Its tensors are the live ones: save or copy them before the next epoch.
        steps: how many the epoch had; 0 for one that was resumed from.
        ended: why training ends here, before its last epoch; empty else.
    """

    epoch: int
    epochs: int
    history: tuple[Mapping[str, Any], ...]
    state: dict[str, Any]
    steps: int = 0
    ended: str = ""

    @property
    def is_last(self) -> bool:
        """Whether no epoch follows."""
        return bool(self.ended) or self.epoch == self.epochs


def fit(
    stage: Stage[M], model: M, data: TrainingData, *, resume: Mapping[str, Any] | None = None
) -> Iterator[Progress]:
    """Train `stage` on `data`; yield after every epoch, and at once if `resume` is already at the last.

    `model`, on `data.runtime.device`, is changed in place. `resume` is the `state` of an earlier Progress: training
    goes on after its epoch and gives what an unbroken run gives, to the bit on the CPU.

    Where the stage measures its model (`Stage.measure`) the state has a copy of the best one, which is exported; the
    last model is measured before the last epoch is yielded. A stage that cannot go on (`TrainingEnded`) ends training:
    its last epoch is yielded again, with the reason.

    Raises:
        NonFiniteLoss: before the optimiser step that would have used it.
        UnusableState: before anything else, for a `resume` that is not of this stage and model.
        NonFiniteWeights: in the place of the epoch that left them.
        UserError: what the stage finds, such as a collapsed clustering; a plan that the image tower is not fit for.
    """
    loop = _Loop(stage, model, data, resume)
    stage.begin(model, data)
    if loop.is_over:
        yield loop.progress()
    while not loop.is_over:
        loop.run_epoch()
        yield loop.progress()


class _Loop(Generic[M]):
    """The moving parts of one `fit`."""

    def __init__(self, stage: Stage[M], model: M, data: TrainingData, resume: Mapping[str, Any] | None) -> None:
        self.stage, self.model, self.data = stage, model, data
        require_possible(stage.plan, model)
        set_chunks(stage.plan, model)
        self.joint = JointModel(model, data.runtime.processes)
        self.plan = fitted_plan(stage.plan, model)
        fused = True if stays_on_device(data.runtime) else None
        self.optimiser = build_optimiser(stage.param_groups(model), self.plan, fused=fused)
        self.guard = StepGuard(self.optimiser, data.runtime)
        self.scaler = data.runtime.gradient_scaler()
        self.stateful: dict[str, Any] = {"model": model, "optimiser": self.optimiser, "scaler": self.scaler}
        self.epoch, self.steps, self.ended = 0, 0, ""
        self.best = BestModel()
        self.history: list[Mapping[str, Any]] = []
        if resume is not None:
            self._restore(resume)

    def _restore(self, state: Mapping[str, Any]) -> None:
        try:
            self.epoch, self.history = int(state["epoch"]), list(state["history"])
            for name, each in self.stateful.items():
                each.load_state_dict(state_for(each, state[name]) if each is self.optimiser else state[name])
            self.best.restore(state, self.model)
            self.ended = str(state.get("ended", ""))
            self.stage.restore(state)
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = next(iter(str(error).splitlines()), "")
            raise UnusableState(f"{type(error).__name__}: {reason}") from error

    @property
    def is_over(self) -> bool:
        return bool(self.ended) or self.epoch == self.stage.plan.epochs

    def progress(self) -> Progress:
        state = {**self.stage.state(), **{name: each.state_dict() for name, each in self.stateful.items()}}
        state |= {"epoch": self.epoch, "history": list(self.history), **self.best.state()}
        state |= {"ended": self.ended} if self.ended else {}
        return Progress(self.epoch, self.stage.plan.epochs, tuple(self.history), state, self.steps, self.ended)

    def run_epoch(self) -> None:
        epoch, plan, started = self.epoch + 1, self.plan, time.perf_counter()
        seed_global_state(self.data.seed, self.stage.name, epoch)
        rate = set_learning_rate(self.optimiser, plan, epoch)
        try:
            batches = self.stage.epoch_batches(self.model, self.data, epoch)
        except TrainingEnded as error:
            if not self.best:
                raise
            self.ended, self.steps = str(error), 0
            self._note_exported({})
            return
        self.best.consider(self.stage.measure(), self.model)
        title = f"{self.stage.name} epoch {epoch}/{plan.epochs}"
        totals: dict[str, float] = {}
        steps = 0
        for steps, batch in enumerate(track(batches, title, total=plan.iterations_per_epoch, unit="steps"), 1):
            self.joint.processes.pulse.at(f"step {steps} of epoch {epoch}")
            self._step(batch, steps, totals)
        self._read_losses(totals)
        if not steps:
            raise ValueError(f"Stage {self.stage.name!r} gave no batch for epoch {epoch}; it must give one.")
        self.joint.align(self.optimiser)
        self._require_finite(epoch, rate)
        self.epoch, self.steps = epoch, steps
        losses = {name: total / steps for name, total in totals.items()}
        self.history.append(self._record(rate, sum(totals.values()) / steps, losses, time.perf_counter() - started))
        if self.is_over and self.best:
            self._judge()

    def _judge(self) -> None:
        """Measure the model after the last epoch as those before it; note what was found, and what it took."""
        started = time.perf_counter()
        self.best.consider(self.stage.judge(self.model, self.data), self.model)
        facts = {name: value for name, value in self.stage.facts().items() if name != "seconds"}
        spent = round(time.perf_counter() - started, 3)
        seconds = self.history[-1]["seconds"]
        self._note_exported(
            {"after": facts, "seconds": {**seconds, "judging": spent, "epoch": round(seconds["epoch"] + spent, 3)}}
        )

    def _note_exported(self, found: dict[str, Any]) -> None:
        """Note in the last record which epoch's model is exported, and whether training ended early."""
        exported = {"epoch": self.best.epoch, "epochs": self.stage.plan.epochs, "measures": list(self.best.measures)}
        ended = {"ended": self.ended} if self.ended else {}
        self.history[-1] = {**self.history[-1], **found, "exported": {**exported, **ended}}

    def _require_finite(self, epoch: int, rate: float) -> None:
        """Raise NonFiniteWeights: a loss can be finite, and its gradient or its step not."""
        found = non_finite_tensors({name: each.state_dict() for name, each in self.stateful.items()})
        if found is None:
            return
        raise NonFiniteWeights(
            f"The weights of {self.stage.name} are not finite after epoch {epoch} ({found}), whose learning rate was"
            f" {rate:g} (plan.learning_rate {self.stage.plan.learning_rate:g}). This epoch was not stored;"
            f" {self._stored()}. {_REMEDY}"
        )

    def _stored(self) -> str:
        return f"epoch {self.epoch} is stored and intact" if self.epoch else "no epoch was stored before"

    def _step(self, batch: Batch, step: int, totals: dict[str, float]) -> None:
        self.model.train()
        with self.data.runtime.autocast():
            output = self.stage.step(self.model, batch)
        self.guard.note(step, output.losses)
        if self.guard.is_due:
            self._read_losses(totals)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(self.scaler.scale(torch.stack(list(output.losses.values())).sum()))
        self.joint.sum_gradients()
        scale = self.scaler.get_scale()
        with self.guard.around_step():
            self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.scaler.get_scale() >= scale:  # else mixed precision skipped the step
            retained = {name: value.detach() for name, value in output.retained.items()}
            self.stage.after_step(batch, replace(output, retained=retained, stopped=self.guard.stopped))

    def _read_losses(self, totals: dict[str, float]) -> None:
        rate = f"The learning rate was {self.optimiser.param_groups[0]['lr']:g}"
        self.guard.add_to(totals, self.epoch + 1, f"{self._stored()}. {rate}. {_REMEDY}")

    def _record(self, rate: float, loss: float, losses: dict[str, float], seconds: float) -> dict[str, Any]:
        facts = dict(self.stage.facts())
        parts = dict(facts.pop("seconds", {}))
        parts |= {"training": seconds - sum(parts.values()), "epoch": seconds}
        groups = self.optimiser.param_groups
        return {
            "epoch": self.epoch,
            "stage": self.stage.name,
            "learning_rate": rate,
            "trainable_parameters": sum(value.numel() for group in groups for value in group["params"]),
            "loss": loss,
            "losses": losses,
            **facts,
            "seconds": {name: round(value, 3) for name, value in parts.items()},
        }


def learning_rate(plan: TrainingPlan, epoch: int) -> float:
    """Return the rate that epoch `epoch` (from 1) runs at, before a group's own multiplier.

    With t the number of times the schedule has stepped, `epoch` - 1 if it steps at the end of an epoch
    (`step_at`) and `epoch` if at the start, over T epochs:

    - while t < `warmup_epochs`: linear in t, from `warmup_learning_rate` or `warmup_factor` times the rate at
      t = 0 to the full rate at t = `warmup_epochs`;
    - `steps`: times `decay` for every milestone that is <= t, during the warm-up too;
    - `cosine`: final + (full - final) (1 + cos(pi t / T)) / 2. The warm-up does not delay the cosine, hence the
      rate just after it is already a little below full.

    Sources: methods.md sections 4 to 8 and 11; Goyal et al. 2017 (warm-up); Loshchilov and Hutter 2017 (cosine).
    """
    steps = epoch if plan.step_at == "start" else epoch - 1
    if plan.schedule == "cosine" and steps >= plan.warmup_epochs:
        swing = plan.learning_rate - plan.final_learning_rate
        return plan.final_learning_rate + swing * (1 + math.cos(math.pi * steps / plan.epochs)) / 2
    factor = 1.0
    if steps < plan.warmup_epochs:
        rate, share = plan.warmup_learning_rate, steps / plan.warmup_epochs
        factor = (plan.warmup_factor if rate is None else rate / plan.learning_rate) * (1 - share) + share
    if plan.schedule == "steps":
        factor *= plan.decay ** bisect_right(plan.milestones, steps)
    return float(plan.learning_rate * factor)


def trainable_groups(model: nn.Module, plan: TrainingPlan) -> list[dict[str, Any]]:
    """Return the parameters of `model` that require a gradient, grouped by rate and weight decay.

    One group for each layer of the image tower where the plan has a `layer_decay`, else one for all; two of each
    where the plan treats biases differently. A bias is a parameter with "bias" in the last part of its name, as in
    `bias` and the `in_proj_bias` of attention, but no weight of a module that is named so.
    """
    moving = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
    factors = layer_factors(model, plan)
    bias_decay = plan.weight_decay if plan.bias_weight_decay is None else plan.bias_weight_decay
    alike = plan.bias_rate_multiplier == 1.0 and bias_decay == plan.weight_decay
    groups: list[dict[str, Any]] = []
    for factor in sorted({factors.get(name, 1.0) for name, _ in moving} or {1.0}):
        own = [(name, value) for name, value in moving if factors.get(name, 1.0) == factor]
        biases = [] if alike else [value for name, value in own if "bias" in name.rpartition(".")[2]]
        is_bias = set(map(id, biases))
        others = [value for _, value in own if id(value) not in is_bias]
        groups.append({"params": others, "weight_decay": plan.weight_decay, "rate_multiplier": factor})
        if not alike:
            multiplier = factor * plan.bias_rate_multiplier
            groups.append({"params": biases, "weight_decay": bias_decay, "rate_multiplier": multiplier})
    return groups


def build_optimiser(
    groups: Iterable[dict[str, Any]], plan: TrainingPlan, *, fused: bool | None = None
) -> torch.optim.Optimizer:
    """Return the plan's optimiser over `groups`; a group may carry `rate_multiplier` (default 1).

    `fused`: a step is one kernel, which `step_guard` needs; None: as torch decides.
    """
    prepared = [{"rate_multiplier": 1.0, **group} for group in groups]
    if plan.optimiser == "sgd":
        return torch.optim.SGD(prepared, lr=plan.learning_rate, momentum=plan.momentum, fused=fused)
    return torch.optim.Adam(prepared, lr=plan.learning_rate, fused=fused)


def set_learning_rate(optimiser: torch.optim.Optimizer, plan: TrainingPlan, epoch: int) -> float:
    """Set every group's rate for `epoch` and return the plan's rate in that epoch."""
    rate = learning_rate(plan, epoch)
    for group in optimiser.param_groups:
        group["lr"] = rate * group["rate_multiplier"]
    return rate
