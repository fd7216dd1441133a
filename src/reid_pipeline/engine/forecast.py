"""Before a training whose plan the data decide: the plan, where it runs, the time it takes, and what less would cost.

All times are computed from steps that were measured (`engine.rehearsal`), and lines say so.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch

from reid_pipeline.engine.plan_checks import largest_batch
from reid_pipeline.engine.rehearsal import Rehearsal, fitting_chunk, rehearsed
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.seeding import chance_as_it_was
from reid_pipeline.engine.stage import Stage, TrainingData
from reid_pipeline.engine.starting import Start
from reid_pipeline.engine.tower_plan import set_chunks
from reid_pipeline.engine.whole_cost import about
from reid_pipeline.models.open_clip_lists import DEMO_MODEL, DEMO_PIXELS, DEMO_TAG
from reid_pipeline.models.reid_model import ReIDModel
from reid_pipeline.schema.auto_plan import CHUNK, FIELDS, SMALL, plan_paths
from reid_pipeline.schema.parameters import TowerPlan, TrainingPlan

SMALL_BACKBONE = {
    "name": DEMO_MODEL,
    "pretrained": DEMO_TAG,
    "image_size": (96, 48),
    "patch_stride": None,
    "sie": "none",
}
_PIXELS = {"pixel_mean": DEMO_PIXELS, "pixel_std": DEMO_PIXELS}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Forecast:
    """A stage that is about to train: the method's start, and what of its parameters the data decided."""

    start: Start
    stage: Stage[Any]
    data: TrainingData
    auto: frozenset[str]
    done: int = 0  # epochs that an earlier process has trained
    later: tuple[Stage[Any], ...] = ()  # stages that follow

    @property
    def runtime(self) -> Runtime:
        """Where it runs."""
        return self.data.runtime

    def fit_to_machine(self, model: ReIDModel, stored: Mapping[str, Any] | None) -> None:
        """Set how many images go through the tower at once, and log plan, time, device, and what less would cost.

        `stored` is the plan that a killed run stored: its chunks stand, unless this machine has less memory.
        """
        plan, memory = self.stage.plan, memory_of(self.runtime.device)
        _log.info("%s", self._plan_line(plan))
        measured = self._measured(self.stage, model)
        if isinstance(plan, TowerPlan) and f"plan.{CHUNK}" in self.auto:
            batch = largest_batch(len(self.data.images), plan.batch_size, plan.instances)
            chunk = _smaller((stored or {}).get(CHUNK), fitting_chunk(batch, measured.image_bytes, memory, model))
            if chunk is not None:
                self.stage.plan = plan.model_copy(update={CHUNK: chunk})
                _log.info("%s", self._chunk_line(chunk, batch * measured.image_bytes, memory))
                set_chunks(self.stage.plan, model)
                measured = self._measured(self.stage, model)
        _log.info("%s", self._time_line(measured))
        if self.later:
            _log.info("%s", self._together_line(model, measured))
        _log.info("%s", self._smaller_line(measured))

    def _measured(self, stage: Stage[Any], model: ReIDModel) -> Rehearsal:
        work = stage, model, self.runtime, self.start.parameters
        return rehearsed(*work, ids=self._ids, memory=memory_of(self.runtime.device))

    def _seconds(self, stage: Stage[Any], measured: Rehearsal, epochs: int) -> float:
        """Return what so many epochs take: their steps, and the embedding of all training images where it is done."""
        images, plan = len(self.data.images), stage.plan
        steps = plan.iterations_per_epoch or -(-images // plan.batch_size)
        work = stage.work
        times = {"never": 0, "once": 1, "each epoch": -(-epochs // work.embeds_every)}[work.embeds]
        embedded = images * (min(times, 1) + max(times - 1, 0) * work.embeds_share)
        return epochs * steps * measured.step_seconds + embedded * measured.embedding_seconds

    @property
    def _ids(self) -> tuple[bool, bool]:
        return self.data.camids is not None, self.data.viewids is not None

    @property
    def _path(self) -> str:
        parameters = self.start.parameters
        paths = {".".join(path): reduce(getattr, path, parameters) for path in plan_paths(type(parameters))}
        return next((name for name, plan in paths.items() if plan == self.stage.plan), "plan")

    def _plan_line(self, plan: TrainingPlan) -> str:
        given = [name for name in FIELDS if f"{self._path}.{name}" not in self.auto and getattr(plan, name) is not None]
        steps = "one pass" if plan.iterations_per_epoch is None else f"{plan.iterations_per_epoch:,} steps"
        each = "" if plan.instances is None else f", {plan.instances} of an identity"
        down = f", rate down after {' and '.join(map(str, plan.milestones))}" if plan.milestones else ""
        stands = f" Given, and not from the data: {', '.join(given)}." if given else ""
        return (
            f"{self._title}: the plan for {len(self.data.images):,} training images is {plan.epochs:,} epochs of"
            f" {steps} of {plan.batch_size:,} images{each}; warm-up {plan.warmup_epochs}{down}.{stands}"
        )

    def _time_line(self, measured: Rehearsal) -> str:
        plan, work = self.stage.plan, self.stage.work
        left = plan.epochs - self.done
        whole = about(self._seconds(self.stage, measured, left))
        rest = f" for the {left} epochs that are left" if self.done else ""
        step = f"{measured.step_seconds:.2g} s for a step of {plan.batch_size:,} images"
        few = f" (in proportion to one of {measured.images})" if measured.images < plan.batch_size else ""
        embedding = f", {1000 * measured.embedding_seconds:.2g} ms to embed an image" if work.embeds != "never" else ""
        beside = f"; {' and '.join(work.uncounted)} not counted" if work.uncounted else ""
        return (
            f"{self._title}: about {whole} on {device_name(self.runtime)}{rest}, computed from what was measured:"
            f" {step}{few}{embedding}{beside}."
        )

    def _together_line(self, model: ReIDModel, measured: Rehearsal) -> str:
        seconds = self._seconds(self.stage, measured, self.stage.plan.epochs - self.done)
        for stage in self.later:
            seconds += self._seconds(stage, self._measured(stage, model), stage.plan.epochs)
        stages = " and ".join(stage.name for stage in (self.stage, *self.later))
        return f"{self.start.method.name}: {stages} together about {about(seconds)}, computed likewise."

    def _smaller_line(self, measured: Rehearsal) -> str:
        half = max(1, self.stage.plan.epochs // 2)
        name = f"{self.start.method.name}.{self._path}.epochs={half}"
        less = [f"{name} takes about {about(self._seconds(self.stage, measured, half))}"]
        if (small := self._small()) is not None:
            less.append(f"overlay={SMALL} about {about(self._seconds(self.stage, small, self.stage.plan.epochs))}")
        return f"{self._title}: less would cost, computed likewise: {'; '.join(less)}."

    def _small(self) -> Rehearsal | None:
        """Measure the same stage with the small CLIP; None where it has that, or starts from a trained model."""
        start = self.start
        if start.parameters.backbone.name == DEMO_MODEL or start.initial is not None:
            return None
        backbone = start.parameters.backbone.model_copy(update={**SMALL_BACKBONE, **_PIXELS})
        parameters = start.parameters.model_copy(update={"backbone": backbone})
        with chance_as_it_was():
            model = start.method.build(parameters, start.population).to(self.runtime.device)
        stage = {each.name: each for each in start.method.stages(parameters)}[self.stage.name]
        memory = memory_of(self.runtime.device)
        return rehearsed(stage, model, self.runtime, parameters, ids=self._ids, memory=memory)

    def _chunk_line(self, chunk: int, needed: int, memory: int) -> str:
        return (
            f"{self._title}: a batch would hold about {needed / 1e9:.1f} GB, as measured, and there are"
            f" {memory / 1e9:.1f} GB: {chunk} images go through the tower at once (plan.{CHUNK}), which changes no more"
            " than rounding."
        )

    @property
    def _title(self) -> str:
        return f"{self.start.method.name}, {self.stage.name}"


def plan_of_state(stage: Stage[Any], auto: frozenset[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a resumable state, and what the history, has of a plan in force; nothing where all of it is given.

    The history has the chunks, where the machine's memory decided them: the rest is among the run card's parameters.
    """
    if not auto:
        return {}, {}
    plan = stage.plan.model_dump(mode="json")
    chunk = plan.get(CHUNK) if f"plan.{CHUNK}" in auto else None
    return {"plan": plan}, {} if chunk is None else {CHUNK: chunk}


def memory_of(device: torch.device) -> int:
    """Return the bytes of memory that a device has, whoever uses them now."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def device_name(runtime: Runtime) -> str:
    """Return the GPU, or the CPU with its threads, in words."""
    if runtime.device.type == "cuda":
        return f"the GPU ({torch.cuda.get_device_name(runtime.device)}, {runtime.precision})"
    threads = f"{runtime.threads} thread{'s' if runtime.threads != 1 else ''}"
    return f"the CPU ({threads})" if runtime.device.type == "cpu" else f"{runtime.device.type} ({runtime.precision})"


def _smaller(*chunks: int | None) -> int | None:
    return min((chunk for chunk in chunks if chunk is not None), default=None)
