"""The later layer wins, within one the method's own; what a run has that conf/ has not; names of cells."""

from typing import Any, ClassVar

import pytest
from pydantic import field_validator

from reid_pipeline.schema.base import Parameters, RecipeParameters
from reid_pipeline.schema.layers import Layer, Layers, differences, resolved
from reid_pipeline.schema.parameters import BackboneParameters


class ZeroShotParameters(Parameters):
    backbone: BackboneParameters

    @field_validator("backbone")
    @classmethod
    def _nothing_learnt(cls, value: BackboneParameters) -> BackboneParameters:
        assert value.sie == "none"
        return value


class LearnerParameters(RecipeParameters):
    RECIPES: ClassVar = {"released": {"rate": 1.0, "decay": 0.5}, "corrected": {"rate": 2.0, "decay": 0.5}}

    backbone: BackboneParameters
    rate: float
    decay: float
    steps: int = 3


MODELS: dict[str, type[Parameters]] = {
    "zero_shot": ZeroShotParameters,
    "learner": LearnerParameters,
    "other": LearnerParameters,
}
SHARED: dict[str, Any] = {
    "benchmark": "b",
    "seed": 0,
    "compute": {"device": "auto", "precision": "auto", "threads": 0},
    "ingestion": {"reader": "custom", "strict_counts": False},
    "splits": {"seed": 0},
    "evaluation": {"query_expansion": 0},
    "report": {"top": 10},
}
BASE: dict[str, Any] = {
    **SHARED,
    "backbone": {"name": "A", "image_size": [8, 8], "sie": "camera"},
    "zero_shot": {},
    "learner": {"recipe": "released"},
    "other": {},
}


def in_force(*layers: dict[str, Any], conf: int = 2) -> dict[str, Any]:
    return resolved([BASE, *layers], conf, MODELS)


class TestResolved:
    def test_the_shared_backbone_is_every_methods_and_zero_shot_takes_nothing_learnt(self):
        found = in_force()
        assert found["learner"]["backbone"] == found["other"]["backbone"] == BASE["backbone"]
        assert found["zero_shot"]["backbone"] == {"name": "A", "image_size": [8, 8]}

    def test_within_a_layer_the_methods_own_wins(self):
        found = in_force({"backbone": {"name": "B", "image_size": [4, 4]}, "learner": {"backbone": {"name": "C"}}})
        assert (found["learner"]["backbone"]["name"], found["other"]["backbone"]["name"]) == ("C", "B")
        assert found["learner"]["backbone"]["image_size"] == [4, 4]

    @pytest.mark.parametrize("place", range(4))
    def test_a_later_shared_one_beats_an_earlier_own(self, place):
        """Environment, overlay, tuned, command line: each over all before it."""
        layers: list[dict[str, Any]] = [{} for _ in range(5)]
        layers[place] = {"learner": {"backbone": {"name": "own"}}}
        layers[place + 1] = {"backbone": {"name": "shared"}}
        found = in_force(*layers)
        assert {found[name]["backbone"]["name"] for name in MODELS} == {"shared"}

    def test_what_is_no_mapping_is_left_for_the_check(self):
        assert in_force({}, {"backbone": 5})["backbone"] == 5
        assert in_force({}, {"learner": 5, "backbone": {"name": "B"}})["learner"] == 5
        assert in_force({}, {"learner": {"backbone": 5}})["learner"]["backbone"] == 5


