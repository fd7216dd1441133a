"""Bare body parts and what covers them closely: head and hair, arms with sleeves, legs with shoes."""

from __future__ import annotations

from math import cos

import numpy as np

from reid_drawings.canvas import Canvas, Paint, Points
from reid_drawings.identity import Hair, Identity
from reid_drawings.palette import RGB
from reid_drawings.skeleton import Joint, Section, View

_HEAD = ((0.999, 0.42), (0.989, 0.72), (0.966, 0.96), (0.932, 1.0), (0.9, 0.92), (0.876, 0.72), (0.86, 0.42))
_HEAD_WIDTH, _HEAD_DEPTH = 0.047, 0.056
_LEG_TOP, _LEG_LENGTH = 0.51, 0.465


def darker(colour: RGB, factor: float) -> RGB:
    """A colour times a factor (above 1 is lighter).

    Args:
        colour: the colour.
        factor: the factor.

    Returns:
        the product, at most 255.
    """
    red, green, blue = (min(255, int(channel * factor)) for channel in colour)
    return red, green, blue


def draw_leg(canvas: Canvas, view: View, joints: list[Joint], identity: Identity, paint: Paint) -> None:
    """Draw one leg with its shoe and the garment on it.

    Args:
        canvas: what is drawn upon.
        view: how the body is seen.
        joints: hip, knee and ankle.
        identity: gives build, skin, garment and shoes.
        paint: the garment's paint in this view.
    """
    points, lower = view.line(joints), identity.lower
    thick = view.scale * identity.build.width
    if lower.kind in ("shorts", "skirt"):
        canvas.tube(points, [0.04 * thick, 0.031 * thick, 0.02 * thick], Paint(identity.skin))
    _draw_shoe(canvas, view, joints[2], identity)
    if lower.kind == "skirt":
        return
    loose = 1.0 if lower.kind == "jeans" else 1.13
    radii = [0.053 * thick * loose, 0.039 * thick * loose, 0.028 * thick * loose]
    if lower.kind == "shorts":
        points, radii = _part(points, radii, (_LEG_TOP - lower.length) / _LEG_LENGTH)
        radii[-1] *= 1.12
    canvas.tube(points, radii, paint, round_ends=False)


def _draw_shoe(canvas: Canvas, view: View, ankle: Joint, identity: Identity) -> None:
    x, y, z = ankle
    drop = 0.022 + 0.35 * max(0.0, y - 0.06)
    foot = view.line([(x, y - 0.014, z - 0.022), (x, y - drop, z + 0.03), (x * 1.1, y - drop - 0.004, z + 0.078)])
    size = view.scale
    canvas.tube(foot, [0.024 * size, 0.022 * size, 0.015 * size], Paint(identity.shoes.rgb))
    sole = (215, 213, 208) if sum(identity.shoes.rgb) < 520 else (120, 118, 116)
    canvas.line(foot + np.array([0.0, 0.019 * size]), sole, width=max(1, round(0.008 * size)))


def draw_arm(canvas: Canvas, view: View, joints: list[Joint], identity: Identity, paint: Paint) -> None:
    """Draw one arm with its hand and sleeve.

    Args:
        canvas: what is drawn upon.
        view: how the body is seen.
        joints: shoulder, elbow and wrist.
        identity: gives build, skin and the sleeve's length.
        paint: the sleeve's paint in this view.
    """
    points = view.line(joints)
    thick = view.scale * (0.4 + 0.6 * identity.build.width)
    hand = points[2] + (points[2] - points[1]) / max(1e-6, float(np.hypot(*(points[2] - points[1])))) * 0.03 * thick
    skin = np.vstack([points, hand])
    canvas.tube(skin, [0.03 * thick, 0.023 * thick, 0.017 * thick, 0.018 * thick], Paint(identity.skin))
    sleeve = identity.upper.length
    if sleeve <= 0.0:
        return
    loose = 1.14 if identity.upper.kind in ("jacket", "coat", "hoodie", "sweater") else 1.05
    radii = [0.034 * thick * loose, 0.031 * thick * loose, 0.024 * thick * loose]
    points, radii = _part(points, radii, sleeve)
    canvas.tube(points, radii, paint)


def _part(points: Points, radii: list[float], share: float) -> tuple[Points, list[float]]:
    """The first part of a two-piece limb; `share` 1 is all of it."""
    if share >= 1.0:
        return points, radii
    first, rest = min(1.0, share * 2), max(0.0, share * 2 - 1)
    middle = points[0] + (points[1] - points[0]) * first
    radius = radii[0] + (radii[1] - radii[0]) * first
    if not rest:
        return np.vstack([points[0], middle]), [radii[0], radius]
    end = points[1] + (points[2] - points[1]) * rest
    return np.vstack([points[0], points[1], end]), [radii[0], radii[1], radii[1] + (radii[2] - radii[1]) * rest]


def draw_neck(canvas: Canvas, view: View, identity: Identity) -> None:
    """Draw the neck.

    Args:
        canvas: what is drawn upon.
        view: how the body is seen.
        identity: gives the skin.
    """
    points = view.line([(0.0, 0.885, -0.012), (0.0, 0.815, -0.012)])
    radius = 0.029 * view.scale * (0.5 + 0.5 * identity.build.width)
    canvas.tube(points, [radius, radius * 1.15], Paint(darker(identity.skin, 0.88)))


