"""Names become folders that every system takes and that can be read back."""

from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid_pipeline.schema.addresses import (
    Cell,
    Cells,
    component,
    folder_of,
    link,
    name_of,
    parse_folder,
    require_same_cell,
    variant_of,
)
from reid_pipeline.schema.errors import UserError


class TestComponent:
    @pytest.mark.parametrize("name", ["My #2", "~", "on", "007", "2024_10", "zoo+north", "eps=0.6", "Füchse"])
    def test_what_can_be_read_stays(self, name):
        assert component(name, "variant") == name

    @pytest.mark.parametrize(
        ("name", "written"),
        [
            ("a/b", "a%2Fb"),
            ("a\\b", "a%5Cb"),
            ("{method}", "%7Bmethod%7D"),
            ("${x}", "%24%7Bx%7D"),
            ("100%", "100%25"),
            ("[32,16]", "%5B32,16%5D"),
            ("a*?", "a%2A%3F"),
            ("s3://b", "s3%3A%2F%2Fb"),
            (".hidden", "%2Ehidden"),
            ("end.", "end%2E"),
            (" a ", "%20a%20"),
            ("a\tb\x7f", "a%09b%7F"),
        ],
    )
    def test_what_a_path_a_glob_or_a_template_would_read_is_encoded(self, name, written):
        assert component(name, "variant") == written

    @pytest.mark.parametrize("name", ["", " ", ".", "..", "...", ". ."])
    def test_what_names_nothing_is_refused(self, name):
        with pytest.raises(UserError, match=r"Parameter collection is .*, which cannot name a folder\. Give a"):
            component(name, "collection")

    @pytest.mark.parametrize("name", ["a" * 121, "象" * 70, "/" * 70])
    def test_what_is_too_long_for_a_folder_is_refused(self, name):
        with pytest.raises(UserError, match=r"characters long and names a folder: .*Give at most 120"):
            component(name, "variant")

    def test_two_ways_to_write_an_accent_are_one_folder(self):
        assert component("Fu\u0308chse", "variant") == component("F\u00fcchse", "variant")

    @given(st.text(min_size=1, max_size=60))
    def test_it_is_one_component_that_no_template_or_glob_reads(self, name):
        try:
            written = component(name, "variant")
        except UserError:
            return
        assert not set(written) & set('/\\{}$[]*?"<>|:\x00\n')
        assert written not in {".", ".."}
        assert written[0] != "."
        assert written.format_map({}) == written


class TestCell:
    def test_its_folder_says_method_and_variant(self):
        cell = Cell(benchmark="b", method="pcl", variant="a+b", seed=0)
        assert cell.folder == "pcl+a+b"
        assert parse_folder(cell.folder) == ("pcl", "a+b")
        assert Cell(benchmark="b", method="pcl", seed=0).folder == "pcl"
        assert parse_folder("pcl") == ("pcl", "")

    def test_all_of_a_run(self):
        cell = {"benchmark": "b", "method": "pcl", "seed": 1, "differs": {"plan.epochs": 3}}
        assert Cells.model_validate({"pcl": cell})["pcl"].differs == {"plan.epochs": 3}

    @pytest.mark.parametrize(
        ("given", "folder"),
        [
            ("pcl", "pcl"),
            ("pcl+a:b", "pcl+a%3Ab"),
            ("pcl+a%3Ab", "pcl+a%3Ab"),
            ("pcl+100%", "pcl+100%25"),
            ("../x", "%2E./x".replace("/", "%2F")),
        ],
    )
    def test_a_folder_can_be_given_as_it_is_called_or_as_it_is_written(self, given, folder):
        assert folder_of(given, "method") == folder


