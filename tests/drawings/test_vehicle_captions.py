"""Captions of vehicles name what is drawn: a part is named where its picture is another one without it."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from reid_drawings import CaptionedDrawings
from reid_drawings.camera import draw_camera
from reid_drawings.captions import draw_captioned_one
from reid_drawings.framing import Framing
from reid_drawings.plan import Purpose, generator_for
from reid_drawings.vehicles.describe import describe_vehicle, parts_seen, sides_seen
from reid_drawings.vehicles.frame import frame_of
from reid_drawings.vehicles.identity import Sticker, Vehicle, draw_vehicle_identity
from reid_drawings.vehicles.model import model_of
from reid_drawings.vehicles.scene import VehicleShot, draw_vehicle
from reid_drawings.vehicles.view import Stand, angle_of, viewpoint_at

RED, YELLOW, BLUE, GREEN = (210, 44, 40), (236, 196, 52), (40, 96, 186), (44, 142, 76)
GREY, SILVER, CLEAR, BLACKISH = (122, 124, 128), (176, 178, 182), (88, 102, 112), (48, 48, 50)


def sticker(side: str) -> Sticker:
    return Sticker(side, (0.0, 0.0), (0.5, 0.25), YELLOW, BLUE)


def vehicle(kind: str = "estate", **changes) -> Vehicle:
    """A plain grey vehicle with nothing to mention."""
    plain = replace(
        draw_vehicle_identity(np.random.default_rng(0)),
        type=kind, colour="gray", paint=GREY, roof=GREY, trim=(110, 112, 115), glass=CLEAR, stretch=(1.0, 1.0, 1.0),
        rim=SILVER, rack=None, roof_box=None, sunroof=False, stripe=None, stripe_place="sides", cargo=GREEN,
        loaded=False, plate=(44, 74, 150), stickers=(),
    )  # fmt: skip
    return replace(plain, **changes)


def shot_at(viewpoint: int, pitch: float = 15.0) -> VehicleShot:
    angle = angle_of(viewpoint)
    return VehicleShot(
        stand=Stand(angle, pitch, 12.0), viewpoint=viewpoint_at(angle),
        framing=Framing(0.9, (0.0, 0.0), (0.0, 0.0, 1.2), 1.0, "", 0.5, 0),
        neighbour_shift=(0.5, -0.1),
    )  # fmt: skip


model = cache(model_of)


@cache
def picture(of: Vehicle, viewpoint: int) -> np.ndarray:
    camera = draw_camera(np.random.default_rng(1), strength=0.0)
    return np.asarray(draw_vehicle(model(of), camera, shot_at(viewpoint), np.random.default_rng(0))).astype(int)


def words(of: Vehicle, viewpoint: int, pitch: float = 15.0) -> set[str]:
    return set(parts_seen(of, frame_of(of), shot_at(viewpoint, pitch)).values())


@pytest.mark.parametrize(
    ("changes", "phrase"),
    [
        ({"roof": RED}, "a red roof"),
        ({"trim": BLACKISH}, "black bumpers"),
        ({"stripe": RED}, "a red stripe"),
        ({"stripe": RED, "stripe_place": "bonnet"}, "red bonnet stripes"),
        ({"rack": (38, 38, 40)}, "black roof rails"),
        ({"roof_box": (28, 28, 30)}, "a roof box"),
        ({"stickers": (sticker("left"),)}, "a yellow and blue sticker"),
        ({"stickers": (sticker("right"),)}, "a yellow and blue sticker"),
        ({"stickers": (sticker("front"),)}, "a yellow and blue sticker"),
        ({"stickers": (sticker("rear"),)}, "a yellow and blue sticker"),
        ({"stickers": (sticker("windscreen"),)}, "a yellow and blue sticker"),
        ({"stickers": (sticker("rear window"),)}, "a yellow and blue sticker"),
    ],
)
def test_a_part_is_named_where_it_shows(changes, phrase):
    """Few pixels may show of what is not named: a roof's edge, say."""
    shown, named = {}, {}
    for viewpoint in range(8):
        moved = np.abs(picture(vehicle(**changes), viewpoint) - picture(vehicle(), viewpoint)).max(axis=2) > 12
        shown[viewpoint], named[viewpoint] = int(moved.sum()), phrase in words(vehicle(**changes), viewpoint)
        assert phrase not in words(vehicle(), viewpoint)
    assert min(shown[n] for n in range(8) if named[n]) >= 20
    assert max((shown[n] for n in range(8) if not named[n]), default=0) <= 60
    assert any(named.values())


