"""Captions say what is seen, and only that."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from reid_drawings import CaptionedDrawings, SyntheticBenchmark, caption_of, draw_captioned
from reid_drawings.camera import draw_camera
from reid_drawings.captions import draw_captioned_one
from reid_drawings.describe import describe, parts_seen, side_seen
from reid_drawings.identity import draw_identity
from reid_drawings.palette import Colour
from reid_drawings.plan import Purpose, benchmark_images, generator_for
from reid_drawings.shot import draw_shot

RED, BLUE = Colour("red", (190, 30, 30)), Colour("blue", (40, 80, 190))


@pytest.fixture
def shot():
    camera = draw_camera(np.random.default_rng(0))
    return draw_shot(camera, np.random.default_rng(0), occlusion=0.0, misalignment=0.0)


@pytest.fixture
def person():
    identity = draw_identity(np.random.default_rng(2))
    upper = replace(identity.upper, kind="jacket", colour=RED, second=BLUE, pattern="striped")
    lower = replace(identity.lower, kind="jeans", colour=BLUE, pattern="plain")
    hair = replace(identity.hair, style="long", colour=Colour("brown", (90, 60, 40)))
    things = replace(
        identity.accessories,
        backpack=Colour("green", (40, 120, 60)),
        shoulder_bag=None,
        inner_shirt=Colour("white", (230, 230, 230)),
        chest_print=None,
        hat=Colour("orange", (220, 120, 40)),
    )
    return replace(
        identity, upper=upper, lower=lower, hair=hair, shoes=Colour("black", (20, 20, 20)), accessories=things
    )


def test_parts_name_what_is_seen_from_behind(person, shot):
    assert parts_seen(person, replace(shot, viewpoint=180.0)) == {
        "hair": "long brown hair",
        "hat": "an orange hat",
        "upper": "a red and blue striped jacket",
        "lower": "blue jeans",
        "shoes": "black shoes",
        "backpack": "a green backpack",
    }


def test_from_the_front_the_shirt_is_named_and_the_backpack_is_not(person, shot):
    parts = parts_seen(person, replace(shot, viewpoint=0.0))
    assert "backpack" not in parts
    assert parts["upper"] == "an open red and blue striped jacket over a white shirt"


@pytest.mark.parametrize(("viewpoint", "seen"), [(90.0, False), (270.0, True), (0.0, True), (180.0, True)])
def test_a_bag_on_the_left_is_hidden_from_the_right(person, shot, viewpoint, seen):
    bagged = replace(person, accessories=replace(person.accessories, shoulder_bag=RED, bag_side=1))
    assert ("bag" in parts_seen(bagged, replace(shot, viewpoint=viewpoint))) is seen


def test_cut_feet_are_not_described(person, shot):
    cut = replace(shot, height=1.2, ground=1.25)
    assert "shoes" not in parts_seen(person, cut)
    assert "lower" in parts_seen(person, cut)
    assert "lower" not in parts_seen(person, replace(shot, height=1.8, ground=1.85))


@pytest.mark.parametrize(
    ("viewpoint", "side"), [(0, "front"), (350, "front"), (90, "right"), (180, "back"), (260, "left"), (-30, "front")]
)
def test_sides(viewpoint, side):
    assert side_seen(float(viewpoint)) == side


def test_captions_never_mention_a_backpack_from_the_front(person, shot):
    generator = np.random.default_rng(0)
    behind = [describe(person, replace(shot, viewpoint=180.0), generator) for _ in range(100)]
    front = [describe(person, replace(shot, viewpoint=0.0), generator) for _ in range(100)]
    assert sum("green backpack" in caption for caption in behind) > 60
    assert not any("backpack" in caption for caption in front)
    assert all("red and blue striped jacket" in caption for caption in behind + front)
    assert not any("behind" in caption or "away" in caption for caption in front)
    assert len(set(behind)) > 30, "templates vary and parts are left out"
    assert all(caption.endswith(".") and "  " not in caption and " a o" not in caption for caption in behind)
    assert {word for caption in front for word in ("person", "pedestrian", person.gender) if word in caption} == {
        "person",
        "pedestrian",
        person.gender,
    }


def test_drawings_and_captions_are_determined_by_the_seed():
    parameters = CaptionedDrawings(seed=1, count=24)
    drawings, captions = draw_captioned(parameters, processes=1)
    again, captions_again = draw_captioned(parameters, processes=1)
    other, captions_other = draw_captioned(CaptionedDrawings(seed=2, count=24), processes=1)
    assert drawings.shape == (24, 128, 64, 3)
    assert drawings.dtype == np.uint8
    assert len(captions) == 24
    assert (drawings == again).all()
    assert captions == captions_again
    assert captions != captions_other
    assert (drawings != other).any()


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing():
    """Every so many of two chunks, drawn alone."""
    parameters = CaptionedDrawings(count=260, height=32, width=16)
    seen: list[int] = []
    parallel, captions = draw_captioned(parameters, processes=2, on_image=seen.append)
    assert parallel.shape == (260, 32, 16, 3)
    for number in (0, *range(7, 249, 22), 249, 250, 259):
        drawing, caption = draw_captioned_one(parameters, number)
        assert (np.asarray(drawing) == parallel[number]).all()
        assert caption == captions[number]
    assert seen == [250, 260]


def test_pretraining_people_are_not_the_benchmark_s():
    parameters = SyntheticBenchmark()
    people = {plan.person for plan in benchmark_images(parameters) if plan.pid > 0}
    theirs = {draw_identity(generator_for(0, Purpose.IDENTITY, person)) for person in people}
    ours = {draw_identity(generator_for(0, Purpose.PRETRAINING_IDENTITY, n)) for n in range(300)}
    assert len(theirs) == parameters.train_identities + parameters.test_identities
    assert len(ours) == 300
    assert theirs.isdisjoint(ours)


@pytest.mark.parametrize(("field", "value"), [("count", 0), ("height", 8), ("camera_strength", 3.0), ("sizes", 4)])
def test_parameters_out_of_bounds_are_refused(field, value):
    with pytest.raises(ValidationError, match=field):
        CaptionedDrawings(**{field: value})


def test_an_image_of_the_benchmark_has_a_caption():
    """Of the person who is drawn there, by an identity that is sampled here once more."""
    parameters = SyntheticBenchmark(seed=3, train_identities=2, test_identities=6, distractors=30)
    plans = benchmark_images(parameters)
    people = [plan for plan in plans if plan.kind == "person"]
    captions = [caption_of(parameters, plan) for plan in people]
    for plan, caption in zip(people, captions, strict=True):
        generator = generator_for(parameters.seed, Purpose.IDENTITY, plan.person)
        identity = draw_identity(generator, spread=parameters.identity_spread)
        assert identity.upper.colour.name in caption
        assert not any(words in caption for words in ("seen from", "facing", "walking"))
    assert captions == [caption_of(parameters, plan) for plan in people]
    empty = next(plan for plan in plans if plan.kind == "empty")
    with pytest.raises(ValueError, match="shows nobody"):
        caption_of(parameters, empty)
