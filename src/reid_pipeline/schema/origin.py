"""Where an artefact comes from, and the check that it fits the run that uses it.

Results carry an `Origin`; `NEEDS` has, by consumer, which of its fields must be those of the run. Fields that only
say where something was computed (code, device, threads) are recorded; a difference is a warning.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from reid_pipeline.schema.digests import digest_of_json
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.nested import merged

LabelUse = Literal["none", "source", "partial", "all"]
"""Whose identity labels were used in training: nobody's; those of another collection that training started
from; those of some training images; those of all."""

DECIDING = ("benchmark", "method", "seed", "data", "parameters", "weights", "made_from")
"""What decides a result, but for rounding."""
PUBLISHED = "published_checkpoint"
"""The name in `Origin.made_from` of a published model that was imported."""
INIT_FROM = "init_from"
"""The name there of the model that a training started from."""
TEXT_TOWER = "text_tower"
"""The name there of the text tower's weights, where the image tower started from a trained model."""
LABELS_OF = "labels of "
"""How the name there begins of a benchmark whose labels such a model had used."""
_COMPUTED = ("code", "device", "threads", "processes")
EXTRACTION = {"splits", "flip_averaging", "batch_size", "precision"}
"""The parameters of the evaluation that decide embeddings."""
_ADDED = {"evaluation": {"precision": "float32", "tracklets": "none"}}
"""Parameters, by block, that earlier records lack: what they count as."""
CELL = ("benchmark", "method", "seed", "data", "parameters")
_ANOTHER_METHODS = ("benchmark", "seed", "data", "galleries", "parameters.evaluation", "weights")
"""What zero_shot's results must share with those that are compared with them."""
NEEDS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "train": {"checkpoint": (*CELL, "weights")},
    "export": {"checkpoint": (*CELL, "weights")},
    "extract": {"embedder": CELL},
    "group": {"embedder": CELL, "embeddings": CELL},
    "evaluate": {"embeddings": (*CELL, "galleries")},
    "run_card": {"embedder": CELL, "metrics": (*CELL, "galleries", "weights", "made_from.embedder")},
    "compare_with_zero_shot": {
        "metrics": (*CELL, "galleries"),
        "breakdown": (*CELL, "galleries", "made_from.embeddings"),
        "zero_shot": _ANOTHER_METHODS,
    },
    "explain": {
        "embedder": CELL,
        "embeddings": (*CELL, "galleries", "made_from.embedder"),
        "checkpoint": (*CELL, "weights"),
        "zero_shot": _ANOTHER_METHODS,
    },
    "report": {
        "metrics": (*CELL, "galleries", "made_from.embeddings"),
        "breakdown": (*CELL, "galleries", "made_from.embeddings"),
        "embeddings": (*CELL, "galleries"),
        "run_card": (*CELL, "galleries", "made_from.metrics"),
        "clusters": (*CELL, "made_from.embedder"),
        "explanations": (*CELL, "galleries", "made_from.embeddings"),
        "differences": (*CELL, "galleries", "made_from.metrics"),
        "zero_shot": _ANOTHER_METHODS,
    },
}
"""By consumer and artefact: the fields of its origin that must be those of the run. What sets runs of different
origins beside each other (leaderboard, comparison, cross_benchmark) needs none, and shows what sets them apart."""


class Origin(BaseModel):
    """Who made an artefact, and from what; what is unknown, or does not matter, is None or empty."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    made_by: str  # the node that made it: "pcl.extract"; it makes it anew, too
    benchmark: str | None = None  # or the collection
    method: str | None = None
    variant: str = ""
    seed: int | None = None
    data: str | None = None  # SHA-256 of the split table's content (`splits.data_hash`)
    galleries: str | None = None  # SHA-256 of the sampled galleries
    parameters: dict[str, Any] = Field(default_factory=dict)  # all that it depends on, nested as in conf/
    weights: str | None = None  # SHA-256 of the weights that training started from; "random" where these were sampled
    made_from: dict[str, str] = Field(default_factory=dict)  # digest by name; of a training stage its fingerprint
    label_use: LabelUse = "none"  # in training it or what it was made from
    digest: str | None = None  # SHA-256 of its own content
    code: str  # version of this project
    device: str = ""  # "cpu", "cuda" ...
    threads: int = 0  # of the CPU
    processes: int = 1  # that trained together
    file: str = Field("", exclude=True)  # where it was read from; not stored

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides the result, but for rounding."""
        return digest_of_json(self.model_dump(mode="json", include=set(DECIDING)))

    def replace(self, **changes: Any) -> "Origin":
        """Return a copy with other values."""
        return self.model_copy(update=changes)


