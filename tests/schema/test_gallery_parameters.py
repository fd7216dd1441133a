"""Parameters of galleries, as they are typed on the command line."""

import pytest
from pydantic import ValidationError

from reid_pipeline.cli.parameters import given_parameters
from reid_pipeline.schema.gallery_parameters import (
    GALLERY_BLOCKS,
    GALLERY_TEXT,
    CalibrateParameters,
    FilterParameters,
    GalleryParameters,
)
from reid_pipeline.schema.parameters import SharedParameters

KNOWN = [*SharedParameters.model_fields]


def test_names_and_words_are_text_up_to_the_next_parameter() -> None:
    given = given_parameters("gallery=zoo,text=red jacket, backpack,search.top=3", KNOWN)
    assert given == {"gallery": "zoo", "text": "red jacket, backpack", "search": {"top": 3}}
    given = given_parameters("gallery=7,identity=cluster 12,to=O'Brien", KNOWN)
    assert given == {"gallery": "7", "identity": "cluster 12", "to": "O'Brien"}


def test_what_yaml_makes_of_cameras_and_dates_is_text_again() -> None:
    given = given_parameters("filter.cameras=[1,north],filter.since=2026-05-31,filter.collections=gate", KNOWN)
    read = FilterParameters.model_validate(given["filter"])
    assert (read.cameras, read.since, read.collections) == (("1", "north"), "2026-05-31", ("gate",))


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".hidden", "a b", "a\n"])
def test_a_gallery_s_name_is_that_of_a_folder(name: str) -> None:
    with pytest.raises(ValidationError, match=r"cannot be the name of a gallery, .*such as gate or north-gate\."):
        GalleryParameters(gallery=name)
    assert GalleryParameters(gallery="Zo\u00eb-2.b").gallery == "Zo\u00eb-2.b"


def test_a_parameter_that_is_none_does_not_end_in_the_gallery_s_name_without_a_word() -> None:
    with pytest.raises(ValidationError, match="What follows the comma is no parameter"):
        GalleryParameters.model_validate(given_parameters("gallery=gate,false_alarm=0.1", KNOWN))


@pytest.mark.parametrize("rate", [0, 1, -0.1, "often"])
def test_a_false_alarm_rate_is_a_share(rate: object) -> None:
    with pytest.raises(ValidationError):
        CalibrateParameters.model_validate({"false_alarm": rate})


def test_text_and_blocks_are_all_there_is() -> None:
    assert {*GALLERY_TEXT, *GALLERY_BLOCKS} == set(GalleryParameters.model_fields)
