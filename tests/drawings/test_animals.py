"""Drawn animals: an identity is the same in all of its pictures, and captions name what is drawn."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from reid_drawings import CaptionedDrawings, captioned_sheet, draw_captioned
from reid_drawings.animals.builds import BUILDS
from reid_drawings.animals.describe import coat_words, describe_animal, parts_seen
from reid_drawings.animals.identity import BRANDS, LEFT, RIGHT, Animal, Mark, draw_animal_identity
from reid_drawings.animals.pose import pose
from reid_drawings.animals.scene import draw_animal
from reid_drawings.animals.shot import AnimalShot, draw_animal_shot
from reid_drawings.camera import draw_camera
from reid_drawings.captions import draw_captioned_one
from reid_drawings.framing import Framing
from reid_drawings.palette import Colour
from reid_drawings.plan import Purpose, generator_for

GREY, RED, BLUE = Colour("grey", (122, 123, 127)), Colour("red", (186, 38, 44)), Colour("blue", (48, 96, 176))
SPOTS = tuple(Mark(place, 0.2, 0.07, 1.0) for place in (0.2, 0.5, 0.8))


def animal(**changes) -> Animal:
    """A plain grey cow with nothing to mention but its ears."""
    plain = Animal(
        kind="cow", build=(1.0, 1.0, 1.0, 1.0), coat=GREY, second=RED, pattern="plain", wide=True, left=SPOTS,
        right=SPOTS[:1], face=None, socks=None, tail=GREY, ears="round", horns="", collar=None, tag=None, tag_side=LEFT,
        brand="", brand_side=RIGHT,
    )  # fmt: skip
    return replace(plain, **changes)


def shot_of(side: int, **changes) -> AnimalShot:
    plain = AnimalShot(
        side=side, turn=10.0, nod=0.0, phase=1.0, stride=0.2,
        framing=Framing(0.9, (0.0, 0.0), (0.0, 0.0, 1.0), 1.0, "", 0.5, 0),
    )  # fmt: skip
    return replace(plain, **changes)


@cache
def picture(of: Animal, side: int) -> np.ndarray:
    camera = replace(draw_camera(np.random.default_rng(1), strength=0.0), light=0.0)
    return np.asarray(draw_animal(of, camera, shot_of(side), np.random.default_rng(0))).astype(int)


@pytest.mark.parametrize(
    ("changes", "phrase"),
    [
        ({"face": RED}, "a red face"),
        ({"socks": RED}, "red socks"),
        ({"tail": RED}, "a red tail"),
        ({"horns": "curved"}, "curved horns"),
        ({"collar": BLUE}, "a blue collar"),
        ({"tag": RED}, "a red ear tag"),
        ({"tag": RED, "tag_side": RIGHT}, "a red ear tag"),
        *[({"brand": brand, "brand_side": LEFT}, f"a {brand} brand") for brand in BRANDS if brand != "arrow"],
        ({"brand": "arrow"}, "an arrow brand"),
        ({"pattern": "spotted"}, "few large spots"),
    ],
)
def test_a_part_is_named_from_the_sides_where_it_shows(changes, phrase):
    seen = []
    for side in (LEFT, RIGHT):
        moved = (np.abs(picture(animal(**changes), side) - picture(animal(), side)).max(axis=2) > 12).sum()
        assert (phrase in parts_seen(animal(**changes), side).values()) == bool(moved >= 8), (side, moved)
        assert set(parts_seen(animal(), side).values()) == {"round ears"}
        seen.append(moved)
    assert max(seen) >= 8


def test_marks_lie_where_the_side_s_marks_say():
    """Red spots at their places along the trunk, nearer to the head the farther along; each side has its own."""
    for side, marks in ((LEFT, SPOTS), (RIGHT, SPOTS[:1])):
        spotted = animal(pattern="spotted")
        moved = np.abs(picture(spotted, side) - picture(animal(), side)).max(axis=2) > 25
        posed = pose(spotted, shot_of(side), (288, 288))
        for mark in marks:
            x, y = posed.place(np.array([[mark.along, posed.leg + mark.across * posed.radius_at(mark.along)]]))[0] / 3
            assert moved[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].all()
        columns = np.flatnonzero(moved.any(axis=0))
        groups = 1 + int((np.diff(columns) > 1).sum())
        assert groups == len(marks)


@pytest.mark.parametrize("kind", sorted(BUILDS))
def test_it_fits_into_the_picture_and_faces_its_side(kind):
    for side in (LEFT, RIGHT):
        for nod in (-85.0, 0.0):
            posed = pose(animal(kind=kind), shot_of(side, nod=nod), (288, 288))
            ends = posed.place(np.concatenate([posed.trunk, posed.neck, posed.nose[None], [[0.5, 0.0]]]))
            assert ends.min() >= -1
            assert ends.max() <= 289
            assert (ends[2, 0] - ends[0, 0]) * side > 0, "chest before rump"


def test_words_of_coats():
    assert coat_words(animal()) == "grey"
    assert coat_words(animal(pattern="belted")) == "grey and red belted"
    assert "many small stripes" in parts_seen(animal(pattern="striped", wide=False), LEFT).values()


def test_captions_are_sentences_and_the_coat_is_never_left_out():
    generator = np.random.default_rng(0)
    marked = animal(pattern="patched", collar=BLUE)
    shares = {"completeness": 0.6, "view_share": 0.5}
    some = [describe_animal(marked, shot_of(LEFT), generator, **shares) for _ in range(60)]
    assert all("a grey and red patched " in text and text.endswith(".") and "  " not in text for text in some)
    assert {noun for noun in ("cow", "animal") for text in some if f"patched {noun}" in text} == {"cow", "animal"}
    assert 15 < sum("facing left" in text for text in some) < 45
    assert 20 < sum("a blue collar" in text for text in some) < 55
    assert not any("right" in text for text in some)


def test_a_seed_gives_the_same_drawings_in_any_order():
    parameters = CaptionedDrawings(seed=4, count=6, width=72, height=72)
    drawings, captions = draw_captioned(parameters, kind="animals", processes=1)
    assert drawings.shape == (6, 72, 72, 3)
    for number in reversed(range(6)):
        image, caption = draw_captioned_one(parameters, number, kind="animals")
        assert (np.asarray(image) == drawings[number]).all()
        assert caption == captions[number]


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing():
    parameters = CaptionedDrawings(count=252, height=24, width=24)
    parallel, captions = draw_captioned(parameters, kind="animals", processes=2)
    for number in (0, 101, 249, 250, 251):
        image, caption = draw_captioned_one(parameters, number, kind="animals")
        assert (np.asarray(image) == parallel[number]).all()
        assert caption == captions[number]


def test_an_identity_stays_and_the_next_is_another():
    animals = [draw_animal_identity(generator_for(0, Purpose.PRETRAINING_ANIMAL, n)) for n in range(200)]
    assert len(set(animals)) == 200
    assert {each.kind for each in animals} == set(BUILDS)
    assert {each.pattern for each in animals} == {"plain", "striped", "spotted", "patched", "belted"}
    assert all(each.left != each.right for each in animals if each.pattern != "plain"), "each side has its own marks"
    again = draw_animal_identity(generator_for(0, Purpose.PRETRAINING_ANIMAL, 7))
    assert again == animals[7]
    parameters = CaptionedDrawings(count=4, completeness=1.0, identity_spread=1.0, width=72, height=72)
    captions = [draw_captioned_one(parameters, number, kind="animals")[1] for number in range(4)]
    for number, caption in enumerate(captions):
        assert f"{coat_words(animals[number // 2])} {animals[number // 2].kind}" in caption


def test_shots_show_both_sides_and_occlusion_follows_its_share():
    generator = np.random.default_rng(0)
    shots = [draw_animal_shot(generator, occlusion=0.3, misalignment=0.4) for _ in range(200)]
    assert 70 < sum(shot.side == LEFT for shot in shots) < 130
    assert 30 < sum(bool(shot.framing.occluder) for shot in shots) < 90
    assert any(shot.nod < -50 for shot in shots)


def test_a_sheet_has_a_row_per_identity():
    parameters = CaptionedDrawings(images_per_identity=3, width=32, height=24)
    sheet = captioned_sheet(parameters, kind="animals", rows=2)
    assert sheet.size == (3 * 34 - 2, 2 * 26 - 2)
    fourth, _ = draw_captioned_one(parameters, 3, kind="animals")
    assert (np.asarray(sheet)[26:50, 0:32] == np.asarray(fourth)).all()
