"""One drawn person: determinism, and what is seen from which side."""

from dataclasses import replace

import numpy as np
import pytest

from reid_drawings.camera import draw_camera, draw_viewpoint
from reid_drawings.identity import draw_identity
from reid_drawings.palette import COLOURS, Colour, shade_of
from reid_drawings.pedestrian import draw_scene
from reid_drawings.shot import OCCLUDERS, draw_shot, vary_shot

FRONT, RIGHT, BACK, LEFT = 0.0, 90.0, 180.0, 270.0
RED = Colour("red", (230, 20, 20))
BARE = {"backpack": None, "shoulder_bag": None, "inner_shirt": None, "chest_print": None, "hat": None}


@pytest.fixture
def camera():
    return draw_camera(np.random.default_rng(1), strength=0.0)


@pytest.fixture
def person():
    """A person in black with no accessory."""
    identity = draw_identity(np.random.default_rng(5))
    black = Colour("black", (30, 30, 32))
    upper = replace(identity.upper, kind="jacket", colour=black, pattern="plain", length=1.0)
    lower = replace(identity.lower, kind="jeans", colour=black, pattern="plain", length=0.05)
    hair = replace(identity.hair, style="short")
    return replace(
        identity, upper=upper, lower=lower, hair=hair, shoes=black, accessories=replace(identity.accessories, **BARE)
    )


def with_things(person, **things):
    return replace(person, accessories=replace(person.accessories, **things))


def seen(person, camera, viewpoint, *, bystander=None, **changes):
    shot = draw_shot(camera, np.random.default_rng(2), occlusion=0.0, misalignment=0.0)
    shot = replace(shot, viewpoint=viewpoint, **changes)
    image = draw_scene(person, camera, shot, np.random.default_rng(3), bystander=bystander)
    return np.asarray(image).astype(float)


def changed(person, other, camera, viewpoint):
    """Share of pixels that differ visibly."""
    difference = np.abs(seen(person, camera, viewpoint) - seen(other, camera, viewpoint)).max(axis=-1)
    return float((difference > 25).mean())


def pedestrian(person, camera):
    generator = np.random.default_rng(9)
    shot = draw_shot(camera, generator, occlusion=0.5, misalignment=0.5)
    return draw_scene(person, camera, shot, generator)


def test_the_same_generator_draws_the_same_picture(person, camera):
    pictures = [pedestrian(person, camera) for _ in range(2)]
    assert pictures[0].size == (64, 128)
    assert pictures[0].mode == "RGB"
    assert pictures[0].tobytes() == pictures[1].tobytes()


def test_the_global_generator_is_left_alone(person, camera):
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    pedestrian(person, camera)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_identities_are_drawn_from_the_generator():
    first, again = (draw_identity(np.random.default_rng(4)) for _ in range(2))
    assert first == again
    assert len({draw_identity(np.random.default_rng(seed)) for seed in range(50)}) == 50


def test_a_backpack_is_seen_from_behind_and_from_the_side_only(person, camera):
    packed = with_things(person, backpack=RED)
    assert changed(person, packed, camera, BACK) > 0.03
    assert changed(person, packed, camera, LEFT) > 0.01
    assert changed(person, packed, camera, RIGHT) > 0.01
    # From the front only its straps show.
    assert changed(person, packed, camera, FRONT) < changed(person, packed, camera, BACK) / 3


@pytest.mark.parametrize("thing", ["inner_shirt", "chest_print"])
def test_an_open_jacket_and_a_print_are_seen_from_the_front_only(person, camera, thing):
    other = with_things(person, **{thing: RED, "print_shape": "square"})
    assert changed(person, other, camera, FRONT) > 0.01
    assert changed(person, other, camera, BACK) == 0.0


def test_a_bag_hangs_on_one_side(person, camera):
    # Whoever faces right in the picture shows the right side.
    left, right = (with_things(person, shoulder_bag=RED, bag_side=side) for side in (1, -1))
    assert changed(person, left, camera, LEFT) > 4 * changed(person, left, camera, RIGHT)
    assert changed(person, right, camera, RIGHT) > 4 * changed(person, right, camera, LEFT)


def test_the_face_is_seen_from_the_front_only(person, camera):
    pale = replace(person, skin=(240, 205, 180))
    head = (slice(6, 20), slice(26, 38))
    front, back = seen(pale, camera, FRONT)[head], seen(pale, camera, BACK)[head]
    assert front.max(axis=(0, 1))[0] > 180
    assert (front > 150).mean() > 3 * (back > 150).mean()