class TestNameOf:
    def test_as_hydra(self):
        differs = {"plan.epochs": 3, "clustering.eps": 0.6}
        assert name_of(differs) == "clustering.eps=0.6,plan.epochs=3"

    @pytest.mark.parametrize(
        ("value", "written"),
        [
            (None, "null"),
            (True, "true"),
            (False, "false"),
            (5e-06, "5e-06"),
            (1.0, "1.0"),
            ([32, 16], "(32,16)"),
            ([], "()"),
            ("/where/ViT-B-16.pt", "ViT-B-16.pt"),
            ("hard", "hard"),
        ],
    )
    def test_values_in_few_characters(self, value, written):
        assert name_of({"a": value}) == f"a={written}"

    def test_parts_are_joined_and_a_long_name_ends_with_a_hash_of_the_whole(self):
        assert variant_of("rn50", "", "plan.epochs=3") == "rn50,plan.epochs=3"
        assert variant_of("", "") == ""
        long = [name_of({f"a.long.name.of.a.parameter_{n}": n for n in range(9)} | {"z": z}) for z in (1, 2)]
        first, second = (variant_of(each) for each in long)
        assert len(first) == 80
        assert first[:71] == long[0][:71]
        assert first != second, "the rest decides, too"


class TestLink:
    @pytest.mark.parametrize(
        ("path", "href"),
        [
            ("../pcl+My #2/report_seed_0.html", "../pcl+My%20%232/report_seed_0.html"),
            ("a%2Fb/x.html", "a%252Fb/x.html"),
            ("pcl+eps=0.6,k=(3,4)/~", "pcl+eps=0.6,k=(3,4)/~"),
            ('a"b<c>', "a%22b%3Cc%3E"),
        ],
    )
    def test_a_page_finds_the_folder(self, path, href):
        assert link(path) == href


class TestSameCell:
    CELL = Cell(benchmark="b", method="pcl", variant="mine", seed=0, differs={"plan.epochs": 3})

    def check(self, card, in_force=None):
        require_same_cell(self.CELL, card, PurePath("pcl+mine/seed_0/run_card.json"), in_force or {})

    @pytest.mark.parametrize(
        "card", [{}, [], {"differs": {"plan.epochs": 3}}, {"variant": "mine", "differs": {"plan.epochs": 3}}]
    )
    def test_the_same_and_cards_that_do_not_say(self, card):
        self.check(card)

    def test_other_parameters_are_named_on_both_sides(self):
        says = (
            r"pcl\+mine/seed_0 was made with memory\.momentum=0\.5, plan\.epochs=4, and this run has"
            r" plan\.epochs=3\. Give it a name of its own: --params variant=<name>; or remove that folder\."
        )
        with pytest.raises(UserError, match=says):
            self.check({"differs": {"plan.epochs": 4, "memory.momentum": 0.5}})
        with pytest.raises(UserError, match=r"was made with the parameters in conf/, and"):
            self.check({"differs": {}})

    def test_the_same_parameters_after_an_edit_of_conf(self):
        card = {"differs": {}, "parameters": {"pcl": {"plan": {"epochs": 3}}, "evaluation": {}, "seed": 0}}
        self.check(card, {"pcl": {"plan": {"epochs": 3}}, "evaluation": {}})
        with pytest.raises(UserError):
            self.check(card, {"pcl": {"plan": {"epochs": 4}}, "evaluation": {}})


@pytest.mark.parametrize("name", ["synthetic.lighting", "compute.precision"])
def test_what_no_block_of_the_card_holds_is_compared_too(name: str) -> None:
    """The method and the protocol are the same, and the cell is another's all the same."""
    held = {"differs": {name: 0.1}, "parameters": {"pcl": {"a": 1}}}
    cell = Cell(benchmark="b", method="pcl", variant="s", seed=0, differs={name: 0.9})
    file = PurePath("b/pcl+s/seed_0/run_card.json")
    with pytest.raises(UserError, match=r"was made with .*0\.1.*variant=<name>"):
        require_same_cell(cell, held, file, {"pcl": {"a": 1}})
    require_same_cell(cell.model_copy(update={"differs": {name: 0.1}}), held, file, {"pcl": {"a": 1}})
