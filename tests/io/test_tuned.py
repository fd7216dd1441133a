"""A study's parameters: all of its method's, of files of this version and of an earlier one."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from published import published

from reid_pipeline.io.tuned import read_tuned
from reid_pipeline.methods import find_method
from reid_pipeline.schema.errors import UserError
from reid_pipeline.tuning.space import parameter_names

SEARCHED = {"plan.learning_rate": 0.5, "memory.temperature": 0.07}


def block() -> dict[str, Any]:
    found: dict[str, Any] = find_method("pcl").params.model_validate(published("pcl")).model_dump(mode="json")
    found["plan"]["epochs"] = 4
    found["plan"]["learning_rate"], found["memory"]["temperature"] = SEARCHED.values()
    return found


def write(folder: Path, values: Any, *, facts: bool = True, left_out: str = "") -> Path:
    whole = block()
    fixed = {}
    for name in parameter_names(find_method("pcl").params):
        place = whole
        for part in name.split("."):
            place = place[part]
        if name not in SEARCHED and name != left_out:
            fixed[name] = place
    if facts:
        record = {"facts": {"parameters": fixed, "seed": 0}, "best": {"params": SEARCHED}}
        (folder / "trials.json").write_text(json.dumps(record))
    file = folder / "parameters.yml"
    file.write_text(yaml.safe_dump(values))
    return file


OLD = {"pcl": {"plan": {"learning_rate": 0.5}, "memory": {"temperature": 0.07}}}


def test_the_whole_block_is_taken_as_it_is(tmp_path: Path) -> None:
    assert read_tuned(write(tmp_path, {"pcl": block()}, facts=False), "pcl") == {"pcl": block()}


def test_what_an_earlier_version_left_out_is_in_the_trials(tmp_path: Path) -> None:
    assert read_tuned(write(tmp_path, OLD), "pcl/short") == {"pcl": block()}


def test_a_value_edited_by_hand_stands(tmp_path: Path) -> None:
    edited = {"pcl": {"plan": {"learning_rate": 0.25}}}
    found = read_tuned(write(tmp_path, edited), "pcl")["pcl"]
    assert (found["plan"]["learning_rate"], found["memory"]["temperature"]) == (0.25, 0.07)


@pytest.mark.parametrize("trials", [None, "{", "[]", '{"facts": {"parameters": {}}, "best": null}'])
def test_without_the_trials_it_is_refused(tmp_path: Path, trials: str | None) -> None:
    file = write(tmp_path, OLD, facts=False)
    if trials is not None:
        (tmp_path / "trials.json").write_text(trials)
    says = r"does not say what the study had for recipe, backbone\.name, .* and \d+ more, nor does trials\.json"
    with pytest.raises(UserError, match=says):
        read_tuned(file, "pcl")


def test_a_parameter_that_the_study_did_not_know_is_named(tmp_path: Path) -> None:
    file = write(tmp_path, OLD, left_out="label_smoothing")
    with pytest.raises(UserError, match=r"had for label_smoothing, nor does.*method=pcl,study=<another name>"):
        read_tuned(file, "pcl")


def test_what_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tuned is 'pcl', and there is nothing in"):
        read_tuned(tmp_path / "parameters.yml", "pcl")
    with pytest.raises(UserError, match=r"does not hold parameters of 'pcl'"):
        read_tuned(write(tmp_path, {"baseline": {}}), "pcl")
    with pytest.raises(UserError, match=r"There is no method 'plc'\. Did you mean 'pcl'\?"):
        read_tuned(tmp_path / "parameters.yml", "plc")