def _head_cuts(size: float, *, grown: float = 1.0) -> list[Section]:
    return [
        Section(
            0.858 + (y - 0.858) * size, _HEAD_WIDTH * size * width * grown, _HEAD_DEPTH * size * width * grown, 0.008
        )
        for y, width in _HEAD
    ]


def draw_head(canvas: Canvas, view: View, identity: Identity) -> None:
    """Draw the head with face, hair cap and hat.

    Args:
        canvas: what is drawn upon.
        view: how the body is seen.
        identity: gives skin, hair and hat.
    """
    hair = identity.hair
    cuts = _head_cuts(identity.build.head, grown=1.0 if hair.style in ("bald", "short") else 1.07)
    middle, radii = view.column(cuts)
    canvas.tube(middle, radii, Paint(identity.skin))
    if hair.style != "bald":
        _draw_hair_cap(canvas, view, hair, cuts)
    _draw_features(canvas, view, identity, cuts)
    _draw_gathered_hair(canvas, view, hair)
    _draw_hat(canvas, view, identity)


def _draw_hair_cap(canvas: Canvas, view: View, hair: Hair, cuts: list[Section]) -> None:
    paint = Paint(hair.colour.rgb)
    lowest = 7 if hair.style in ("bob", "long") else 6
    for low, high in ((64.0, 180.0), (180.0, 296.0)):
        half = view.patch(cuts[1:lowest], low, high)
        if half is not None:
            canvas.fill(half, paint)
    _draw_crown(canvas, view, cuts[:3], paint)


def _draw_crown(canvas: Canvas, view: View, cuts: list[Section], paint: Paint) -> None:
    """Cover the top of the head, down to the last cut and no further."""
    top = Section(cuts[0].y + 0.014, cuts[0].width * 0.5, cuts[0].depth * 0.5, cuts[0].z)
    middle, radii = view.column([top, *cuts])
    canvas.tube(middle, [radius * 1.03 for radius in radii], paint, round_ends=False)


def _draw_features(canvas: Canvas, view: View, identity: Identity, cuts: list[Section]) -> None:
    eyes = [Section(y, cuts[3].width, cuts[3].depth, cuts[3].z) for y in (0.934, 0.924)]
    mouth = [Section(y, cuts[5].width, cuts[5].depth * 1.08, cuts[5].z) for y in (0.884, 0.878)]
    for side in (-1.0, 1.0):
        low, high = sorted((side * 14.0, side * 36.0))
        eye = view.patch(eyes, low, high)
        if eye is not None:
            canvas.fill(eye, Paint(darker(identity.skin, 0.38)))
    lips = view.patch(mouth, -24.0, 24.0)
    if lips is not None:
        canvas.fill(lips, Paint(darker(identity.skin, 0.7)))
    nose = view.patch([Section(y, 0.047, 0.066, 0.008) for y in (0.922, 0.903)], -9.0, 9.0)
    if nose is not None:
        canvas.fill(nose, Paint(darker(identity.skin, 1.03)))


def _draw_gathered_hair(canvas: Canvas, view: View, hair: Hair) -> None:
    paint = Paint(hair.colour.rgb)
    if hair.style == "bun":
        top = view.line([(0.0, 0.985, -0.045), (0.0, 1.0, -0.055)])
        canvas.tube(top, [0.02 * view.scale, 0.022 * view.scale], paint)
    elif hair.style == "ponytail" and cos(view.angle) < 0.55:
        tail = view.line([(0.0, 0.955, -0.058), (0.0, 0.9, -0.098), (0.0, 0.94 - hair.length, -0.088)])
        canvas.tube(tail, [0.016 * view.scale, 0.021 * view.scale, 0.01 * view.scale], paint)


def _draw_hat(canvas: Canvas, view: View, identity: Identity) -> None:
    hat = identity.accessories.hat
    if hat is None:
        return
    cuts = _head_cuts(identity.build.head, grown=1.13)[:3]
    cuts = [Section(c.y + 0.006, c.width, c.depth, c.z) for c in cuts]
    _draw_crown(canvas, view, cuts, Paint(hat.rgb))
    brim = view.line([(0.0, 0.963, 0.045), (0.0, 0.952, 0.1)])
    if cos(view.angle) > -0.35:
        wide = view.half_width(0.042, 0.012)
        canvas.tube(brim, [wide, wide * 0.75], Paint(darker(hat.rgb, 0.8)), round_ends=False)


def draw_loose_hair(canvas: Canvas, view: View, identity: Identity) -> None:
    """Draw hair that falls behind the neck.

    Args:
        canvas: what is drawn upon.
        view: how the body is seen.
        identity: gives the hair.
    """
    hair, size = identity.hair, identity.build.head
    if hair.style not in ("bob", "long"):
        return
    end = 0.862 if hair.style == "bob" else 0.9 - hair.length
    cuts = [
        Section(0.96, 0.046 * size, 0.04, -0.012),
        Section(0.92, 0.055 * size, 0.044, -0.016),
        Section(0.87, 0.057 * size, 0.04, -0.024),
    ]
    if end < 0.86:
        cuts.append(Section(end + 0.02, 0.057 * size, 0.03, -0.052))
    cuts.append(Section(end, 0.04 * size, 0.02, -0.05))
    middle, radii = view.column(cuts)
    canvas.tube(middle, radii, Paint(hair.colour.rgb))
