"""Numbers in parameters: finite, no truth values, of a size that can be counted with."""

import json
import math
import re
from types import UnionType
from typing import Any, Union, get_args, get_origin

import pytest
import yaml
from kedro.framework.cli.utils import _split_params
from pydantic import BaseModel, ValidationError

from reid_drawings import SyntheticBenchmark
from reid_drawings.parameters import Parameters as DrawnParameters
from reid_pipeline.methods import find_method, method_names
from reid_pipeline.pipelines.pretrain_demo_clip import PretrainingParameters
from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.errors import explain
from reid_pipeline.schema.parameters import (
    AugmentationParameters,
    BackboneParameters,
    ComputeParameters,
    EvaluationParameters,
    SharedParameters,
    TrainingPlan,
)
from reid_pipeline.schema.tuning import SearchedParameter, TuningParameters

PLAN = {"epochs": 60, "iterations_per_epoch": 200, "batch_size": 256, "instances": 16, "learning_rate": 3.5e-4}
RANGE = {"type": "float", "low": 0.1, "high": 1.0}
CHOICES = {"type": "categorical", "choices": [1, 2]}
NAMED = {"name": "demo-vit"}


def fault(model: type[BaseModel], given: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(given)
    return explain(caught.value, "pcl.plan")


def every_model() -> list[type[BaseModel]]:
    """All models that a user's parameters are read by, nested ones included."""
    found: list[type[BaseModel]] = []
    waiting: list[Any] = [find_method(name).params for name in method_names()]
    waiting += [SharedParameters, TuningParameters, PretrainingParameters, SyntheticBenchmark]
    while waiting:
        each = waiting.pop()
        if get_args(each):
            waiting += get_args(each)
        elif isinstance(each, type) and issubclass(each, BaseModel) and each not in found:
            found.append(each)
            waiting += [field.annotation for field in each.model_fields.values()]
    return found


def takes(annotation: Any, wanted: type) -> bool:
    if get_origin(annotation) in {Union, UnionType}:
        return any(takes(each, wanted) for each in get_args(annotation))
    return annotation is wanted


def names_of(model: type[BaseModel], *wanted: type) -> list[str]:
    """The fields of a model that take one of these types."""
    fields = model.model_fields.items()
    return [name for name, field in fields if any(takes(field.annotation, each) for each in wanted)]


def test_every_model_of_parameters_is_one_of_the_two_bases():
    assert all(issubclass(model, Parameters | DrawnParameters) for model in every_model())
    assert len(every_model()) > 25


def test_no_field_takes_what_is_not_finite():
    """Of all that is wrong with a model of one value, the value's own fault says that it is not finite."""
    values = [math.inf, -math.inf, math.nan, "inf", "-Infinity", "NaN", "1e400"]
    tried = [(model, name, value) for model in every_model() for name in names_of(model, float) for value in values]
    assert len(tried) > 500
    assert [case for case in tried if not any("finite" in line for line in faults(*case))] == []


def test_no_number_is_a_truth_value():
    tried = [(model, name) for model in every_model() for name in names_of(model, float, int)]
    assert len(tried) > 150
    says = "a number is needed, and true is a truth value"
    assert [case for case in tried if not any(says in line for line in faults(*case, True))] == []


def faults(model: type[BaseModel], name: str, value: Any) -> list[str]:
    lines = fault(model, {name: value}).splitlines()
    return [line for line in lines if line.startswith(f"Parameter pcl.plan.{name}:")]


@pytest.mark.parametrize(
    ("model", "given", "says"),
    [
        (
            TrainingPlan,
            {**PLAN, "learning_rate": math.inf},
            "Parameter pcl.plan.learning_rate: a finite number is needed",
        ),
        (TrainingPlan, {**PLAN, "learning_rate": "inf"}, "learning_rate: a finite number is needed, and inf is none"),
        (TrainingPlan, {**PLAN, "milestones": [True, 2]}, "milestones: a number is needed, and true is a truth value"),
        (TrainingPlan, {**PLAN, "epochs": 10**30}, "epochs: a number of 31 digits is too large to compute with"),
        (TrainingPlan, {**PLAN, "epochs": 1e30}, r"epochs: 1e\+30 is too large"),
        (TrainingPlan, {**PLAN, "epochs": "1e30"}, r"epochs: 1e\+30 is too large"),
        (TrainingPlan, {**PLAN, "learning_rate": 1e300}, r"learning_rate: 1e\+300 is too large .*; at most 1e\+15 is"),
        (TrainingPlan, {**PLAN, "learning_rate": 10**18}, "learning_rate: a number of 19 digits is too large"),
        (TrainingPlan, {**PLAN, "epochs": "0x10"}, "epochs: .*unable to parse string as an integer; given '0x10'"),
        (TrainingPlan, {**PLAN, "epochs": 2.5}, "epochs: .*fractional part; given 2.5"),
        (TrainingPlan, {**PLAN, "weight_decay": 10**400}, "weight_decay: a number of 401 digits is too large"),
        (BackboneParameters, {**NAMED, "pixel_mean": [0.5, math.nan, 0.5]}, "pixel_mean: a finite number is needed"),
        (BackboneParameters, {**NAMED, "pixel_std": (0.5, math.inf, 0.5)}, "pixel_std: a finite number is needed"),
        (BackboneParameters, {**NAMED, "pixel_std": ["0.5", "inf", 0.5]}, "pixel_std: a finite number is needed"),
        (BackboneParameters, {**NAMED, "image_size": [96, 10**9]}, "image_size.1: .*less than or equal to 8192"),
        (BackboneParameters, {**NAMED, "image_size": [96, True]}, "image_size: a number is needed"),
        (AugmentationParameters, {"erasing_area": [math.nan, 0.4]}, "erasing_area: a finite number is needed"),
        (AugmentationParameters, {"padding": 10**12}, "padding: .*less than or equal to 1000"),
        (ComputeParameters, {"threads": 10**6}, "threads: .*less than or equal to 1024"),
        (EvaluationParameters, {"max_rank": 10**12}, "max_rank: .*less than or equal to 1000000"),
        (EvaluationParameters, {"resamples": 10**12}, "resamples: .*less than or equal to 1000000"),
        (SearchedParameter, {**RANGE, "high": math.inf}, "high: a finite number is needed, and inf is none"),
        (SearchedParameter, {**RANGE, "low": math.nan}, "low: a finite number is needed, and nan is none"),
        (SearchedParameter, {**CHOICES, "choices": [1.0, math.inf]}, "choices: a finite number is needed"),
        (SyntheticBenchmark, {"jpeg_quality": [True, 50]}, "jpeg_quality: a number is needed, and true"),
    ],
)
def test_what_is_no_number_is_refused_in_one_line(model, given, says):
    text = fault(model, given)
    assert len(text.splitlines()) == 1
    assert re.search(says, text), text


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"epochs": "5"}, 5),
        ({"epochs": 3.0}, 3),
        ({"epochs": 1_000}, 1000),
        ({"batch_size": 16 * 10**12}, 16 * 10**12),
        ({"learning_rate": "1e-4"}, 1e-4),
        ({"learning_rate": 1}, 1.0),
        ({"bias_weight_decay": None}, None),
    ],
)
def test_plain_numbers_are_read_as_before(given, read):
    (name,) = given
    assert getattr(TrainingPlan.model_validate({**PLAN, **given}), name) == read


def test_truth_values_stay_where_they_belong():
    assert EvaluationParameters(camera_filter=False).camera_filter is False
    assert SearchedParameter(type="categorical", choices=(True, False)).choices == (True, False)


def test_a_negative_zero_is_zero():
    """They are equal, but not in JSON: the fingerprint of a run would differ."""
    plans = [TrainingPlan.model_validate({**PLAN, "weight_decay": zero}) for zero in (0, 0.0, -0.0)]
    assert len({json.dumps(plan.model_dump(mode="json")) for plan in plans}) == 1


@pytest.mark.parametrize("text", [".inf", "-.INF", ".nan", "1e400", "1.0e+400"])
def test_as_a_file_says_it(text):
    rate = yaml.safe_load(f"rate: {text}")["rate"]
    assert "finite" in fault(TrainingPlan, {**PLAN, "learning_rate": rate})


@pytest.mark.parametrize("text", ["inf", "-inf", "nan", "1e400", "Infinity"])
def test_as_the_command_line_says_it(text):
    rate = _split_params(None, None, f"rate={text}")["rate"]
    assert "finite" in fault(TrainingPlan, {**PLAN, "learning_rate": rate})
