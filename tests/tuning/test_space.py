"""Search spaces: what conf/ says, against the parameters that a method has."""

from typing import Any

import optuna
import pytest
from pydantic import Field, ValidationError, model_validator

from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.tuning import SearchedParameter, TuningParameters, dotted
from reid_pipeline.tuning.space import configured, distributions, nested, parameter_names, search_space


class Plan(Parameters):
    rate: float = Field(gt=0, le=1)
    floor: float = 0.001
    epochs: int = Field(3, ge=1)

    @model_validator(mode="after")
    def _above(self) -> "Plan":
        if self.floor > self.rate:
            raise ValueError(f"floor {self.floor:g} is above rate {self.rate:g}")
        return self


class Toy(Parameters):
    plan: Plan
    update: str = Field("hard", pattern="hard|mean")


GIVEN = {"plan": {"rate": 0.1}}
RANGE = {"type": "float", "low": 0.1, "high": 0.5}


def tuning(search: dict[str, Any]) -> TuningParameters:
    return TuningParameters(trials=3, sampler={}, pruner={}, search=search)


def space(block: dict[str, Any], given: dict[str, Any] = GIVEN) -> dict[str, SearchedParameter]:
    return search_space("toy", Toy, given, tuning({"toy": block}))


def test_names_and_values() -> None:
    assert list(parameter_names(Toy)) == ["plan.rate", "plan.floor", "plan.epochs", "update"]
    assert nested({"plan.rate": 1, "plan.epochs": 2, "update": "x"}) == {
        "plan": {"rate": 1, "epochs": 2},
        "update": "x",
    }
    found = space({"plan.rate": RANGE, "plan.epochs": {"type": "int", "low": 1, "high": 9, "step": 2}})
    assert configured(found, Toy.model_validate(GIVEN)) == {"plan.rate": 0.1, "plan.epochs": 3}


def test_relative_ranges_follow_the_value_in_force() -> None:
    relative = {"type": "float", "low": 0.5, "high": 4, "log": True, "relative": True}
    found = space({"plan.rate": relative})["plan.rate"]
    assert (found.low, found.high, found.log, found.relative) == (0.05, 0.4, True, False)
    whole = space({"plan.epochs": {"type": "int", "low": 0.1, "high": 2.5, "relative": True}})
    assert (whole["plan.epochs"].low, whole["plan.epochs"].high) == (1, 8)  # of 3: 0.3 and 7.5
    with pytest.raises(UserError, match=r"update is 'hard', of which low and high cannot be factors"):
        space({"update": relative})


def test_distributions_are_optunas() -> None:
    found = space(
        {
            "plan.rate": {**RANGE, "log": True},
            "plan.floor": {"type": "float", "low": 0.0, "high": 0.1, "step": 0.05},
            "plan.epochs": {"type": "int", "low": 1, "high": 9, "step": 2},
            "update": {"type": "categorical", "choices": ["hard", "mean"]},
        }
    )
    made = optuna.distributions
    assert distributions(found) == {
        "plan.rate": made.FloatDistribution(0.1, 0.5, log=True),
        "plan.floor": made.FloatDistribution(0.0, 0.1, step=0.05),
        "plan.epochs": made.IntDistribution(1, 9, step=2),
        "update": made.CategoricalDistribution(("hard", "mean")),
    }


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ({"plan.rte": RANGE}, r"names 'plan.rte', which toy does not have. Did you mean 'plan.rate'\?"),
        ({"plan.rate": {**RANGE, "high": 2}}, r"plan.rate = 2.0 is refused. .*less than or equal to 1"),
        ({"plan.rate": {**RANGE, "low": 0.0001}}, r"rate = 0.0001 is refused. .*floor 0.001 is above rate"),
        ({"update": {"type": "categorical", "choices": ["hard", "soft"]}}, r"update = 'soft' is refused"),
        ({}, r"tuning.search names no parameter of 'toy'"),
        ({"plan.rate": None}, r"tuning.search names no parameter of 'toy'"),
    ],
)
def test_what_does_not_fit_the_method(block: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        space(block)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({**RANGE, "low": 0.6}, "low 0.6 must be below high 0.5"),
        ({**RANGE, "low": 0.5}, "low 0.5 must be below high 0.5"),
        ({"type": "float", "low": 1}, "type float needs low and high"),
        ({**RANGE, "choices": [1, 2]}, "has no choices"),
        ({**RANGE, "low": 0, "log": True}, "log needs low above 0, got 0"),
        ({**RANGE, "log": True, "step": 0.1}, "log and step exclude each other"),
        ({**RANGE, "step": 0.5}, "step 0.5 is longer than from low 0.1 to high 0.5"),
        ({"type": "int", "low": 1, "high": 2.5}, "type int needs whole numbers, got 2.5"),
        ({"type": "categorical", "choices": ["a"]}, "at least two different choices"),
        ({"type": "categorical", "choices": ["a", "a"]}, "at least two different choices"),
        ({"type": "categorical", "choices": [1, 2], "low": 1}, "nothing else; got choices .* and low"),
        ({**RANGE, "hight": 1}, "unknown parameter 'hight'. Did you mean 'high'"),
        ({"type": "flot", "low": 1, "high": 2}, "'float', 'int' or 'categorical'"),
    ],
)
def test_ranges_that_are_none(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        tuning({"toy": {"plan.rate": given}})


def test_the_command_lines_mappings_are_merged_into_the_files_names() -> None:
    block = {"plan.rate": RANGE, "update": None, "plan": {"rate": {"low": 0.2}, "epochs": {"type": "int"}}}
    assert dotted(block) == {"plan.rate": {**RANGE, "low": 0.2}, "update": None, "plan.epochs": {"type": "int"}}
    assert space({"plan.rate": RANGE, "plan": {"rate": {"low": 0.2}}})["plan.rate"].low == 0.2
