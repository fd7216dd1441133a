"""What training on the whole of a benchmark costs, from what a sample of it took: steps per second x planned steps."""

import logging
from collections.abc import Mapping
from typing import Any

import pandas as pd

from reid_pipeline.engine.loop import Progress
from reid_pipeline.engine.stage import Method
from reid_pipeline.schema.addresses import Cell
from reid_pipeline.schema.nested import merged, nested
from reid_pipeline.schema.parameters import TrainingPlan
from reid_pipeline.schema.records import EpochRecord
from reid_pipeline.schema.sample import SampleFacts, whole_and_identities
from reid_pipeline.splits.sample import noted_sample

COST = "whole"
"""Where the history of a sample has it, among the facts of an epoch."""
_AT_FULL_SPEED = 2
"""The first epoch whose rate holds: the one before opens files and warms up."""
_UNKNOWN = "what the whole will take is not known, since the plan in force is that of a sample's run card or study."
_log = logging.getLogger(__name__)


class CostOfWhole:
    """Measures a stage that trains on a sample, epoch by epoch.

    `plan` is the one that the whole has, and `sample` says what the training rows are of.
    """

    def __init__(self, method: Method, plan: TrainingPlan, sample: SampleFacts) -> None:
        self.name, self.plan, self.sample = method.name, plan, sample
        self.steps_per_epoch = planned_steps(method, plan, sample)
        self._measured: list[tuple[int, Mapping[str, float]]] = []

    def noted(self, history: list[EpochRecord], progress: Progress) -> list[EpochRecord]:
        """Return the history with what the whole costs in its last record; say so after the last epoch."""
        *before, last = history
        if progress.steps:
            self.measure(progress.steps, last.seconds)
        if not (facts := self.facts()):
            return history
        if progress.is_last:
            _log.info("%s", cost_sentence(f"{self.name}, {last.stage}", facts))
        return [*before, last.model_copy(update={"facts": {**last.facts, COST: facts}})]

    def measure(self, steps: int, seconds: Mapping[str, float]) -> None:
        """Note an epoch that this process has run: its steps, and its seconds by part."""
        self._measured.append((steps, seconds))

    def facts(self) -> dict[str, Any]:
        """Return what is known so far: planned steps, steps per second, seconds of the whole; empty before an epoch.

        To embed all training images, where the stage does that each epoch, takes as long for each image as here. Other
        parts of an epoch (clustering) grow faster than the images: they are named in `beside`, and not counted.
        """
        measured = self._measured[_AT_FULL_SPEED - 1 :] or self._measured
        if not measured:
            return {}
        totals: dict[str, float] = {}
        for _, seconds in measured:
            for name, value in seconds.items():
                totals[name] = totals.get(name, 0.0) + value
        steps = self.plan.epochs * self.steps_per_epoch
        rate = sum(count for count, _ in measured) / max(totals["training"], 1e-3)  # as finely as seconds are noted
        # More than the sample's images are embedded as often, in each of more epochs.
        growth = self.sample.training_images / max(1, self.sample.train.images)
        embedding = totals.get("extraction", 0.0) / len(measured) * growth * self.plan.epochs
        found = {"epochs": self.plan.epochs, "steps": steps, "steps_per_second": round(rate, 3)}
        beside = sorted(set(totals) - {"training", "extraction", "epoch"})
        return {
            **found,
            "embedding_seconds": round(embedding, 1),
            "seconds": round(steps / rate + embedding, 1),
            **({"beside": beside} if beside else {}),
        }


def cost_of_whole(method: Method, whole: Any, stage: str, split_table: pd.DataFrame) -> CostOfWhole | None:
    """Return what measures a stage that trains on a sample; None where the split table is that of a whole benchmark.

    `whole` are the method's parameters that the whole is trained with; None where these are not known.
    """
    sample = noted_sample(split_table)
    if sample is None or whole is None:
        return None
    return CostOfWhole(method, {each.name: each.plan for each in method.stages(whole)}[stage], sample)


def whole_parameters(method: Method, parameters: Any, cell: Cell) -> Any:
    """Return the parameters that the whole is trained with, given those of a sample; None for those of the whole."""
    if not cell.whole:
        if whole_and_identities(cell.benchmark)[1] is not None:
            _log.info("%s: %s", method.name, _UNKNOWN)
        return None
    return method.params.model_validate(merged(parameters.model_dump(mode="json"), nested(cell.whole)))


def planned_steps(method: Method, plan: TrainingPlan, sample: SampleFacts) -> int:
    """Return the steps of one epoch on the whole; of a plan of one pass as its sampler counts them, or nearly.

    PK batches of published identities are groups of K images, at least one for each identity, P groups to a batch
    (`samplers.batches_per_pass`). How many clusters there will be is not known: then all images fill batches.
    """
    if plan.iterations_per_epoch is not None:
        return plan.iterations_per_epoch
    if plan.instances is None:
        return -(-sample.training_images // plan.batch_size)
    if method.label_use == "none" or not sample.images_per_identity:
        return max(1, sample.training_images // plan.batch_size)
    identities = sum(count for _, count in sample.images_per_identity)
    groups = sum(max(1, images // plan.instances) * count for images, count in sample.images_per_identity)
    return groups // min(plan.batch_size // plan.instances, identities)


def cost_sentence(title: str, cost: Mapping[str, Any]) -> str:
    """Return in a line what a stage called `title` will cost on the whole, from the facts of its history."""
    steps = (
        f"{cost['epochs']:,} epochs, {cost['steps']:,} steps at the {cost['steps_per_second']:,.2f} a second of here"
    )
    embedding = cost["embedding_seconds"]
    parts = f", and {about(embedding)} to embed its training images" if embedding else ""
    beside = f"; {' and '.join(cost['beside'])} not counted" if cost.get("beside") else ""
    return f"{title}: the whole will take about {about(cost['seconds'])} on this machine: {steps}{parts}{beside}."


def embedding_sentence(sample: SampleFacts, images: int, seconds: float) -> str:
    """Return in a line what it takes to embed the test images of the whole, from what `images` took."""
    whole = about(seconds * sample.test_images / max(1, images))
    return f"Embedding the {sample.test_images:,} test images of the whole will take about {whole} on this machine."


def about(seconds: float) -> str:
    """Return a time in few figures."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
