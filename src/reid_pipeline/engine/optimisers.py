"""Optimisers and learning rates: pure functions of the plan and the epoch."""

import math
from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from reid_pipeline.schema.parameters import TrainingPlan


def learning_rate(plan: TrainingPlan, epoch: int) -> float:
    """Return the rate that epoch `epoch` (from 1) runs at, before a group's own multiplier.

    With t the number of times the schedule has stepped, `epoch` - 1 if it steps at the end of an epoch
    (`step_at`) and `epoch` if at the start, over T epochs:

    - while t < `warmup_epochs`: linear in t, from `warmup_learning_rate` or `warmup_factor` times the rate at
      t = 0 to the full rate at t = `warmup_epochs`;
    - `steps`: times `decay` for every milestone that is <= t, during the warm-up too;
    - `cosine`: final + (full - final) (1 + cos(pi t / T)) / 2. The warm-up does not delay the cosine, hence the
      rate just after it is already a little below full.

    Source: methods.md sections 4 to 8 and 11; Goyal et al. 2017 for the warm-up, Loshchilov and Hutter 2017 (one
    cycle) for the cosine.
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

    One group, or two where the plan treats biases differently. A bias is a parameter with "bias" in the last part
    of its name, as in `bias` and the `in_proj_bias` of attention.
    """
    moving = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
    bias_decay = plan.weight_decay if plan.bias_weight_decay is None else plan.bias_weight_decay
    if plan.bias_rate_multiplier == 1.0 and bias_decay == plan.weight_decay:
        return [{"params": [value for _, value in moving], "weight_decay": plan.weight_decay}]
    biases = [value for name, value in moving if "bias" in name.rpartition(".")[2]]
    others = [value for name, value in moving if "bias" not in name.rpartition(".")[2]]
    return [
        {"params": others, "weight_decay": plan.weight_decay},
        {"params": biases, "weight_decay": bias_decay, "rate_multiplier": plan.bias_rate_multiplier},
    ]


def build_optimiser(groups: Iterable[dict[str, Any]], plan: TrainingPlan) -> torch.optim.Optimizer:
    """Return the plan's optimiser over `groups`; a group may carry `rate_multiplier` (default 1)."""
    prepared = [{"rate_multiplier": 1.0, **group} for group in groups]
    if plan.optimiser == "sgd":
        return torch.optim.SGD(prepared, lr=plan.learning_rate, momentum=plan.momentum)
    return torch.optim.Adam(prepared, lr=plan.learning_rate)


def set_learning_rate(optimiser: torch.optim.Optimizer, plan: TrainingPlan, epoch: int) -> float:
    """Set every group's rate for `epoch` and return the plan's rate in that epoch."""
    rate = learning_rate(plan, epoch)
    for group in optimiser.param_groups:
        group["lr"] = rate * group["rate_multiplier"]
    return rate
