"""A sample of a benchmark: what it is called in every address, what is noted of it, and its short training."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.nested import merged, nested
from reid_pipeline.schema.parameters import TrainingPlan
from reid_pipeline.schema.record import Count, Record

SAMPLE = "sample"
"""The parameter: identities to train on, and as many to test on; null: the whole benchmark."""
DEFAULT_IDENTITIES = 50
"""What `sample=true` means."""
EPOCHS, ITERATIONS = 6, 20
"""The longest training of a sample: a tenth of the 60 epochs of 200 iterations that the papers have."""
IMAGES_EACH = 20
"""Images for every identity asked for where no identity is known; published benchmarks have 17 to 65 of each."""
_NAME = re.compile(r"(?P<whole>.+)\+sample=(?P<identities>[0-9]+)")
_LENGTHS = ("epochs", "iterations_per_epoch", "warmup_epochs", "milestones")
"""The parameters of a plan that a sample changes."""

Models = Mapping[str, type[Parameters]]


class SampledSide(Record):
    """What was sampled of the training or of the test, and how much there is of it."""

    identities: Count
    images: Count
    of_identities: Count
    of_images: Count

    def words(self, name: str) -> str:
        """Return it in words: "50 of 751 training identities (850 of 12,936 images)"."""
        images = f"{self.images:,} of {self.of_images:,} images"
        if not self.of_identities:
            return f"{images} for {name}, of no known identity"
        share = "all" if self.identities == self.of_identities else f"{self.identities:,} of"
        return f"{share} {self.of_identities:,} {name} identities ({images})"


class SampleFacts(Record):
    """What a sample is of: noted in reading.json, in summary.json and in the split table."""

    train: SampledSide
    test: SampledSide
    # Of the whole's split `train`: how many identities have how many images; the rest have no identity.
    images_per_identity: tuple[tuple[Count, Count], ...] = ()
    training_images: Count
    test_images: Count  # of the whole's query, gallery and test

    @property
    def sentence(self) -> str:
        """What the sample is, in a sentence."""
        sides = {"training": self.train, "test": self.test}
        return f"A sample: {' and '.join(side.words(name) for name, side in sides.items() if side.of_images)}."


def checked_identities(value: Any) -> int | None:
    """Return the parameter as a number of identities, None for the whole benchmark.

    Raises:
        UserError: it is neither a whole number from 2 nor a truth value.
    """
    if value is None or isinstance(value, bool):
        return DEFAULT_IDENTITIES if value else None
    if not isinstance(value, int) or value < 2:
        raise UserError(
            f"Parameter {SAMPLE} is {value!r}: it is how many identities to train on, and as many to test on, a whole"
            f" number from 2. Give {SAMPLE}={DEFAULT_IDENTITIES}, which is a good one ({SAMPLE}=true says the same), or"
            " leave it out for the whole benchmark."
        )
    return value


def sample_name(benchmark: str, identities: int | None) -> str:
    """Return what stands in the place of the benchmark in every address: "msmt17+sample=50"."""
    return benchmark if identities is None else f"{benchmark}+{SAMPLE}={identities}"


def whole_and_identities(benchmark: str) -> tuple[str, int | None]:
    """Return the benchmark that a name is of, and the identities of a sample; None for the whole."""
    found = _NAME.fullmatch(benchmark)
    return (found["whole"], int(found["identities"])) if found else (benchmark, None)


def in_words(benchmark: str) -> str:
    """Return a benchmark's name as pages write it: "msmt17, a sample of up to 50 identities"; there may be fewer."""
    whole, identities = whole_and_identities(benchmark)
    return whole if identities is None else f"{whole}, a sample of up to {identities:,} identities"


def caution(benchmark: str) -> str:
    """Return what a page says of figures of a sample; empty for the whole."""
    whole, identities = whole_and_identities(benchmark)
    if identities is None:
        return ""
    return (
        f"These are figures of a sample of up to {identities:,} identities of {whole}, trained for a short time: they"
        f" show that all runs, and are no results of {whole}. Among fewer identities everybody is found more easily, so"
        " they stand beside no published figure and beside no run of the whole."
    )


def shortened(parameters: Mapping[str, Any], given: Mapping[str, Any], models: Models) -> dict[str, Any]:
    """Return a layer of parameters, nested, with which every plan of `parameters` is that of a sample.

    Plans have `EPOCHS` epochs of `ITERATIONS` iterations at most; warm-up and milestones are moved in the same
    proportion, by the epochs in `given` where these are given. What is given stands, since it lies over this layer.
    """
    layer: dict[str, Any] = {}
    for method, path, plan in _plans(parameters, models):
        asked = _at(given, [method, *path, "epochs"])
        epochs = min(plan.epochs, EPOCHS)
        share = (asked if isinstance(asked, int) and asked > 0 else epochs) / plan.epochs
        short: dict[str, Any] = {"epochs": epochs}
        if plan.iterations_per_epoch is not None:
            short["iterations_per_epoch"] = min(plan.iterations_per_epoch, ITERATIONS)
        if share < 1:
            short["warmup_epochs"] = max(1, round(plan.warmup_epochs * share)) if plan.warmup_epochs else 0
            short["milestones"] = sorted({max(1, round(each * share)) for each in plan.milestones})
        layer = merged(layer, nested({".".join([method, *path]): short}))
    return layer


def lengths(
    parameters: Mapping[str, Any], models: Models, of_sample: Sequence[Mapping[str, Any]] = ()
) -> dict[str, dict[str, Any]]:
    """Return how long the plans of each method are, by dotted name without the method's.

    A method is left out whose lengths a layer of `of_sample` gives, the card or study of a sample: what its plan is on
    the whole is not known.
    """
    found: dict[str, dict[str, Any]] = {}
    for method, path, plan in _plans(parameters, models):
        values = plan.model_dump(mode="json", include=set(_LENGTHS))
        found.setdefault(method, {}).update({".".join([*path, name]): value for name, value in values.items()})
    return {name: plans for name, plans in found.items() if not any(_held(each, name, plans) for each in of_sample)}


def _held(layer: Mapping[str, Any], method: str, plans: Mapping[str, Any]) -> bool:
    """Return whether a layer of parameters gives one of a method's lengths, which are named as in `lengths`."""
    return any(_at(layer, [method, *name.split(".")]) is not None for name in plans)


def _plans(parameters: Mapping[str, Any], models: Models) -> Iterator[tuple[str, list[str], TrainingPlan]]:
    """Yield method, path and plan; what cannot be read is left to the check of all parameters."""
    for method, model in models.items():
        try:
            read = model.model_validate(parameters.get(method))
        except ValidationError:
            continue
        for path in _plan_paths(read):
            plan = read
            for name in path:
                plan = getattr(plan, name)
            if isinstance(plan, TrainingPlan):
                yield method, path, plan


def _plan_paths(block: Parameters) -> Iterator[list[str]]:
    for name in type(block).model_fields:
        value = getattr(block, name)
        if isinstance(value, TrainingPlan):
            yield [name]
        elif isinstance(value, Parameters):
            yield from ([name, *path] for path in _plan_paths(value))


def _at(values: Any, path: Sequence[str]) -> Any:
    for name in path:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values
