"""What lies upon a vehicle's solids: windows, lamps, doors, bumpers, plates, stripes and stickers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from reid_drawings.palette import RGB
from reid_drawings.vehicles.frame import Frame
from reid_drawings.vehicles.identity import Sticker, Vehicle
from reid_drawings.vehicles.solid import LEFT, RIGHT, Solid, Spot, Surface, box

_SIDES = (LEFT, RIGHT)
_DARK: RGB = (26, 26, 28)
_PILLAR: RGB = (40, 42, 44)


def _band(low: float, high: float, near: float, far: float) -> list[Spot]:
    return [(near, low), (far, low), (far, high), (near, high)]


def panes_of(vehicle: Vehicle, frame: Frame) -> list[Surface]:
    """Windows of all sides, and the roof's colour.

    Args:
        vehicle: the vehicle.
        frame: its solids.

    Returns:
        surfaces upon `frame.house`.
    """
    house, high = frame.house, frame.height
    low, top = (edge * high for edge in frame.shape.glass)
    found: list[Surface] = []
    if vehicle.roof != vehicle.paint:
        found += _second_tone(vehicle, frame)
    for side in _SIDES:
        for near, far in frame.shape.panes:
            found += _pane(house, side, (near, far), (low, top), vehicle.glass)
    bottom, upper = (edge * high for edge in frame.shape.screens)
    found += _screen(house, (bottom, upper), vehicle.glass, front=True)
    if frame.shape.rear_window:
        found += _screen(house, (max(bottom, low), upper - 0.02 * high), vehicle.glass, front=False)
    return found


def _second_tone(vehicle: Vehicle, frame: Frame) -> list[Surface]:
    house, high = frame.house, frame.height
    edge = house.rows[:, 1].max() - 0.10 * high
    span = (house.front_at(edge), house.rear_at(edge))
    top = house.rows[:, 1].max() - 0.002
    short = (house.front_at(top), house.rear_at(top))
    roof = [(span[0], edge), (short[0], top), (short[1], top), (span[1], edge)]
    found = [house.on_side(side, roof, vehicle.roof) for side in _SIDES]
    cover = [(short[0], -1.0), (short[0], 1.0), (short[1], 1.0), (short[1], -1.0)]
    return [*found, house.on_top(cover, vehicle.roof)]


def _pane(house: Solid, side: float, along: Spot, heights: Spot, glass: RGB) -> list[Surface]:
    corners = []
    for z, order in ((heights[0], along), (heights[1], along[::-1])):
        front, rear = house.front_at(z), house.rear_at(z)
        corners += [(front + (rear - front) * t, z) for t in order]
    shine = (_lighter(glass, 26), 0.30)
    upper = [_between(corners[3], corners[0], shine[1]), corners[3], corners[2]]
    upper.append(_between(corners[2], corners[1], shine[1]))
    return [house.on_side(side, corners, glass), house.on_side(side, upper, shine[0])]


def _between(start: Spot, end: Spot, share: float) -> Spot:
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def _lighter(colour: RGB, by: int) -> RGB:
    return min(255, colour[0] + by), min(255, colour[1] + by), min(255, colour[2] + by)


def _screen(house: Solid, heights: Spot, glass: RGB, *, front: bool) -> list[Surface]:
    lay = house.on_front if front else house.on_rear
    low, high = heights
    pane = [(-0.90, low), (0.90, low), (0.86, high), (-0.86, high)]
    middle = low + 0.45 * (high - low)
    shine = [(-0.55, low), (-0.15, low), (0.35, high), (-0.05, high)]
    found = [lay(pane, glass), lay(shine, _lighter(glass, 20))]
    if front:
        dash = [(-0.88, low), (0.88, low), (0.88, low + 0.12 * (high - low)), (-0.88, low + 0.12 * (high - low))]
        return [*found, lay(dash, _DARK)]
    return [*found, lay([(-0.88, middle), (0.88, middle), (0.88, middle + 0.01), (-0.88, middle + 0.01)], _PILLAR)]


def sides_of(vehicle: Vehicle, frame: Frame) -> Iterator[Surface]:
    """Sills, shoulders, doors, handles and stripes of both sides of the body."""
    body, high = frame.body, frame.height
    low, belt = body.rows[:, 1].min(), _belt(frame)
    front, rear = 0.93 * body.front_at(low + 0.05 * high), 0.95 * body.rear_at(low + 0.05 * high)
    sill = low + 0.22 * (belt - low)
    for side in _SIDES:
        yield body.on_side(side, _band(low + 0.01, sill, front, rear), vehicle.trim, gloss=0.86)
        shoulder = belt - 0.16 * (belt - low)
        reach = (body.front_at(belt - 0.02), body.rear_at(belt - 0.02))
        yield body.on_side(side, _band(shoulder, belt - 0.02, *reach), vehicle.paint, gloss=1.1)
        if vehicle.stripe is not None and vehicle.stripe_place != "bonnet":
            share = (0.52, 0.66) if vehicle.stripe_place == "sides" else (0.24, 0.36)
            edges = [low + part * (belt - low) for part in share]
            yield body.on_side(side, _band(edges[0], edges[1], front, rear), vehicle.stripe)
        yield from _doors(vehicle, frame, side, (sill, belt))


def _belt(frame: Frame) -> float:
    """Upper edge of the body's paint below the windows, in metres."""
    return min(float(frame.body.rows[:, 1].max()), (frame.shape.glass[0] - 0.01) * frame.height)


