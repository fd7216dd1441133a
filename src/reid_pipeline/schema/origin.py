"""Where an artefact comes from, and the check that it fits the run that uses it.

Whatever is computed carries an `Origin`: who made it, from which data, parameters, weights and other
artefacts. Whoever uses it says, in `NEEDS`, which fields must be those of the run that it works for. Fields
that only say where something was computed (code, device, threads) are recorded; a difference is a warning.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from reid_pipeline.schema.digests import digest_of_json
from reid_pipeline.schema.errors import UserError, first_few

LabelUse = Literal["none", "source", "partial", "all"]
"""Whose identity labels were used in training: nobody's; those of another collection that training started
from; those of some training images; those of all."""

_SHOWN = 12
DECIDING = ("benchmark", "method", "seed", "data", "parameters", "weights", "made_from")
"""What decides a result, but for rounding."""
_OBSERVED = ("code", "device", "threads")
"""What may change bits, and no more: a difference is a warning."""

EXTRACTION = {"splits", "flip_averaging", "batch_size"}
"""The parameters of the evaluation that decide embeddings."""
CELL = ("benchmark", "method", "seed", "data", "parameters")
_ANOTHER_METHODS = ("benchmark", "seed", "data", "galleries", "parameters.evaluation", "weights")
"""What zero_shot's results must share with those that are compared with them."""
NEEDS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "train": {"checkpoint": (*CELL, "weights")},
    "export": {"checkpoint": (*CELL, "weights")},
    "extract": {"embedder": CELL},
    "evaluate": {"embeddings": (*CELL, "galleries")},
    "run_card": {"embedder": CELL, "metrics": (*CELL, "galleries", "weights", "made_from.embedder")},
    "compare_with_zero_shot": {
        "metrics": (*CELL, "galleries"),
        "breakdown": (*CELL, "galleries", "made_from.embeddings"),
        "zero_shot": _ANOTHER_METHODS,
    },
    "report": {
        "metrics": (*CELL, "galleries", "made_from.embeddings"),
        "breakdown": (*CELL, "galleries", "made_from.embeddings"),
        "embeddings": (*CELL, "galleries"),
        "run_card": (*CELL, "galleries", "made_from.metrics"),
        "differences": (*CELL, "galleries", "made_from.metrics"),
        "zero_shot": _ANOTHER_METHODS,
    },
}
"""By consumer and artefact: the fields of its origin that must be those of the run.

The leaderboard, the comparison and cross_benchmark set runs of different origins beside each other, and need
none; they read each run's origin to say what sets it apart.
"""


class Origin(BaseModel):
    """Who made an artefact, and from what.

    Attributes:
        version: of this record.
        made_by: the node that made it: "pcl.extract"; it makes it anew, too.
        benchmark: name of the benchmark or collection; None for what belongs to none.
        method: the method.
        variant: its name in the address; empty for the parameters of conf/.
        seed: of the run.
        data: SHA-256 of the split table's content (`splits.data_hash`).
        galleries: SHA-256 of the drawn galleries.
        parameters: every parameter that it or what it was made from depends on, nested as in conf/.
        weights: SHA-256 of the weights that training started from; "random" where these were drawn; None
            where nobody noted it.
        made_from: by name, the digest of every artefact that it was made from; of a stage of training its
            fingerprint.
        label_use: whose identity labels were used, in training it or what it was made from.
        digest: SHA-256 of its own content.
        code: version of this project.
        device: "cpu", "cuda" ...; empty where it does not matter.
        threads: threads of the CPU; 0 where it does not matter.
        file: where it was read from; not stored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    made_by: str
    benchmark: str | None = None
    method: str | None = None
    variant: str = ""
    seed: int | None = None
    data: str | None = None
    galleries: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    weights: str | None = None
    made_from: dict[str, str] = Field(default_factory=dict)
    label_use: LabelUse = "none"
    digest: str | None = None
    code: str
    device: str = ""
    threads: int = 0
    file: str = Field("", exclude=True)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides the result, but for rounding."""
        return digest_of_json(self.model_dump(mode="json", include=set(DECIDING)))

    def replace(self, **changes: Any) -> "Origin":
        """Return a copy with other values."""
        return self.model_copy(update=changes)


def require_match(consumer: str, artefact: str, origin: Origin | None, present: Origin) -> None:
    """Refuse an artefact that was not made by the run that uses it, as far as `consumer` says in `NEEDS`.

    Of the parameters those are compared that both sides name. What one side does not know (None) is no
    mismatch, except that an artefact without an origin is refused where anything is needed of it.

    Args:
        consumer: the node that uses it, without its method: "evaluate".
        artefact: what it is used as: "embeddings".
        origin: of the artefact; None if it was written by a version that noted none.
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


def _remedy(origin: Origin, differing: Sequence[str]) -> str:
    """Return what makes an artefact anew: the first node whose result depends on what differs."""
    node = origin.made_by
    if all(name.startswith("parameters.evaluation.") for name in differing):
        early = any(name.rpartition(".")[2] in EXTRACTION for name in differing)
        node = f"{origin.method}.{'extract' if early else 'evaluate'}"
    elif not all(name.startswith("made_from.") or name == "galleries" for name in differing):
        return f"run the whole pipeline again, kedro run --pipeline={origin.method}, with --env and --params"
    return f"run the pipeline from node {node} (--from-nodes={node}), or the whole"


def warn_of_rounding(origin: Origin | None, present: Origin, log: logging.Logger) -> None:
    """Say where code, device or thread count are not what they were: bits may differ."""
    if origin is None:
        return
    pairs = [(name, getattr(origin, name), getattr(present, name)) for name in _OBSERVED]
    differing = [f"{name} was {old} and is {new}" for name, old, new in pairs if old and new and old != new]
    if differing:
        log.warning("%s: bits may differ from those of an unbroken run.", "; ".join(differing).capitalize())


def mismatches(origin: Origin, present: Origin, fields: Sequence[str]) -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted name, its value, the run's value) of whatever differs in `fields`."""
    for name in fields:
        old, new = _at(origin, name), _at(present, name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _leaves(name, old, new)
        elif old is not None and new is not None and old != new:
            yield name, old, new


def _at(origin: Origin, name: str) -> Any:
    first, *rest = name.split(".")
    value: Any = getattr(origin, first)
    for key in rest:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _leaves(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for key in sorted({*old} & {*new}):
        inside = f"{name}.{key}"
        if isinstance(old[key], Mapping) and isinstance(new[key], Mapping):
            yield from _leaves(inside, old[key], new[key])
        elif old[key] != new[key]:
            yield inside, old[key], new[key]


def _shown(value: Any) -> str:
    """Return a value as messages show it; of a digest the beginning."""
    text = str(value)
    return text[:_SHOWN] if len(text) == 64 and set(text) <= set("0123456789abcdef") else repr(value)


def inherited_label_use(own: LabelUse, started_from: LabelUse | None = None) -> LabelUse:
    """Return the label use of a training that started from an artefact of another label use.

    Labels that were used once stay used: a training without labels that starts from a model trained with
    them has used those of the source.
    """
    if own != "none" or started_from in (None, "none"):
        return own
    return "partial" if started_from == "partial" else "source"