def require_match(consumer: str, artefact: str, origin: Origin | None, present: Origin) -> None:
    """Refuse an artefact that was not made by the run that uses it, as far as `consumer` says in `NEEDS`.

    Only parameters that both sides name are compared. What one side does not know (None) is no mismatch.

    Args:
        consumer: the node that uses it, without its method: "evaluate".
        artefact: what it is used as: "embeddings".
        origin: of the artefact; None if it was written by a version that noted none, which is refused.
        present: of the run; what the consumer itself knows.

    Raises:
        UserError: names the file, each field that differs with both values, and the node that makes it anew.
    """
    if origin is None:
        raise UserError(
            f"The {artefact} that {present.made_by} reads does not say what it was made from: it was written"
            " by an earlier version of this project. Make it anew: run the whole pipeline."
        )
    differing = list(mismatches(origin, present, NEEDS[consumer][artefact]))
    if differing:
        cases = [f"{name} was {_shown(old)} and is {_shown(new)}" for name, old, new in differing]
        where = f"{origin.file}, the {artefact}" if origin.file else f"The {artefact}"
        raise UserError(
            f"{where} that {present.made_by} reads, was not made by this run:"
            f" {first_few(cases)}. {origin.made_by} made it. Make it anew:"
            f" {_remedy(origin, [name for name, *_ in differing])}; or give the values that it was made with."
        )


_MADE_WITHOUT_TRAINING = ("made_from.", "parameters.report.")


def _remedy(origin: Origin, differing: Sequence[str]) -> str:
    """Return what makes an artefact anew: the first node whose result depends on what differs."""
    node, maker = origin.made_by, origin.made_by.partition(".")[0]  # a method, or import_model
    if all(name.startswith("parameters.evaluation.") for name in differing):
        early = any(name.rpartition(".")[2] in EXTRACTION for name in differing)
        node = f"{maker}.{'extract' if early else 'evaluate'}"
    elif not all(name.startswith(_MADE_WITHOUT_TRAINING) or name == "galleries" for name in differing):
        return f"run the whole pipeline again, kedro run --pipeline={maker}, with --env and --params"
    return f"run the pipeline from node {node} (--from-nodes={node}), or the whole"


def warn_of_rounding(origin: Origin | None, present: Origin, log: logging.Logger) -> None:
    """Say where code, device, thread or process count are not what they were: bits may differ."""
    if origin is None:
        return
    pairs = [(name, getattr(origin, name), getattr(present, name)) for name in _COMPUTED]
    differing = [f"{name} was {old} and is {new}" for name, old, new in pairs if old and new and old != new]
    if differing:
        log.warning("%s: bits may differ from those of an unbroken run.", "; ".join(differing).capitalize())


def mismatches(origin: Origin, present: Origin, fields: Sequence[str]) -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted name, its value, the run's value) of whatever differs in `fields`."""
    sides = [_completed(each) for each in (origin, present)]
    for name in fields:
        old, new = (_at(each, name) for each in sides)
        if old is not None and new is not None:
            yield from _differing(name, old, new)


def _completed(origin: Origin) -> Origin:
    """Return an origin whose blocks of parameters have what was added since it was written."""
    added = {name: values for name, values in _ADDED.items() if isinstance(origin.parameters.get(name), Mapping)}
    return origin.replace(parameters=merged(added, origin.parameters)) if added else origin


def _at(origin: Origin, name: str) -> Any:
    field, _, key = name.partition(".")
    value = getattr(origin, field)
    return value.get(key) if key else value


def _differing(name: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old} & {*new}):
            yield from _differing(f"{name}.{key}", old[key], new[key])
    elif old != new:
        yield name, old, new


def _shown(value: Any) -> str:
    """Return a value as messages show it; of a digest the beginning."""
    text = str(value)
    return text[:12] if len(text) == 64 and set(text) <= set("0123456789abcdef") else repr(value)


def inherited_label_use(own: LabelUse, started_from: LabelUse | None = None) -> LabelUse:
    """Return the label use of a training that started from an artefact: labels that were used once stay used.

    Training without labels that starts from a model trained with them has used those of the source.
    """
    if own != "none" or started_from in (None, "none"):
        return own
    return "partial" if started_from == "partial" else "source"