def _doors(vehicle: Vehicle, frame: Frame, side: float, heights: Spot) -> Iterator[Surface]:
    low, belt = heights
    house, seam = frame.house, vehicle.paint
    dark = (int(seam[0] * 0.55), int(seam[1] * 0.55), int(seam[2] * 0.55))
    glass = frame.shape.glass[0] * frame.height
    front, rear = house.front_at(glass), house.rear_at(glass)
    for near, far in frame.shape.panes[:2]:
        ahead, behind = front + (rear - front) * near, front + (rear - front) * far
        for x in (ahead, behind + 0.03):
            yield frame.body.on_side(side, _band(low, belt, x, x - 0.025), dark)
        handle = behind + 0.26
        yield frame.body.on_side(side, _band(belt - 0.13, belt - 0.09, handle, handle - 0.16), dark)


def ends_of(vehicle: Vehicle, frame: Frame) -> Iterator[Surface]:
    """Bumpers, lamps, grille and plates of front and rear, and what the bonnet shows."""
    body, high = frame.body, frame.height
    base = float(body.rows[:, 1].min())
    bumper = base + 0.45 * (frame.shape.lamps[0] * high - base)
    yield body.on_front(_band(base + 0.01, bumper, -0.97, 0.97), vehicle.trim, gloss=0.95)
    yield body.on_front(_band(base + 0.04, bumper - 0.05, -0.5, 0.5), _DARK)
    yield from _lamps(vehicle, frame)
    yield from _plate(vehicle, frame, (bumper - 0.02, bumper + 0.12), front=True)
    if vehicle.stripe is not None and vehicle.stripe_place == "bonnet" and frame.house is not body:
        near, far = body.rows[4, 0], frame.house.rows[0, 0]
        for middle in (-0.16, 0.16):
            spots = [(near, middle - 0.09), (near, middle + 0.09), (far, middle + 0.09), (far, middle - 0.09)]
            yield body.on_top(spots, vehicle.stripe)
    if vehicle.type == "pickup":
        yield from _bed(vehicle, frame)
    if frame.cargo is not None:
        return
    yield body.on_rear(_band(base + 0.01, bumper, -0.97, 0.97), vehicle.trim, gloss=0.95)
    lid = min(frame.shape.tails[1] * high + 0.03, float(body.rows[:, 1].max()) - 0.03)
    yield body.on_rear(_band(bumper + 0.10, bumper + 0.13, -0.9, 0.9), _PILLAR)
    yield from _plate(vehicle, frame, (lid - 0.26, lid - 0.12), front=False)


def _lamps(vehicle: Vehicle, frame: Frame) -> Iterator[Surface]:
    body, high = frame.body, frame.height
    low, top = (edge * high for edge in frame.shape.lamps)
    half, below, above = vehicle.grille
    tall = top - low
    grille = (low + max(below, -0.5) * tall, low + min(above + 0.3, 1.0) * tall)
    yield body.on_front(_band(*grille, -half, half), _DARK)
    bar = sum(grille) / 2
    yield body.on_front(_band(bar - 0.012, bar + 0.012, -half, half), (168, 170, 174))
    yield body.on_front(_band(bar - 0.045, bar + 0.045, -0.07, 0.07), (196, 198, 202))
    tail = [edge * high for edge in frame.shape.tails]
    for side in _SIDES:
        inner = side * (0.97 - vehicle.lamp)
        yield body.on_front(_band(low, top, side * 0.98, inner), (206, 210, 214), gloss=1.2)
        yield body.on_front(_band(low + 0.02, top - 0.02, side * 0.86, side * 0.72), (242, 244, 246), gloss=1.3)
        x = body.front_at((low + top) / 2)
        yield body.on_side(side, [(x, low), (x - 0.2, low + 0.05), (x - 0.24, top), (x - 0.02, top)], (206, 210, 214))
        if frame.cargo is None:
            inner = side * (0.99 - vehicle.lamp * 0.9)
            yield body.on_rear(_band(tail[0], tail[1], side * 0.99, inner), (172, 26, 30), gloss=1.15)
            yield body.on_rear(_band(tail[0], tail[0] + 0.05, side * 0.93, inner), (226, 196, 190))
            x = body.rear_at((tail[0] + tail[1]) / 2)
            yield body.on_side(side, _band(tail[0], tail[1], x + 0.01, x + 0.16), (172, 26, 30))