def test_clothes_have_their_colours(person, camera):
    dressed = replace(person, upper=replace(person.upper, colour=RED))
    middle = seen(dressed, camera, BACK, centre=0.5)[45:60, 28:36].mean(axis=(0, 1))
    assert middle[0] > 3 * middle[1]
    assert middle[0] > 3 * middle[2]


def test_patterns_change_the_picture(person, camera):
    plain = seen(person, camera, FRONT)
    upper = replace(person.upper, second=RED, period=0.06)
    pictures = [
        seen(replace(person, upper=replace(upper, pattern=pattern)), camera, FRONT)
        for pattern in ("striped", "vertically striped", "checked", "dotted", "two-coloured", "camouflage")
    ]
    for number, picture in enumerate(pictures):
        for other in [plain, *pictures[:number]]:
            assert np.abs(picture - other).max() > 60


@pytest.mark.parametrize("kind", OCCLUDERS)
def test_every_occluder_covers_a_part(person, camera, kind):
    free = seen(person, camera, FRONT)
    hidden = seen(person, camera, FRONT, occluder=kind, occluder_place=0.6)
    share = (np.abs(free - hidden).max(axis=-1) > 20).mean()
    assert 0.02 < share < 0.6


def test_a_bystander_stands_before_or_behind(person, camera):
    other = replace(person, upper=replace(person.upper, colour=RED))
    alone = seen(person, camera, FRONT, centre=0.5)
    before, behind = (
        seen(person, camera, FRONT, bystander=other, centre=0.5, neighbour_place=0.65, neighbour_front=front)
        for front in (True, False)
    )
    body = (slice(40, 60), slice(28, 36))
    assert np.abs(alone[body] - before[body]).mean() > 4 * np.abs(alone[body] - behind[body]).mean()
    assert np.abs(alone - behind).max() > 60


def test_nobody_can_be_drawn(camera, person):
    assert np.abs(seen(None, camera, FRONT) - seen(person, camera, FRONT)).max() > 60


def test_a_neutral_camera_has_no_cast_and_strength_moves_cameras_apart():
    neutral = draw_camera(np.random.default_rng(0), strength=0.0)
    assert neutral.gains == (1.0, 1.0, 1.0)
    assert (neutral.gamma, neutral.exposure, neutral.contrast, neutral.resolution) == (1.0, 1.0, 1.0, 1.0)
    spreads = [
        np.std([draw_camera(np.random.default_rng(seed), strength=s).gains for seed in range(40)])
        for s in (0.3, 1.0, 2.0)
    ]
    assert spreads[0] < spreads[1] < spreads[2]


def test_a_camera_prefers_viewpoints(camera):
    sided = replace(camera, viewpoint_chances=(0.0, 0.0, 1.0, 0.0), viewpoint_spread=10.0)
    generator = np.random.default_rng(0)
    angles = np.array([draw_viewpoint(sided, generator) for _ in range(200)])
    assert abs(angles.mean() - BACK) < 5
    assert 5 < angles.std() < 15


def test_misalignment_cuts_people(camera):
    def cut(misalignment):
        generator = np.random.default_rng(0)
        shots = [draw_shot(camera, generator, occlusion=0.0, misalignment=misalignment) for _ in range(300)]
        return np.mean([not (shot.feet_visible and shot.head_visible) for shot in shots])

    assert cut(0.0) == 0.0
    assert 0.02 < cut(0.5) < cut(1.0) < 0.6


def test_a_tracklet_keeps_its_viewpoint(camera):
    generator = np.random.default_rng(0)
    turns = []
    for _ in range(100):
        shot = draw_shot(camera, generator, occlusion=0.2, misalignment=0.5)
        following = vary_shot(shot, generator, misalignment=0.5)
        turns.append((following.viewpoint - shot.viewpoint + 180.0) % 360.0 - 180.0)
    assert 5.0 < np.std(turns) < 20.0


def test_shades_lie_about_their_name():
    generator = np.random.default_rng(0)
    shades = np.array([shade_of(generator, COLOURS["blue"]) for _ in range(400)])
    assert len({tuple(shade) for shade in shades.tolist()}) > 350
    assert np.abs(shades.mean(axis=0) - COLOURS["blue"]).max() < 8
    assert shade_of(generator, COLOURS["blue"], spread=0.0) == COLOURS["blue"]


def test_spread_makes_people_more_different():
    def colours(spread):
        generator = np.random.default_rng(0)
        return {draw_identity(generator, spread=spread).upper.colour.name for _ in range(60)}

    assert len(colours(0.2)) < len(colours(1.0)) <= len(colours(2.0))
