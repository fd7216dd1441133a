"""Garments of the trunk, and what is worn or carried over them."""

from __future__ import annotations

from math import cos

import numpy as np

from reid_drawings.body import darker
from reid_drawings.canvas import FULL_LIGHT, Canvas, Paint
from reid_drawings.identity import Identity
from reid_drawings.palette import RGB
from reid_drawings.skeleton import Section, View, between, torso

HEMS = {"t-shirt": 0.49, "shirt": 0.475, "sweater": 0.485, "hoodie": 0.48, "jacket": 0.47, "coat": 0.3, "tank top": 0.5}
LOOSENESS = {"sweater": 0.01, "hoodie": 0.014, "jacket": 0.013, "coat": 0.014, "shirt": 0.006}


def trunk_of(identity: Identity) -> list[Section]:
    """Cuts through a person's dressed trunk.

    Args:
        identity: gives build and upper garment.

    Returns:
        the cuts, from top to bottom.
    """
    kind = identity.upper.kind
    return torso(identity.build, hem=HEMS[kind], loose=LOOSENESS.get(kind, 0.003))


def draw_skirt(canvas: Canvas, view: View, identity: Identity, paint: Paint) -> None:
    """Draw a skirt, or the seat of trousers.

    Args:
        canvas: what is drawn upon.
        view: how the body is seen.
        identity: gives build and lower garment.
        paint: the garment's paint in this view.
    """
    build, lower = identity.build, identity.lower
    wide = 0.094 * build.width * build.hips
    deep = 0.066 * build.width
    cuts = [Section(0.6, wide * 0.9, deep * 0.9), Section(0.53, wide, deep)]
    if lower.kind == "skirt":
        spread = 0.53 - lower.length
        cuts.append(Section(lower.length, wide + 0.16 * spread, deep + 0.2 * spread))
    else:
        cuts.append(Section(0.47, wide * 0.92, deep * 0.95))
    middle, radii = view.column(cuts)
    canvas.tube(middle, radii, paint, round_ends=False)


def draw_trunk(canvas: Canvas, view: View, identity: Identity, paint: Paint) -> None:
    """Draw the upper garment's body with all that is on its surface.

    Args:
        canvas: what is drawn upon.
        view: how the body is seen.
        identity: gives build, upper garment, print and open front.
        paint: the garment's paint in this view.
    """
    cuts = trunk_of(identity)
    middle, radii = view.column(cuts)
    canvas.tube(middle, radii, paint, round_ends=False)
    _draw_front(canvas, view, identity, cuts)
    _draw_print(canvas, view, identity, cuts)
    _draw_straps(canvas, view, identity, cuts)
    hem = view.column(cuts[-1:])
    x, y = hem[0][0]
    edge = np.array([[x - hem[1][0], y], [x + hem[1][0], y]])
    canvas.shadow(edge, FULL_LIGHT - 52, width=max(2, round(0.006 * view.scale)))


def _surface(canvas: Canvas, view: View, cuts: list[Section], span: tuple[float, float], colour: RGB) -> None:
    patch = view.patch(cuts, span[0], span[1])
    if patch is not None:
        canvas.fill(patch, Paint(colour))


def _draw_front(canvas: Canvas, view: View, identity: Identity, cuts: list[Section]) -> None:
    upper, inner = identity.upper, identity.accessories.inner_shirt
    colour, hem = upper.colour.rgb, cuts[-1].y
    if inner is not None:
        front = between(cuts, 0.838, max(hem, 0.475) + 0.004)
        _surface(canvas, view, front, (-41.0, 41.0), darker(colour, 0.62))
        _surface(canvas, view, front, (-35.0, 35.0), inner.rgb)
    elif upper.kind in ("jacket", "coat"):
        _surface(canvas, view, between(cuts, 0.835, hem + 0.004), (-3.0, 3.0), darker(colour, 0.55))
    elif upper.kind == "shirt":
        _surface(canvas, view, between(cuts, 0.82, hem + 0.004), (-2.5, 2.5), darker(colour, 0.78))
    elif upper.kind == "hoodie":
        _surface(canvas, view, between(cuts, 0.6, 0.53), (-38.0, 38.0), darker(colour, 0.84))
    if upper.kind in ("t-shirt", "shirt", "tank top") or inner is not None:
        _surface(canvas, view, between(cuts, 0.85, 0.812), (-30.0, 30.0), identity.skin)
    if upper.kind in ("shirt", "jacket", "coat"):
        _surface(canvas, view, between(cuts, 0.852, 0.832), (75.0, 285.0), darker(colour, 1.18))
        for side in (-1.0, 1.0):
            low, high = sorted((side * 22.0, side * 60.0))
            _surface(canvas, view, between(cuts, 0.845, 0.815), (low, high), darker(colour, 1.18))