def _plate(vehicle: Vehicle, frame: Frame, heights: Spot, *, front: bool) -> Iterator[Surface]:
    lay = frame.body.on_front if front else frame.body.on_rear
    low, high = heights
    half = 0.26 / frame.half_width
    yield lay(_band(low, high, -half, half), vehicle.plate)
    ink = (236, 236, 234) if sum(vehicle.plate) < 400 else (34, 34, 36)
    start, step = -0.86 * half, 0.36 * half
    for width in vehicle.plate_marks:
        yield lay(_band(low + 0.03, high - 0.03, start, start + 0.75 * step * width), ink)
        start += step


def _bed(vehicle: Vehicle, frame: Frame) -> Iterator[Surface]:
    """The open bed of a pickup, and sometimes a load in it."""
    near, far = -0.30 * frame.half_length, -0.93 * frame.half_length
    yield frame.body.on_top([(near, -0.84), (near, 0.84), (far, 0.84), (far, -0.84)], _DARK, gloss=0.8)
    if vehicle.loaded:
        near, far = near - 0.15, far + 0.5
        yield frame.body.on_top([(near, -0.6), (near, 0.6), (far, 0.6), (far, -0.6)], vehicle.cargo, gloss=0.9)


def roof_span(frame: Frame) -> Spot | None:
    """Where a roof can carry things, from its front to its rear in metres; None where it is too short."""
    middle = frame.height * 0.99
    front, rear = frame.house.front_at(middle) - 0.25, frame.house.rear_at(middle) + 0.25
    return None if frame.cargo is not None or front - rear < 0.5 else (front, rear)


def roof_of(vehicle: Vehicle, frame: Frame) -> Iterator[tuple[Solid, RGB, list[Surface]]]:
    """What stands upon the roof, as solids with their colour and what lies upon them."""
    house = frame.house
    if (span := roof_span(frame)) is None:
        return
    top, (front, rear) = float(house.rows[:, 1].max()), span
    half = house.half_at(top) * 0.86
    if vehicle.rack is not None:
        for side in _SIDES:
            rail = box((front, rear), (side * (half - 0.05), side * half), (top, top + 0.09))
            yield rail, vehicle.rack, []
    if vehicle.roof_box is not None:
        length = min(1.5, (front - rear) * 0.8)
        start = (front + rear + length) / 2
        load = box((start, start - length), (-0.4, 0.4), (top + 0.02, top + 0.32))
        yield load, vehicle.roof_box, []
    if vehicle.sunroof:
        spots = [(front, -0.55), (front, 0.55), (front - 0.6, 0.55), (front - 0.6, -0.55)]
        flat = box((front, front - 0.6), (-half * 0.6, half * 0.6), (top - 0.01, top))
        yield flat, vehicle.roof, [house.on_top(spots, _DARK)]


def stickers_of(
    vehicle: Vehicle, frame: Frame, *, glass: bool = False, cargo: bool = False, body: bool = True
) -> Iterator[Surface]:
    """Labels and dents.

    Args:
        vehicle: the vehicle.
        frame: its solids.
        glass: those on windscreen and rear window.
        cargo: those of the sides and the rear of a truck's box; they are not on its body then.
        body: those of the body.

    Yields:
        surfaces upon the solid that was asked for.
    """
    for sticker in vehicle.stickers:
        on_glass = sticker.side in ("windscreen", "rear window")
        on_cargo = frame.cargo is not None and sticker.side in ("left", "right", "rear")
        if on_glass and glass:
            low, high = (edge * frame.height for edge in frame.shape.screens)
            if sticker.side == "windscreen" or frame.shape.rear_window:
                yield from _stick(sticker, frame.house, (low, high))
        elif on_cargo and cargo and frame.cargo is not None:
            rows = frame.cargo.rows[:, 1]
            yield from _stick(sticker, frame.cargo, (float(rows.min()), float(rows.max())))
        elif body and not on_glass and not on_cargo:
            low = float(frame.body.rows[:, 1].min())
            yield from _stick(sticker, frame.body, (low + 0.2 * (_belt(frame) - low), _belt(frame)))


def _stick(sticker: Sticker, solid: Solid, heights: Spot) -> Iterator[Surface]:
    low, high = heights
    tall = min(sticker.size[1], 0.8 * (high - low))
    z = (low + high) / 2 + sticker.place[1] * (high - low - tall) / 2
    along = sticker.place[0]
    for share, colour in ((1.0, sticker.colour), (0.55, sticker.inner)):
        if colour is None:
            continue
        edges = z - tall * share / 2, z + tall * share / 2
        if sticker.side in ("left", "right"):
            side = LEFT if sticker.side == "left" else RIGHT
            front, rear = solid.front_at(z), solid.rear_at(z)
            x = (front + rear) / 2 + along * (front - rear) * 0.42
            half = sticker.size[0] * share / 2
            yield solid.on_side(side, _band(*edges, x + half, x - half), colour)
            continue
        lay = solid.on_front if sticker.side in ("front", "windscreen") else solid.on_rear
        half = float(np.clip(sticker.size[0] * share / 2 / solid.half_at(z), 0.02, 0.9))
        middle = along * (0.95 - half)
        yield lay(_band(*edges, middle - half, middle + half), colour)
