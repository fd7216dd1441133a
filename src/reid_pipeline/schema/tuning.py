"""Parameters of a study: what is searched, how long, and on which identities it is scored."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.nested import merged
from reid_pipeline.schema.parameters import Natural, PositiveInt, Seed
from reid_pipeline.schema.record import Count, Record

JOURNAL = "journal://"
"""How a storage begins that is a file which machines share."""
_PASSWORD = re.compile(r"(?<=://)([^/@:]*):.*@")
_SECRET = re.compile(r"([?&][^=&]*(?:pass|pwd|secret|token|key)[^=&]*=)[^&\s]*", re.IGNORECASE)
_BY_DOTTED_NAME = BeforeValidator(lambda block: dotted(block) if isinstance(block, dict) else block)


class SearchedParameter(Parameters):
    """Where one parameter may lie."""

    type: Literal["float", "int", "categorical"]
    low: float | None = Field(None, description="smallest value, included")
    high: float | None = Field(None, description="largest value, included")
    step: float | None = Field(None, gt=0, description="of a grid that starts at low")
    log: bool = Field(False, description="sample the logarithm")
    relative: bool = Field(False, description="low, high and step are factors of the value in force")
    choices: tuple[bool | int | float | str | None, ...] = Field((), description="of a categorical parameter")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.type == "categorical":
            given = sorted(self.model_fields_set - {"type", "choices"})
            if given or len(set(map(repr, self.choices))) < 2:
                raise ValueError(
                    f"a categorical parameter needs at least two different choices and nothing else; got"
                    f" choices {list(self.choices)}" + (f" and {', '.join(given)}" if given else "")
                )
        elif self.low is None or self.high is None or self.choices:
            raise ValueError(f"type {self.type} needs low and high, and has no choices")
        elif self.low >= self.high:
            raise ValueError(f"low {self.low:g} must be below high {self.high:g}")
        return self

    @model_validator(mode="after")
    def _samplable(self) -> Self:
        if self.low is None or self.high is None:
            return self
        if self.log and self.low <= 0:
            raise ValueError(f"log needs low above 0, got {self.low:g}")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other: leave one out")
        if self.step is not None and self.step > self.high - self.low:
            raise ValueError(f"step {self.step:g} is longer than from low {self.low:g} to high {self.high:g}")
        fractions = [value for value in (self.low, self.high, self.step) if value is not None and value % 1]
        if self.type == "int" and not self.relative and fractions:
            raise ValueError(f"type int needs whole numbers, got {fractions[0]:g}. Write type: float")
        return self


class SamplerParameters(Parameters):
    """Optuna's tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011)."""

    seed: Seed = 0
    startup_trials: PositiveInt = Field(8, description="random trials before it learns")


class PrunerParameters(Parameters):
    """When a trial is given up."""

    name: Literal["median", "none"] = Field("median", description="below the median of the others at that epoch")
    startup_trials: Natural = Field(5, description="finished trials before any is given up")
    warmup_epochs: Natural = Field(1, description="epochs that a trial always gets")


class TuningParameters(Parameters):
    """A study."""

    trials: PositiveInt = Field(description="finished ones, given up or not, over all starts of the command")
    workers: PositiveInt = Field(1, description="processes of this command")
    score_every: PositiveInt = Field(1, description="epochs between scores; the last one always has one")
    dev_fraction: float = Field(0.3, gt=0, le=0.5, description="share of training identities that trials are scored on")
    dev_seed: Natural = Field(0, description="of their sample")
    storage: str | None = Field(
        None, description="of several machines: journal:///<shared file>, or a database's URL; null: among the results"
    )
    stale_hours: float = Field(0.25, gt=0, description="silence after which a trial of another machine counts as dead")
    sampler: SamplerParameters
    pruner: PrunerParameters
    search: dict[str, Annotated[dict[str, SearchedParameter | None], _BY_DOTTED_NAME]] = Field(
        description="by method and dotted name; null: not"
    )

    @model_validator(mode="after")
    def _sharable(self) -> Self:
        storage = self.storage
        if storage is None:
            return self
        shown = without_password(storage)
        if "://" not in storage or (storage.startswith(JOURNAL) and not self.journal.strip("/")):
            raise ValueError(
                f"storage {shown!r} is no URL: {JOURNAL} and the whole path of a file, such as"
                f" {JOURNAL}/shared/study.journal, or that of a database, such as postgresql://<user>@<host>/<name>"
            )
        if self.journal and not self.journal.startswith("/"):
            raise ValueError(f"storage {shown!r} needs a whole path, with three strokes: {JOURNAL}/{self.journal}")
        if storage.startswith("sqlite") and self.workers > 1:
            raise ValueError(
                f"storage {shown!r} is SQLite, which loses workers that start together: {JOURNAL}/<path> is for any"
                " number of them; or give workers=1"
            )
        return self

    @property
    def journal(self) -> str:
        """The path of the shared journal that `storage` names; empty where it names none."""
        found = self.storage or ""
        return found.removeprefix(JOURNAL) if found.startswith(JOURNAL) else ""


def without_password(storage: str) -> str:
    """Return a URL as it may be shown; of what is none, nothing that could be a user's name or password."""
    hidden = _SECRET.sub(r"\1***", storage)
    return _PASSWORD.sub(r"\1:***@", hidden) if "://" in hidden else hidden.rpartition("@")[2]


def dotted(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return a method's block by dotted name: a file has one key `memory.momentum`, the command line nests mappings."""
    found: dict[str, Any] = {}
    for name, value in block.items():
        nests = isinstance(value, Mapping) and value and all(isinstance(each, Mapping) for each in value.values())
        beneath = {f"{name}.{key}": each for key, each in dotted(value).items()} if nests else {name: value}
        found = merged(found, beneath)
    return found


class SearchedRange(Record):
    """What pages read of a searched parameter: its type, and whether its logarithm is searched."""

    model_config = ConfigDict(extra="ignore")

    type: str
    log: bool = False


class StudyTrial(Record):
    """A trial of a study."""

    number: Count  # from 0, in the order in which trials began
    state: str  # complete, pruned, fail, running or waiting
    value: float | None  # dev mAP after its last epoch; None unless it got there
    params: dict[str, Any]  # values that it was trained with, by dotted name
    scores: tuple[tuple[int, float], ...]  # (epoch, dev mAP)
    seconds: float | None
    worker: str | None  # the process that trained it
    stopped: str | None  # why it stopped early, where it gave a reason


class Study(Record):
    """trials.json: a study, as `tuning.study.study_record` returns it."""

    benchmark: str
    method: str
    name: str
    wanted: Count  # trials
    space: dict[str, SearchedRange]  # what is searched, by dotted name
    facts: dict[str, Any]  # what makes its trials comparable
    start_values: dict[str, Any]  # the parameters as configured
    trials: tuple[StudyTrial, ...]
    best: StudyTrial | None  # None where none was trained to the end
    start: StudyTrial | None  # that of the parameters as configured, where the space holds them
    importances: dict[str, float]  # share of the variance of the score, by parameter
    collection: str | None = None  # one's own images, of the environment `custom`