def _draw_print(canvas: Canvas, view: View, identity: Identity, cuts: list[Section]) -> None:
    ink, shape = identity.accessories.chest_print, identity.accessories.print_shape
    if ink is None:
        return
    if shape == "band":
        _surface(canvas, view, between(cuts, 0.745, 0.695), (-88.0, 88.0), ink.rgb)
    elif shape == "letters":
        for top, low, high in ((0.76, -34.0, 34.0), (0.725, -26.0, 30.0), (0.69, -34.0, 12.0)):
            _surface(canvas, view, between(cuts, top, top - 0.02), (low, high), ink.rgb)
    elif shape == "round":
        for top, half in ((0.765, 16.0), (0.75, 26.0), (0.715, 30.0), (0.68, 24.0)):
            _surface(canvas, view, between(cuts, top, top - 0.036), (-half, half), ink.rgb)
    else:
        _surface(canvas, view, between(cuts, 0.762, 0.668), (-32.0, 32.0), ink.rgb)


def _draw_straps(canvas: Canvas, view: View, identity: Identity, cuts: list[Section]) -> None:
    pack = identity.accessories.backpack
    if pack is None:
        return
    for low, high in ((42.0, 55.0), (-55.0, -42.0)):
        _surface(canvas, view, between(cuts, 0.832, 0.68), (low, high), darker(pack.rgb, 0.8))


def draw_backpack(canvas: Canvas, view: View, identity: Identity) -> None:
    """Draw a backpack behind the trunk.

    Args:
        canvas: what is drawn upon.
        view: how the body is seen.
        identity: gives its colour and the trunk.
    """
    pack = identity.accessories.backpack
    if pack is None:
        return
    wide, z = 0.072, -0.045 - 0.066 * identity.build.width
    cuts = [
        Section(0.835, wide * 0.55, 0.026, z + 0.01),
        Section(0.815, wide * 0.95, 0.04, z + 0.005),
        Section(0.72, wide * 1.05, 0.05, z),
        Section(0.62, wide * 1.08, 0.058, z),
        Section(0.59, wide * 0.9, 0.05, z),
    ]
    middle, radii = view.column(cuts)
    canvas.tube(middle, radii, Paint(pack.rgb), round_ends=False)
    _surface(canvas, view, between(cuts, 0.71, 0.702), (110.0, 250.0), darker(pack.rgb, 0.55))
    _surface(canvas, view, between(cuts, 0.69, 0.61), (140.0, 220.0), darker(pack.rgb, 1.35))


def draw_shoulder_bag(canvas: Canvas, view: View, identity: Identity) -> None:
    """Draw a bag that hangs from one shoulder.

    Args:
        canvas: what is drawn upon.
        view: how the body is seen.
        identity: gives its colour and side.
    """
    bag, side = identity.accessories.shoulder_bag, identity.accessories.bag_side
    if bag is None:
        return
    across = side * (0.1 + 0.045 * identity.build.width)
    shoulder = (side * 0.08 * identity.build.width, 0.83, 0.0)
    strap = view.line([shoulder, (across, 0.68, 0.0), (across, 0.57, 0.0)])
    canvas.line(strap, darker(bag.rgb, 0.7), width=max(2, round(0.013 * view.scale)))
    half, middle = view.half_width(0.032, 0.07), view.line([(across, 0.575, 0.0), (across, 0.455, 0.0)])
    canvas.tube(middle, [half * 0.92, half], Paint(bag.rgb), round_ends=False)
    flap = np.array([[-half * 0.9, 0.0], [half * 0.9, 0.0]]) + middle[0] + (middle[1] - middle[0]) * 0.4
    canvas.shadow(flap, FULL_LIGHT - 50, width=max(1, round(0.007 * view.scale)))


def draw_hood(canvas: Canvas, view: View, identity: Identity) -> None:
    """Draw the hood that lies behind a hoodie's neck.

    Args:
        canvas: what is drawn upon.
        view: how the body is seen.
        identity: gives the upper garment.
    """
    if identity.upper.kind != "hoodie":
        return
    cuts = [Section(0.868, 0.05, 0.03, -0.035), Section(0.84, 0.068, 0.038, -0.045), Section(0.8, 0.045, 0.026, -0.06)]
    middle, radii = view.column(cuts)
    canvas.tube(middle, radii, Paint(darker(identity.upper.colour.rgb, 0.93)))


def draw_folds(canvas: Canvas, view: View, identity: Identity, generator: np.random.Generator) -> None:
    """Draw a few folds over the trunk.

    Args:
        canvas: what is drawn upon.
        view: how the body is seen.
        identity: gives the trunk.
        generator: the source of randomness.
    """
    cuts = trunk_of(identity)
    heights, turns = generator.uniform(0.5, 0.74, size=5), generator.uniform(-0.6, 0.6, size=(5, 2))
    for y, turn in zip(heights.tolist(), turns.tolist(), strict=True):
        cut = between(cuts, y + 0.01, y - 0.01)[0]
        half = view.half_width(cut.width, cut.depth)
        x, top = view.place((0.0, y, cut.z))
        ends = np.array([[x + half * turn[0], top], [x + half * turn[1], top + 0.05 * view.scale * (0.2 + turn[0])]])
        canvas.shadow(ends, FULL_LIGHT - 18, width=max(2, round(0.008 * view.scale)))


def faces_camera(view: View) -> bool:
    """Whether the person's front is on the camera's side.

    Args:
        view: how the body is seen.

    Returns:
        True for views from the front half.
    """
    return cos(view.angle) > 0.1
