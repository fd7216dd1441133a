"""What is seen of an animal in a shot, in English."""

from __future__ import annotations

import numpy as np

from reid_drawings.animals.identity import LEFT, Animal
from reid_drawings.animals.shot import AnimalShot
from reid_drawings.sentences import listed, with_article

_TEMPLATES = (
    "a photo of {who}{view}{parts}.",
    "{who}{view}{parts}.",
    "an animal photo: {who}{view}{parts}.",
    "a low resolution photo of {who}{view}{parts}.",
    "this is {who}{view}{parts}.",
)


def coat_words(animal: Animal) -> str:
    """Say which colours and marks the coat has, such as `brown and white spotted`."""
    if animal.pattern == "plain":
        return animal.coat.name
    return f"{animal.coat.name} and {animal.second.name} {animal.pattern}"


def parts_seen(animal: Animal, side: int) -> dict[str, str]:
    """What of an animal is seen from a side, beside its coat, in words.

    Args:
        animal: the animal.
        side: `LEFT` or `RIGHT`.

    Returns:
        a phrase for each of `marks`, `face`, `socks`, `ears`, `tail`, `horns`, `collar`, `tag` and `brand` that there
        is.
    """
    parts: dict[str, str] = {}
    if animal.pattern in ("striped", "spotted"):
        noun = animal.pattern.replace("striped", "stripes").replace("spotted", "spots")
        parts["marks"] = f"{'few large' if animal.wide else 'many small'} {noun}"
    if animal.face is not None:
        parts["face"] = with_article(f"{animal.face.name} face")
    if animal.socks is not None:
        parts["socks"] = f"{animal.socks.name} socks"
    parts["ears"] = f"{animal.ears} ears"
    if animal.tail.name != animal.coat.name:
        parts["tail"] = with_article(f"{animal.tail.name} tail")
    if animal.horns:
        parts["horns"] = f"{animal.horns} horns"
    if animal.collar is not None:
        parts["collar"] = with_article(f"{animal.collar.name} collar")
    if animal.tag is not None and animal.tag_side == side:
        parts["tag"] = with_article(f"{animal.tag.name} ear tag")
    if animal.brand and animal.brand_side == side:
        parts["brand"] = with_article(f"{animal.brand} brand")
    return parts


def describe_animal(
    animal: Animal, shot: AnimalShot, generator: np.random.Generator, *, completeness: float, view_share: float
) -> str:
    """Write a caption.

    Args:
        animal: the animal.
        shot: says which side is seen.
        generator: chooses the template and the parts that are left out.
        completeness: chance that a part is mentioned, in 0..1; the coat always is.
        view_share: chance that the side seen is mentioned, in 0..1.

    Returns:
        one sentence.
    """
    mentioned = [words for words in parts_seen(animal, shot.side).values() if generator.random() < completeness]
    noun = "animal" if generator.random() > completeness else animal.kind
    facing = "left" if shot.side == LEFT else "right"
    view = f" facing {facing}" if generator.random() < view_share else ""
    template = _TEMPLATES[int(generator.integers(len(_TEMPLATES)))]
    parts = f"{',' if view else ''} with {listed(mentioned)}" if mentioned else ""
    return template.format(who=with_article(f"{coat_words(animal)} {noun}"), view=view, parts=parts)