def test_a_plain_vehicle_has_nothing_that_names_the_side():
    """Wheels and plates would: who learns the side groups vehicles by it."""
    assert all(words(vehicle(), viewpoint) == set() for viewpoint in range(8))
    marked = vehicle(stickers=tuple(sticker(side) for side in ("left", "right", "front", "rear")))
    assert all(words(marked, viewpoint) == {"a yellow and blue sticker"} for viewpoint in range(8))


def test_a_truck_is_named_by_its_box_and_has_nothing_upon_a_roof():
    truck = vehicle("truck", rack=(38, 38, 40), sunroof=True, stripe=RED, stickers=(sticker("left"), sticker("rear")))
    assert words(truck, viewpoint_at(90.0)) == {
        "a green box", "a red stripe", "a yellow and blue sticker"
    }  # fmt: skip
    assert words(truck, viewpoint_at(180.0)) == {"a green box", "a yellow and blue sticker"}
    assert "a green load" in words(vehicle("pickup", loaded=True), 0)
    assert "a green load" not in words(vehicle("pickup", loaded=False), 0)


def test_what_lies_flat_is_named_from_above_only():
    assert "a sunroof" in words(vehicle(sunroof=True), 0, pitch=20.0)
    assert "a sunroof" not in words(vehicle(sunroof=True), 0, pitch=7.0)
    assert "a sunroof" not in words(vehicle("sedan", sunroof=True), 0, pitch=20.0), "its roof is too short for one"


def test_what_has_the_paint_of_its_ground_is_not_named():
    white = vehicle(colour="white", paint=(224, 224, 220), roof=(232, 232, 228), stripe=(232, 232, 228))
    assert words(white, viewpoint_at(90.0)) == set()
    assert "black bumpers" not in words(vehicle(colour="black", trim=BLACKISH), 0)


@pytest.mark.parametrize(
    ("angle", "sides"),
    [
        (0, {"front", "windscreen"}),
        (45, {"front", "windscreen", "left"}),
        (90, {"left"}),
        (180, {"rear", "rear window"}),
        (225, {"rear", "rear window", "right"}),
        (270, {"right"}),
    ],
)
def test_sides(angle, sides):
    assert sides_seen(float(angle)) == sides


def test_captions_are_sentences_of_what_is_seen_and_the_colour_is_never_left_out():
    marked = vehicle("estate", roof=RED, stickers=(sticker("left"), sticker("right")))
    generator = np.random.default_rng(0)

    def captions(completeness, view_share):
        shares = {"completeness": completeness, "view_share": view_share}
        shot = shot_at(viewpoint_at(90.0))
        return [describe_vehicle(marked, frame_of(marked), shot, generator, **shares) for _ in range(60)]

    some = captions(0.6, 0.5)
    assert all("grey" in text and text.endswith(".") and "  " not in text for text in some)
    assert 15 < sum("seen from the left" in text for text in some) < 45
    assert 20 < sum("a red roof" in text for text in some) < 55
    assert {noun for noun in ("vehicle", "estate car") for text in some if f"grey {noun}" in text} == {
        "vehicle",
        "estate car",
    }
    assert not any("right" in text for text in some)
    whole = captions(1.0, 0.0)
    assert all("a red roof" in text for text in whole)
    assert 15 < sum("sticker" in text for text in whole) < 45, "a mark, which shows from one side only, is rarer"
    assert all(text.replace("a grey vehicle", "").find(" with ") < 0 for text in captions(0.0, 0.0)), (
        "nothing but the colour"
    )


def test_pictures_of_one_vehicle_share_it_and_the_next_has_another():
    parameters = CaptionedDrawings(count=4, width=72, height=72, completeness=1.0)
    captions = [draw_captioned_one(parameters, number, kind="vehicles")[1] for number in range(4)]
    owners = [draw_vehicle_identity(generator_for(0, Purpose.PRETRAINING_VEHICLE, n), spread=1.2) for n in range(2)]
    assert owners[0] != owners[1]
    for number, caption in enumerate(captions):
        assert owners[number // 2].colour.replace("gray", "grey") in caption


def test_pretraining_vehicles_are_not_the_benchmark_s():
    ours = {draw_vehicle_identity(generator_for(0, Purpose.PRETRAINING_VEHICLE, n)) for n in range(150)}
    theirs = {draw_vehicle_identity(generator_for(0, Purpose.VEHICLE, n)) for n in range(150)}
    assert len(ours | theirs) == 300
