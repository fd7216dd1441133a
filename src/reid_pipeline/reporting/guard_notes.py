"""Pseudo labels in words: which model is exported and why, and warnings; for log lines, console and page alike."""

from collections.abc import Mapping, Sequence
from typing import Any

from reid_pipeline.reporting.formats import percent
from reid_pipeline.schema.errors import first_few
from reid_pipeline.schema.records import EpochRecord, ExportedModel, LabelFigures

HALF = 0.5
"""A share of the images in one cluster above which most of them are taken for one individual."""
MUCH_NOISE = 0.5
"""A share of noise above which most images are not trained with."""
WEAK = 0.05
"""A cluster quality below which clusters mean little: 200 and more random vectors reach 0.01 (docs/methods.md)."""

DOMINATED = (
    "One cluster holds more than half of the training images: most of them are taken for one identity. Lower"
    " clustering.k1, or clustering.eps and join_within; if it grew from epoch to epoch, the learning rate is too high."
)
_WHAT_IT_MEANS = "Clusters like these are little better than chance, and training on them teaches little."
_REMEDY = (
    "Start from a model that knows such images (init_from, or another backbone), label some of them, and look whether"
    " each shows one individual, cut out."
)


def is_dominated(labels: LabelFigures | Mapping[str, Any]) -> bool:
    """Return whether one cluster holds more than half of the images."""
    figures = labels if isinstance(labels, Mapping) else labels.model_dump(include={"largest_cluster"})
    return (figures.get("largest_cluster") or 0.0) > HALF


def dominated_notes(history: Sequence[EpochRecord], epochs: Sequence[float]) -> list[str]:
    """Return a sentence on the epochs in which one cluster held more than half of the images; `epochs` number them."""
    shares = {f"{epoch:g}": record.largest_cluster or 0.0 for epoch, record in zip(epochs, history, strict=True)}
    found = {epoch: share for epoch, share in shares.items() if share > HALF}
    if not found:
        return []
    which = f"epoch{'s' if len(found) > 1 else ''} {first_few(list(found))}"
    return [
        f"In {which} one cluster held more than half of the training images, up to {percent(max(found.values()))} %:"
        " most of them were taken for one identity."
    ]


def exported_model(history: Sequence[EpochRecord]) -> ExportedModel | None:
    """Return which model a training exported, with the figures of its labels; None where it looked for no best one."""
    last = history[-1] if history else None
    if last is None or last.exported is None:
        return None
    exported = last.exported
    records = [record for record in history if record.stage == last.stage]
    labels: Sequence[LabelFigures | None] = [*records, last.after]
    return exported.model_copy(update={"labels": _figures(labels[exported.epoch])})


def label_warnings(history: Sequence[EpochRecord]) -> list[str]:
    """Return what a finished training has to warn of: that it ended early, that its clusters mean little."""
    exported = exported_model(history)
    if exported is not None:
        return [*_early_end(exported), *weak_notes(exported.labels)]
    return weak_notes(_figures(history[-1])) if history else []


def exported_notes(exported: ExportedModel) -> list[str]:
    """Return which model is exported and why; where training ended early, why; where its clusters mean little, that."""
    return [*_early_end(exported), exported_sentence(exported), *weak_notes(exported.labels)]


def _early_end(exported: ExportedModel) -> list[str]:
    done = len(exported.measures)
    return [f"Training ended after epoch {done} of {exported.epochs}. {exported.ended}"] if exported.ended else []


def weak_notes(labels: LabelFigures | None) -> list[str]:
    """Return a paragraph on labels that mean little: what was seen, what it means, what to do; else nothing."""
    if labels is None:
        return []
    seen = []
    if labels.cluster_quality is not None and labels.cluster_quality < WEAK:
        seen.append(
            f"the cluster quality is {round(labels.cluster_quality, 2) + 0.0:.2f}, little more than random vectors have"
        )
    if labels.noise_share is not None and labels.noise_share > MUCH_NOISE:
        seen.append(f"{percent(labels.noise_share)} % of the training images joined none")
    if not seen:
        return []
    return [f"The clusters mean little: {'; '.join(seen)}. {_WHAT_IT_MEANS} {_REMEDY}"]


def exported_sentence(exported: ExportedModel) -> str:
    """Return which model is exported, and why."""
    last = len(exported.measures) - 1
    is_last = exported.epoch == last and not exported.ended
    figures = f"{exported.measure:.2f}{_in_brackets(exported.labels)}"
    first, ending = exported.measures[0], exported.measures[-1]
    after = "" if exported.ended or is_last or ending is None else f"; after the last epoch it was {ending:.2f}"
    if exported.epoch == 0:
        which = "The encoder before training is exported: no epoch's clusters were better by an eighth"
        return f"{which}. The cluster quality was {figures}{after}."
    before = f"; before training it was {first:.2f}" if is_last and first is not None else ""
    which = f"epoch {exported.epoch} of {exported.epochs}{', the last,' if is_last else ''}"
    return f"The model after {which} is exported: it has the best cluster quality, {figures}{after}{before}."


def _in_brackets(labels: LabelFigures | None) -> str:
    """Return the single figures of labels, as far as known."""
    if labels is None:
        return ""
    silhouette = "" if labels.silhouette is None else f"silhouette {labels.silhouette:.2f}"
    shares = {"largest cluster": labels.largest_cluster, "noise": labels.noise_share}
    parts = [silhouette, *(f"{name} {percent(share)} %" for name, share in shares.items() if share is not None)]
    known = [part for part in parts if part]
    return f" ({', '.join(known)})" if known else ""


def _figures(labels: LabelFigures | None) -> LabelFigures | None:
    """Return the figures of labels that a line can show, without what an epoch has besides; None without clusters."""
    if labels is None or labels.clusters is None:
        return None
    left_out = {"cluster_sizes", "ground_truth", "ground_truth_images"}
    names = LabelFigures.model_fields.keys() - left_out
    return LabelFigures(**{name: value for name in sorted(names) if (value := getattr(labels, name)) is not None})
