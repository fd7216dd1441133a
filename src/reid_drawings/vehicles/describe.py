"""What is seen of a vehicle in a shot, in English.

Where a mark is stands in no caption, and wheels and plates are left out: every picture from a side has wheels and
every one from an end has a plate, so that naming them names the side, and a network that learns the side groups
vehicles by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import cos, radians, sin

import numpy as np

from reid_drawings.palette import nearest_name
from reid_drawings.sentences import listed, with_article
from reid_drawings.vehicles.fittings import roof_span
from reid_drawings.vehicles.frame import Frame
from reid_drawings.vehicles.identity import DARK_TRIM, GLASS, LABELS, Sticker, Vehicle
from reid_drawings.vehicles.scene import VehicleShot
from reid_drawings.vehicles.shapes import VIEWPOINTS

TYPE_WORDS = {"estate": "estate car", "suv": "off-road car", "mpv": "minivan", "pickup": "pickup truck"}
"""Of the types that captions call by another name."""
_TURNED = 0.3
"""A side is seen where the cosine of the angle to it is greater."""
_STEEP = 11.0
"""Degrees of the camera's pitch from which what lies flat upon a vehicle is seen."""
_MARKS = 0.5
"""How much rarer than other parts a mark is mentioned, which shows from one side only."""
_MOST = 8
"""Parts of a caption: more would not fit into CLIP's 77 tokens."""
_TEMPLATES = (
    "a photo of {who}{view}{parts}.",
    "{who}{view}{parts}.",
    "a traffic photo: {who}{view}{parts}.",
    "a low resolution photo of {who}{view}{parts}.",
    "this is {who}{view}{parts}.",
)


def sides_seen(angle: float) -> frozenset[str]:
    """The sides that a camera sees, and the panes upon them.

    Args:
        angle: degrees about the vehicle; 0 sees the front, 90 the vehicle's left side.

    Returns:
        one or two of `front`, `rear`, `left`, `right`; `windscreen` with the front and `rear window` with the rear.
    """
    ahead, left = cos(radians(angle)), sin(radians(angle))
    shown = {"front": ahead, "windscreen": ahead, "rear": -ahead, "rear window": -ahead, "left": left, "right": -left}
    return frozenset(side for side, facing in shown.items() if facing > _TURNED)


def parts_seen(vehicle: Vehicle, frame: Frame, shot: VehicleShot) -> dict[str, str]:
    """What of a vehicle's fittings and marks the camera sees, in words.

    Args:
        vehicle: the vehicle.
        frame: its solids.
        shot: where the camera stands.

    Returns:
        a phrase for each thing that is seen: `roof`, `box`, `trim`, `glass`, `stripe`, `rack`, `roof box`, `sunroof`,
        `load` and `mark 0`, `mark 1` ...
    """
    sides, steep = sides_seen(shot.stand.angle), shot.stand.pitch > _STEEP
    parts: dict[str, str] = {}
    roof = nearest_name(vehicle.roof, LABELS)
    if vehicle.roof != vehicle.paint and roof != vehicle.colour:
        parts["roof"] = with_article(f"{roof} roof")
    if frame.cargo is not None:
        parts["box"] = with_article(f"{nearest_name(vehicle.cargo, LABELS)} box")
    if vehicle.trim == DARK_TRIM and vehicle.colour != "black":
        parts["trim"] = "black bumpers"
    if sum(vehicle.glass) < 0.45 * sum(GLASS):
        parts["glass"] = "dark windows"
    if stripe := _stripe_words(vehicle, frame, sides):
        parts["stripe"] = stripe
    parts |= _upon_roof(vehicle, frame, steep=steep)
    if vehicle.type == "pickup" and vehicle.loaded and steep:
        parts["load"] = with_article(f"{nearest_name(vehicle.cargo, LABELS)} load")
    parts |= {f"mark {n}": words for n, words in enumerate(_marks(vehicle, frame, sides))}
    return parts


def describe_vehicle(
    vehicle: Vehicle,
    frame: Frame,
    shot: VehicleShot,
    generator: np.random.Generator,
    *,
    completeness: float,
    view_share: float,
) -> str:
    """Write a caption.

    Args:
        vehicle: the vehicle.
        frame: its solids.
        shot: where the camera stands.
        generator: chooses the template and the parts that are left out.
        completeness: chance that a part is mentioned, in 0..1, and twice that of a mark; the colour always is.
        view_share: chance that the side seen is mentioned, in 0..1.

    Returns:
        one sentence.
    """
    parts = parts_seen(vehicle, frame, shot)
    chances = {name: completeness * (_MARKS if name.startswith("mark") else 1.0) for name in parts}
    mentioned = [words for name, words in parts.items() if generator.random() < chances[name]][:_MOST]
    noun = "vehicle" if generator.random() > completeness else TYPE_WORDS.get(vehicle.type, vehicle.type)
    colour = "grey" if vehicle.colour == "gray" else vehicle.colour
    view = f" seen from the {VIEWPOINTS[shot.viewpoint]}" if generator.random() < view_share else ""
    template = _TEMPLATES[int(generator.integers(len(_TEMPLATES)))]
    fitted = f"{',' if view else ''} with {listed(mentioned)}" if mentioned else ""
    return template.format(who=with_article(f"{colour} {noun}"), view=view, parts=fitted)


def _stripe_words(vehicle: Vehicle, frame: Frame, sides: frozenset[str]) -> str:
    if vehicle.stripe is None:
        return ""
    colour = nearest_name(vehicle.stripe, LABELS)
    if frame.cargo is not None:  # upon its box
        if colour == nearest_name(vehicle.cargo, LABELS):
            return ""
        return with_article(f"{colour} stripe") if sides & {"left", "right"} else ""
    if colour == vehicle.colour:
        return ""
    if vehicle.stripe_place == "bonnet":
        return f"{colour} bonnet stripes" if "front" in sides and frame.house is not frame.body else ""
    return with_article(f"{colour} stripe") if sides & {"left", "right"} else ""


def _upon_roof(vehicle: Vehicle, frame: Frame, *, steep: bool) -> dict[str, str]:
    if roof_span(frame) is None:
        return {}
    found: dict[str, str] = {}
    if vehicle.rack is not None:
        found["rack"] = f"{'black' if sum(vehicle.rack) < 300 else 'silver'} roof rails"
    if vehicle.roof_box is not None:
        found["roof box"] = "a roof box"
    if vehicle.sunroof and steep:
        found["sunroof"] = "a sunroof"
    return found


def _marks(vehicle: Vehicle, frame: Frame, sides: frozenset[str]) -> Iterator[str]:
    for sticker in vehicle.stickers:
        if sticker.side not in sides or (sticker.side == "rear window" and not frame.shape.rear_window):
            continue
        yield _sticker_words(sticker)


def _sticker_words(sticker: Sticker) -> str:
    if sticker.colour not in LABELS.values():
        return "a dent"
    colour = nearest_name(sticker.colour, LABELS)
    inner = colour if sticker.inner is None else nearest_name(sticker.inner, LABELS)
    return with_article(f"{colour if inner == colour else f'{colour} and {inner}'} sticker")
