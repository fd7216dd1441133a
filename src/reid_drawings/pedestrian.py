"""A picture of one person by one camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from PIL import Image

from reid_drawings.background import window_on_scene
from reid_drawings.body import draw_arm, draw_head, draw_leg, draw_loose_hair, draw_neck
from reid_drawings.camera import Camera, expose
from reid_drawings.canvas import Canvas
from reid_drawings.garments import (
    draw_backpack,
    draw_folds,
    draw_hood,
    draw_shoulder_bag,
    draw_skirt,
    draw_trunk,
    faces_camera,
)
from reid_drawings.identity import Identity
from reid_drawings.occluders import draw_occluder
from reid_drawings.patterns import paint_of
from reid_drawings.shot import Shot
from reid_drawings.skeleton import Joint, View, pose, view_of


def draw_scene(
    identity: Identity | None,
    camera: Camera,
    shot: Shot,
    generator: np.random.Generator,
    *,
    bystander: Identity | None = None,
) -> Image.Image:
    """Draw a given shot.

    Args:
        identity: the person; None for a detection with nobody in it.
        camera: the camera.
        shot: viewpoint, pose, crop and what stands in the way.
        generator: the source of uneven light and of the sensor's noise.
        bystander: another person who is partly in the picture.

    Returns:
        an RGB picture, 64 wide and 128 high.
    """
    canvas = Canvas(window_on_scene(camera, shot), light=camera.light)
    if bystander is not None and not shot.neighbour_front:
        _draw_bystander(canvas, bystander, camera, shot)
    if identity is not None:
        draw_figure(canvas, identity, camera, shot)
    if bystander is not None and shot.neighbour_front:
        _draw_bystander(canvas, bystander, camera, shot)
    if shot.occluder:
        details = np.random.default_rng(shot.occluder_seed)
        draw_occluder(canvas, shot.occluder, shot.occluder_place, details)
    unevenness = generator.normal(1.0, 0.06, size=(8, 4)).astype(np.float32)
    return expose(canvas.finish(unevenness), camera, generator, brightness=shot.brightness)


def _draw_bystander(canvas: Canvas, bystander: Identity, camera: Camera, shot: Shot) -> None:
    nearer = 1.06 if shot.neighbour_front else 0.9
    turned = replace(
        shot,
        viewpoint=shot.neighbour_viewpoint,
        centre=shot.neighbour_place,
        phase=shot.phase + 1.7,
        height=shot.height * nearer,
        ground=shot.ground + (0.03 if shot.neighbour_front else -0.05) * shot.height,
    )
    draw_figure(canvas, bystander, camera, turned)


def draw_figure(canvas: Canvas, identity: Identity, camera: Camera, shot: Shot) -> None:
    """Draw a person upon a canvas.

    Args:
        canvas: what is drawn upon.
        identity: the person.
        camera: says how far it looks down.
        shot: viewpoint, pose and crop.
    """
    view = view_of(shot, identity.build, camera.pitch)
    limbs = pose(shot, identity.build)
    _draw_shadow(canvas, view)
    view = replace(view, ground=view.ground + limbs.lift * view.scale)
    upper = paint_of(identity.upper, view, waist=0.68)
    lower = paint_of(identity.lower, view, waist=0.35)
    front = faces_camera(view)
    if front:
        draw_loose_hair(canvas, view, identity)
        draw_hood(canvas, view, identity)
    for joints in sorted(limbs.legs, key=lambda leg: _depth(view, leg)):
        draw_leg(canvas, view, joints, identity, lower)
    draw_skirt(canvas, view, identity, lower)
    draw_neck(canvas, view, identity)
    folds = np.random.default_rng(shot.fold_seed)

    def trunk() -> None:
        draw_trunk(canvas, view, identity, upper)
        draw_folds(canvas, view, identity, folds)

    arms = [(_depth(view, arm), partial(draw_arm, canvas, view, arm, identity, upper)) for arm in limbs.arms]
    _draw_by_depth(canvas, view, identity, [(0.0, trunk), *arms])
    if not front:
        draw_hood(canvas, view, identity)
    draw_head(canvas, view, identity)
    if not front:
        draw_loose_hair(canvas, view, identity)


def _draw_by_depth(
    canvas: Canvas, view: View, identity: Identity, parts: list[tuple[float, Callable[[], None]]]
) -> None:
    things = list(parts)
    if identity.accessories.backpack is not None:
        things.append((view.depth((0.0, 0.0, -0.11)) - 0.01, lambda: draw_backpack(canvas, view, identity)))
    if identity.accessories.shoulder_bag is not None:
        side = identity.accessories.bag_side * 0.15
        things.append((view.depth((side, 0.0, 0.0)) + 0.02, lambda: draw_shoulder_bag(canvas, view, identity)))
    for _, draw in sorted(things, key=lambda thing: thing[0]):
        draw()


def _depth(view: View, joints: list[Joint]) -> float:
    return sum(view.depth(joint) for joint in joints) / len(joints)


def _draw_shadow(canvas: Canvas, view: View) -> None:
    turns = np.linspace(0.0, 2.0 * np.pi, 20)
    for size, light in ((1.0, 112), (0.7, 96)):
        reach = np.array([0.16, 0.035]) * view.scale * size
        shift = np.array([view.centre - canvas.light * 0.06 * view.scale, view.ground + 0.01 * view.scale])
        canvas.shadow(np.stack([np.cos(turns), np.sin(turns)], axis=1) * reach + shift, light)
