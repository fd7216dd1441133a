"""Optimisers and learning rates: pure functions of the plan and the epoch."""

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from reid_pipeline.schema.parameters import TrainingPlan


def learning_rate_factor(plan: TrainingPlan, epoch: int) -> float:
    """Return the share of the plan's learning rate that epoch `epoch` (from 1) uses.

    Linear warm-up from `warmup_factor` in epoch 1 to 1 in epoch `warmup_epochs` + 1, then a factor
    `decay` after each milestone: the schedule steps at the end of an epoch, as PCL-CLIP's released code
    does (methods.md section 11).
    """
    done = epoch - 1
    warmup = 1.0
    if done < plan.warmup_epochs:
        share = done / plan.warmup_epochs
        warmup = plan.warmup_factor * (1 - share) + share
    return float(warmup * plan.decay ** bisect_right(plan.milestones, done))


def trainable_groups(model: nn.Module, plan: TrainingPlan) -> list[dict[str, Any]]:
    """Return one parameter group with all parameters of `model` that require a gradient."""
    moving = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [{"params": moving, "weight_decay": plan.weight_decay}]


def build_optimiser(groups: Iterable[dict[str, Any]], plan: TrainingPlan) -> torch.optim.Optimizer:
    """Return the plan's optimiser over `groups`; a group may carry `rate_multiplier` (default 1)."""
    prepared = [{"rate_multiplier": 1.0, **group} for group in groups]
    if plan.optimiser == "sgd":
        return torch.optim.SGD(prepared, lr=plan.learning_rate, momentum=plan.momentum)
    return torch.optim.Adam(prepared, lr=plan.learning_rate)


def set_learning_rate(optimiser: torch.optim.Optimizer, plan: TrainingPlan, epoch: int) -> float:
    """Set every group's rate for `epoch` and return the plan's rate in that epoch."""
    rate = plan.learning_rate * learning_rate_factor(plan, epoch)
    for group in optimiser.param_groups:
        group["lr"] = rate * group["rate_multiplier"]
    return rate
