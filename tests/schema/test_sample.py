"""A sample's name in addresses, what is accepted as its size, and its short plans."""

import pytest

from reid_pipeline.methods import find_method
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.sample import SampledSide, caution, checked_identities, in_words, sample_name, shortened
from reid_pipeline.schema.sample import whole_and_identities as parsed

PLAN = {
    "epochs": 60,
    "iterations_per_epoch": 200,
    "batch_size": 64,
    "instances": 4,
    "learning_rate": 0.1,
    "warmup_epochs": 10,
    "milestones": [30, 50],
}
PCL = {"backbone": {"name": "demo-vit"}, "augmentation": {}, "memory": {"momentum": 0.2}}


def test_a_name_says_what_it_is_a_sample_of():
    assert sample_name("msmt17", 50) == "msmt17+sample=50"
    assert sample_name("msmt17", None) == "msmt17"
    assert parsed("my zoo+sample=7") == ("my zoo", 7)
    assert parsed("msmt17+sample50") == ("msmt17+sample50", None)
    assert in_words("msmt17+sample=50") == "msmt17, a sample of up to 50 identities"
    assert in_words("msmt17") == "msmt17"
    assert "no results of msmt17" in caution("msmt17+sample=50")
    assert caution("msmt17") == ""
    all_there_are = SampledSide(identities=8, of_identities=8, images=64, of_images=64)
    assert all_there_are.words("training") == "all 8 training identities (64 of 64 images)"


@pytest.mark.parametrize(("given", "identities"), [(50, 50), (2, 2), (True, 50), (False, None), (None, None)])
def test_what_is_accepted(given, identities):
    assert checked_identities(given) == identities


@pytest.mark.parametrize("given", [1, 0, -3, 2.5, "fifty", "50%", [50]])
def test_what_is_refused_is_answered_with_what_would_be_right(given):
    with pytest.raises(UserError, match=r"sample is .*a whole number from 2\. Give sample=50.*leave it out"):
        checked_identities(given)


@pytest.mark.parametrize(
    ("plan", "given", "short"),
    [
        ({}, {}, {"epochs": 6, "iterations_per_epoch": 20, "warmup_epochs": 1, "milestones": [3, 5]}),
        # The drops follow the epochs that are given, which stand: they lie over this layer.
        (
            {},
            {"pcl": {"plan": {"epochs": 12}}},
            {"epochs": 6, "iterations_per_epoch": 20, "warmup_epochs": 2, "milestones": [6, 10]},
        ),
        ({"iterations_per_epoch": None}, {}, {"epochs": 6, "warmup_epochs": 1, "milestones": [3, 5]}),
        ({"warmup_epochs": 0, "milestones": [1, 2]}, {}, {
            "epochs": 6, "iterations_per_epoch": 20, "warmup_epochs": 0, "milestones": [1],
        }),
        ({"epochs": 4, "iterations_per_epoch": 10}, {}, {"epochs": 4, "iterations_per_epoch": 10}),
    ],
)  # fmt: skip
def test_a_plan_is_shortened_in_proportion(plan, given, short):
    parameters = {"pcl": {**PCL, "plan": {**PLAN, **plan}}}
    assert shortened(parameters, given, {"pcl": find_method("pcl").params}) == {"pcl": {"plan": short}}


def test_a_short_plan_is_not_shortened_again():
    models = {"pcl": find_method("pcl").params}
    once = shortened({"pcl": {**PCL, "plan": PLAN}}, {}, models)["pcl"]["plan"]
    again = shortened({"pcl": {**PCL, "plan": {**PLAN, **once}}}, {}, models)["pcl"]["plan"]
    assert again == {"epochs": 6, "iterations_per_epoch": 20}