class TestZeroShotFollows:
    def zero_shot(self, *layers: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = in_force({}, *layers)["zero_shot"]["backbone"]
        return found

    def test_one_methods_own_backbone(self):
        given = {"learner": {"backbone": {"name": "B", "image_size": [4, 4], "sie": "both"}}}
        assert self.zero_shot(given) == {"name": "B", "image_size": [4, 4]}

    def test_several_where_they_agree(self):
        given = {
            "learner": {"backbone": {"name": "B", "image_size": [4, 4]}},
            "other": {"backbone": {"name": "B", "image_size": [2, 2]}},
        }
        assert self.zero_shot(given) == {"name": "B", "image_size": [8, 8]}

    def test_its_own_and_the_shared_one_are_over_it(self):
        given: dict[str, Any] = {"learner": {"backbone": {"name": "B", "image_size": [4, 4]}}}
        own = {"zero_shot": {"backbone": {"name": "C"}}}
        assert self.zero_shot(given | own) == {"name": "C", "image_size": [4, 4]}
        assert self.zero_shot(given | {"backbone": {"name": "D"}})["name"] == "D"

    def test_a_later_layer_over_an_earlier_shared_one(self):
        assert self.zero_shot({"backbone": {"name": "B"}}, {"learner": {"backbone": {"name": "C"}}})["name"] == "C"

    def test_what_repeats_conf_moves_nothing(self):
        """A run card holds the whole backbone; a recipe may give it another filter than that of zero_shot."""
        whole = {"name": "A", "image_size": [8, 8], "resize": "bicubic", "sie": "camera"}
        assert self.zero_shot({"learner": {"backbone": whole}}) == {"name": "A", "image_size": [8, 8]}

    def test_conf_does_not_move_it(self):
        assert in_force({"learner": {"backbone": {"name": "B"}}})["zero_shot"]["backbone"]["name"] == "A"


class TestDifferences:
    def of(self, given: dict[str, Any], method: str = "learner") -> dict[str, Any]:
        return differences(in_force({}), in_force({}, given), method, MODELS)

    def test_its_own_without_its_name_and_the_shared_with_theirs(self):
        given = {"learner": {"steps": 5}, "evaluation": {"query_expansion": 2}, "splits": {"seed": 1}}
        assert self.of(given) == {"steps": 5, "evaluation.query_expansion": 2, "splits.seed": 1}
        assert self.of(given, "other") == {"evaluation.query_expansion": 2, "splits.seed": 1}

    @pytest.mark.parametrize(
        "given",
        [
            {"learner": {"steps": 3}},
            {"learner": {"steps": "3", "rate": 1}},
            {"learner": {"backbone": {"image_size": (8, 8)}}},
            {"report": {"top": 3}},
            {"compute": {"threads": 2, "device": "cpu", "deterministic": False}},
            {"ingestion": {"strict_counts": True}},
            {"tuning": {"trials": 3}, "pretrain_demo_clip": {}},
            {"seed": 3, "raw_root": "x", "collection": "c", "overlay": "o", "variant": "v"},
            {"tuned": "learner", "method": "learner", "study": "s"},
            {"evaluation": {}},
        ],
    )
    def test_what_changes_no_figure_is_none(self, given):
        assert self.of(given) == {}

    @pytest.mark.parametrize(
        ("given", "found"),
        [
            ({"compute": {"precision": "bfloat16", "threads": 2}}, {"compute.precision": "bfloat16"}),
            ({"ingestion": {"on_unreadable": "skip"}}, {"ingestion.on_unreadable": "skip"}),
            ({"synthetic": {"seed": 4}}, {"synthetic.seed": 4}),
            ({"backbone": {"name": "B"}}, {"backbone.name": "B"}),
            ({"new_parameter": {"of": 1}}, {"new_parameter.of": 1}),
        ],
    )
    def test_what_may_change_one_is_one(self, given, found):
        assert self.of(given) == found

    def test_what_follows_from_another_is_none(self):
        """A recipe fills in; a run card that holds what it filled in differs by the recipe alone."""
        assert self.of({"learner": {"recipe": "corrected"}}) == {"recipe": "corrected"}
        whole = {"recipe": "corrected", "rate": 2.0, "decay": 0.5, "steps": 3}
        assert self.of({"learner": whole}) == {"recipe": "corrected"}

    def test_what_is_refused_later_is_compared_as_it_is(self):
        assert self.of({"learner": {"steps": "many"}}) == {"steps": "many"}
        assert self.of({"learner": {"stpes": 4}}) == {"stpes": 4}


class TestNames:
    def names(self, *named: Layer, given: dict[str, Any] | None = None, variant: str | None = None):
        layers = Layers([BASE, {}], named, given or {}, MODELS)
        cells = layers.cells(benchmark="b", seed=3, variant=variant)
        return {name: cell.variant for name, cell in cells.items()}

    RN: ClassVar = Layer({"backbone": {"name": "B"}, "learner": {"steps": 9}}, "rn50")

    def test_conf_has_no_name(self):
        assert self.names() == {"zero_shot": "", "learner": "", "other": ""}

    def test_what_differs_names_it(self):
        given = {"learner": {"steps": 5, "rate": 0.5}}
        assert self.names(given=given) == {"zero_shot": "", "learner": "rate=0.5,steps=5", "other": ""}

    def test_an_overlay_names_what_it_changes(self):
        assert self.names(self.RN) == {"zero_shot": "rn50", "learner": "rn50", "other": "rn50"}
        only = Layer({"learner": {"steps": 9}}, "long")
        assert self.names(only) == {"zero_shot": "", "learner": "long", "other": ""}

    def test_what_else_differs_is_added(self):
        found = self.names(self.RN, Layer({"learner": {"rate": 0.5}}, "tuned-short"), given={"other": {"steps": 2}})
        assert found == {"zero_shot": "rn50", "learner": "rn50,tuned-short", "other": "rn50,steps=2"}
        assert self.names(self.RN, given={"learner": {"steps": 3}})["learner"] == "rn50,steps=3"

    def test_given_back_to_conf_is_conf(self):
        given = {"backbone": {"name": "A"}, "learner": {"steps": 3}}
        assert self.names(self.RN, given=given) == {"zero_shot": "", "learner": "", "other": ""}

    def test_a_name_given_names_all_but_an_equal_zero_shot(self):
        given = {"learner": {"steps": 5}}
        assert self.names(given=given, variant="a/b") == {"zero_shot": "", "learner": "a%2Fb", "other": "a%2Fb"}
        assert self.names(self.RN, variant="x") == {"zero_shot": "x", "learner": "x", "other": "x"}

    def test_a_run_card_goes_back_to_its_cell(self):
        values = {"learner": {"steps": 9}, "backbone": {"name": "B"}}
        assert self.names(Layer(values, card=("learner", "mine")))["learner"] == "mine"
        assert self.names(Layer(values, card=("learner", "a%2Fb")))["learner"] == "a%2Fb"
        beyond = self.names(Layer(values, card=("learner", "mine")), given={"learner": {"rate": 0.5}})
        assert beyond["learner"] == "mine,rate=0.5"
        # Its parameters are conf's by now, and its cell is still its cell.
        assert self.names(Layer({"learner": {"steps": 3}}, card=("learner", "mine")))["learner"] == "mine"

    def test_a_run_card_named_after_what_differs_gives_each_its_own_name(self):
        values = {"learner": {"steps": 9, "backbone": {"name": "B"}}}
        found = self.names(Layer(values, card=("learner", "backbone.name=B,steps=9")))
        assert found == {"zero_shot": "backbone.name=B", "learner": "backbone.name=B,steps=9", "other": ""}

    def test_a_run_card_of_conf_after_an_edit_of_conf_does_not_go_into_confs_cell(self):
        assert self.names(Layer({"learner": {"steps": 9}}, card=("learner", "")))["learner"] == "steps=9"

    def test_what_a_run_found_by_itself_makes_no_variant(self):
        card = Layer(
            {"compute": {"precision": "float32"}}, card=("learner", ""), found={"compute.precision": "float32"}
        )
        assert set(self.names(card).values()) == {""}
        given = {"compute": {"precision": "bfloat16"}}
        assert self.names(card, given=given)["learner"] == "compute.precision=bfloat16"
