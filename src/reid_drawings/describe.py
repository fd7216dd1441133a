"""What is seen of a person in a shot, in English."""

from __future__ import annotations

from math import cos, radians, sin

import numpy as np

from reid_drawings.camera import Camera
from reid_drawings.identity import Garment, Identity
from reid_drawings.sentences import listed, with_article
from reid_drawings.shot import Shot

PATTERN_WORDS = {
    "plain": "",
    "striped": "striped",
    "vertically striped": "vertically striped",
    "checked": "checked",
    "dotted": "dotted",
    "two-coloured": "two-coloured",
    "camouflage": "camouflage",
}
_TEMPLATES = (
    "a photo of {who}{view}, {parts}.",
    "{who}{view}, {parts}.",
    "a pedestrian photo: {who}{view}, {parts}.",
    "a low resolution photo of {who}{view}, {parts}.",
    "this is {who}{view}, {parts}.",
    "{who} {parts}{view}.",
)
_VIEW_WORDS = {
    "front": ("seen from the front", "facing the camera"),
    "back": ("seen from behind", "walking away from the camera"),
    "left": ("seen from the side, facing left", "walking to the left"),
    "right": ("seen from the side, facing right", "walking to the right"),
}


_GROUND_WORDS = {"pavement": "on a pavement", "road": "on a road", "grass": "on grass", "tiles": "on tiles"}
_BACKDROP_WORDS = {
    "wall": "in front of a wall",
    "shop": "in front of a shop",
    "hedge": "in front of a hedge",
    "building": "in front of a building",
    "open": "under an open sky",
}


def side_seen(viewpoint: float) -> str:
    """The side that a viewpoint shows.

    Args:
        viewpoint: degrees; 0 faces the camera, 90 faces right in the picture.

    Returns:
        `front`, `right`, `back` or `left` (where left and right say where the person faces).
    """
    return ("front", "right", "back", "left")[int(((viewpoint % 360.0) + 45.0) // 90.0) % 4]


def parts_seen(identity: Identity, shot: Shot) -> dict[str, str]:
    """What of a person's hair, clothes and things the camera sees, in words.

    Args:
        identity: the person.
        shot: viewpoint and crop.

    Returns:
        a phrase for each of `hair`, `upper`, `lower`, `shoes` and for each thing that is seen.
    """
    facing = cos(radians(shot.viewpoint))
    things, parts = identity.accessories, {}
    if shot.head_visible:
        parts["hair"] = _hair_words(identity)
        if things.hat is not None:
            parts["hat"] = with_article(f"{things.hat.name} hat")
    parts["upper"] = _garment_words(identity.upper)
    if things.inner_shirt is not None and facing > 0.3:
        parts["upper"] = f"an open {_plain_words(identity.upper)} over {with_article(things.inner_shirt.name)} shirt"
    if things.chest_print is not None and facing > 0.3:
        parts["upper"] += f" with {with_article(things.chest_print.name)} print"
    if shot.lower_visible:
        parts["lower"] = _garment_words(identity.lower)
    if shot.feet_visible:
        parts["shoes"] = f"{identity.shoes.name} shoes"
    if things.backpack is not None and facing < 0.25:
        parts["backpack"] = with_article(f"{things.backpack.name} backpack")
    # The bag hangs at the person's side `bag_side`; it is hidden while that side is turned away.
    if things.shoulder_bag is not None and -things.bag_side * sin(radians(shot.viewpoint)) > -0.4:
        parts["bag"] = with_article(f"{things.shoulder_bag.name} shoulder bag")
    return parts


def describe(
    identity: Identity,
    shot: Shot,
    generator: np.random.Generator,
    *,
    completeness: float = 0.85,
    view_share: float = 0.85,
    surroundings: str = "",
) -> str:
    """Write a caption.

    Args:
        identity: the person.
        shot: viewpoint and crop.
        generator: chooses the template and the parts that are left out.
        completeness: chance that a part other than the upper garment is mentioned, in 0..1.
        view_share: chance that the side seen is mentioned, in 0..1.
        surroundings: words on the place, such as `scene_words` gives.

    Returns:
        one sentence.
    """
    parts = parts_seen(identity, shot)
    mentioned = {name: words for name, words in parts.items() if name == "upper" or generator.random() < completeness}
    who = ("a person", "a pedestrian", f"a {identity.gender}", f"a {identity.gender}")[int(generator.integers(4))]
    views = _VIEW_WORDS[side_seen(shot.viewpoint)]
    view = f" {views[int(generator.integers(len(views)))]}" if generator.random() < view_share else ""
    template = _TEMPLATES[int(generator.integers(len(_TEMPLATES)))]
    where = f" {surroundings}" if surroundings else ""
    return template.format(who=who, view=f"{view}{where}", parts=_sentence(mentioned))


def scene_words(camera: Camera, generator: np.random.Generator) -> str:
    """Say where a camera looks, as captions on the web do.

    Args:
        camera: the camera.
        generator: decides whether the backdrop is mentioned beside the ground.

    Returns:
        a phrase such as `on grass` or `on a road in front of a shop`.
    """
    ground = _GROUND_WORDS[camera.ground]
    return f"{ground} {_BACKDROP_WORDS[camera.backdrop]}" if generator.random() < 0.3 else ground


def _sentence(parts: dict[str, str]) -> str:
    worn = [parts[name] for name in ("upper", "lower", "shoes", "hat") if name in parts]
    carried = [parts[name] for name in ("backpack", "bag") if name in parts]
    words = f"wearing {listed(worn)}"
    if "hair" in parts:
        words = f"with {parts['hair']}, {words}"
    return f"{words}, carrying {listed(carried)}" if carried else words


def _hair_words(identity: Identity) -> str:
    hair = identity.hair
    if hair.style == "bald":
        return "a bald head"
    if hair.style in ("ponytail", "bun"):
        return f"{hair.colour.name} hair in a {hair.style}"
    length = {"short": "short", "bob": "shoulder-length", "long": "long"}[hair.style]
    return f"{length} {hair.colour.name} hair"


def _plain_words(garment: Garment) -> str:
    colours = garment.colour.name
    if garment.pattern != "plain":
        colours = f"{garment.colour.name} and {garment.second.name} {PATTERN_WORDS[garment.pattern]}"
    return f"{colours} {garment.kind}"


def _garment_words(garment: Garment) -> str:
    words = _plain_words(garment)
    if garment.kind in ("jeans", "trousers", "shorts"):
        return words
    sleeves = "long-sleeved " if garment.kind == "shirt" and garment.length >= 1.0 else ""
    return with_article(f"{sleeves}{words}")
