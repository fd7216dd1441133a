"""What a report shows of a model's space and of where it looks: t-SNE, attention maps, similarity maps."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reid_pipeline.reporting.contact_sheets import as_webp, source_of
from reid_pipeline.reporting.formats import count, counted, percent
from reid_pipeline.reporting.heat_maps import Picture, coloured
from reid_pipeline.reporting.scatter import LETTERS, SHAPES, Points, colour_of, scatter
from reid_pipeline.schema.explanations import (
    Attention,
    ComparedImage,
    Explanations,
    HeatMap,
    ImageSpace,
    SimilarImages,
    TextSpace,
)

_KINDS = {
    "class token": "The attention of the class token, by rollout: the mean over the heads plus the identity, each row"
    " divided by its sum, multiplied over all {blocks} blocks.",
    "mean": "The tower reads the mean of its patches and no class token: shown is the mean of the rows of all patches"
    " in the attention rollout over its {blocks} blocks.",
    "attention": "The tower reads an attention pool and no class token: shown are the weights of the pool, mean over"
    " its heads, followed back through the {blocks} blocks by attention rollout.",
    "pool": "The tower is a ResNet, which has no class token: shown are the weights of its attention pool, mean over"
    " the heads. They concern the projected part of the embedding; the other part is the plain mean of all cells.",
    "map": "Shown instead is the cosine of each cell, read alone, to the embedding of the whole image.",
}
_LIMITS = (
    "A rollout leaves out the values, the MLPs and what heads cancel: it says where a feature may come from, not what"
    " was made of it. Each map has its own scale, from its least to its greatest cell."
)


@dataclass(frozen=True)
class ExplainedContent:
    """What is drawn: the record, and by path the images, uint8 [H, W, 3] as large as shown, and their captions."""

    explanations: Explanations
    pictures: Mapping[str, Picture]
    captions: Mapping[str, str]


def explained_section(content: ExplainedContent) -> dict[str, Any] | None:
    """Return the values of `explained.html.j2`; None where there is nothing to show."""
    record = content.explanations
    parts = {
        "images": None if record.images is None else _images(record.images, record.method),
        "texts": None if record.texts is None else _texts(record.texts),
        "attention": None if record.attention is None else _attention(record.attention, content),
        "similar": None if not record.similar else _similar(record.similar, content),
    }
    return {**parts, "shapes": SHAPES} if any(parts.values()) else None


def _images(space: ImageSpace, method: str) -> dict[str, Any]:
    """Return the drawings of image features before and after, what stands below them, and their legend."""
    noun = "identity" if space.by == "identity" else "cluster"
    cameras = _cameras(space.camera)
    shown = f"{counted(len(space.group), 'image')} of {len(space.groups)} {_plural(noun)}"
    after = f"After: {method}" if space.before else method
    sides = [("before", "Before training: zero_shot", space.before), ("after", after, space.after)]
    groups, shapes = [f"{noun} {each}" for each in space.groups], [cameras[each] for each in space.camera]
    drawn = [
        scatter(
            Points(plane.points, space.group, shapes, groups, [*_named(cameras)]),
            f"space-{name}",
            title,
            f"t-SNE of {shown}. Of {percent(plane.nearest_alike)} % of them the nearest other one, by cosine, is of"
            f" their own {noun}.",
        )
        for name, title, plane in sides
        if plane is not None
    ]
    by = "the published identity" if space.by == "identity" else "the cluster that the run found (a pseudo-label)"
    why = "" if space.by == "identity" else " No identity is known here."
    return {
        "intro": f"{shown}, sampled by the seed. Colour and letter: {by}; shape: the camera.{why}",
        "drawn": drawn,
        "groups": _legend(noun, space.groups),
        "cameras": [(shape, name) for shape, name in enumerate(_named(cameras))] if len(cameras) > 1 else [],
    }


def _cameras(names: Sequence[str]) -> dict[str, int]:
    """Return the shape of each camera; where there are more than shapes, those with fewest images share the last."""
    many = len({*names}) > len(SHAPES)
    order = sorted({*names}, key=lambda name: (-names.count(name) if many else 0, name))
    return {name: min(place, len(SHAPES) - 1) for place, name in enumerate(order)}


def _named(cameras: Mapping[str, int]) -> Iterator[str]:
    """Yield what each shape in use stands for."""
    for shape in range(max(cameras.values()) + 1):
        own = [name for name, place in cameras.items() if place == shape]
        yield f"{len(own)} other cameras" if len(own) > 1 else f"camera {own[0]}" if own[0] else "camera unknown"


def _legend(noun: str, groups: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return colour, letter and name of each group that has a letter."""
    return [(colour_of(place), LETTERS[place], f"{noun} {name}") for place, name in enumerate(groups[: len(LETTERS)])]


def _plural(noun: str) -> str:
    return "identities" if noun == "identity" else f"{noun}s"


def _texts(space: TextSpace) -> dict[str, Any]:
    """Return the drawings of text features, before the prompts are learnt and after."""
    total = len(space.identities)
    named = [f"identity {each}" for each in space.identities]
    drawn = [
        scatter(
            Points(plane.points, range(total), [0] * total, named, []),
            f"texts-{name}",
            title,
            f"t-SNE of the text features of {total} prompts, one for each identity."
            f" Mean cosine of two of them: {plane.mean_cosine:.3f}.",
        )
        for name, title, plane in (
            ("before", "Before: tokens as they were sampled", space.before),
            ("after", "After: tokens as learnt", space.after),
        )
    ]
    return {
        "intro": f"The text features of the learnt prompts of {count(total)} training identities, a point for each;"
        " twelve have a letter, to be found again. Prompts that lie apart tell identities apart.",
        "drawn": drawn,
        "groups": _legend("identity", space.identities),
        "cameras": [],
    }


def _attention(attention: Attention, content: ExplainedContent) -> dict[str, Any]:
    """Return rows of an image and its maps, and what they are."""
    kind = "pool" if attention.kind == "attention" and not attention.blocks else attention.kind
    why = f"{attention.why_not}. " if attention.why_not else ""
    is_shown = bool(attention.images)
    what = _KINDS[kind].format(blocks=attention.blocks) if is_shown else "No map is shown."
    limits = _LIMITS if kind != "map" and is_shown else ""
    title = "Cells most like the whole image" if kind == "map" else "Where the model looks"
    return {
        "title": title,
        "intro": " ".join(filter(None, [f"{why}{what}", limits, f"Tower: {attention.tower}."])),
        "rows": [_attended(each, content, kind) for each in attention.images],
    }


def _attended(image: Any, content: ExplainedContent, kind: str) -> list[dict[str, str]]:
    picture, caption = content.pictures[image.path], content.captions[image.path]
    shown = [_shown(picture, caption or "image", f"Image {image.path}")]
    for title, heat in (("before", image.before), ("after", image.after)):
        if heat is not None:
            words = f"{_strongest(heat)}{_elsewhere(heat)}"
            what = "Similarity to the whole" if kind == "map" else "Attention"
            shown.append(_shown(coloured(picture, heat), title, f"{what} {title} training: {words}"))
    return shown if image.before is not None else [shown[0], {**shown[1], "title": content.explanations.method}]


def _shown(picture: Picture, title: str, words: str) -> dict[str, str]:
    rows, columns = picture.shape[:2]
    return {
        "source": source_of(as_webp(picture)), "title": title, "alt": words, "width": f"{columns}", "height": f"{rows}"
    }  # fmt: skip


def _strongest(heat: HeatMap) -> str:
    """Return in words where a map is strongest."""
    place = max(range(len(heat.values)), key=lambda cell: heat.values[cell])
    row, column = divmod(place, heat.columns)
    return f"strongest in row {row + 1} of {heat.rows}, column {column + 1} of {heat.columns}"


def _elsewhere(heat: HeatMap) -> str:
    return "" if heat.elsewhere is None else f"; {percent(heat.elsewhere)} % on no patch"


def _similar(similar: Sequence[SimilarImages], content: ExplainedContent) -> dict[str, Any]:
    by = similar[0].by
    own = "of its own identity" if by == "identity" else "in its own cluster"
    other = "of another identity" if by == "identity" else "in another cluster"
    return {
        "intro": f"A few queries, sampled by the seed, with the nearest image {own} and the nearest one {other}. The"
        " maps have for each cell of the query, read alone (as if the tower pooled no other), its cosine to the"
        " embedding of the other image, less the mean of its cosines to all embedded images: above 0 it is more like"
        " this image than like any. It is no part of the score, which compares whole images, and a cell has seen its"
        " surroundings by then. Both maps of a query have one scale.",
        "rows": [_compared(each, content, (own, other)) for each in similar],
    }


def _compared(each: SimilarImages, content: ExplainedContent, titles: tuple[str, str]) -> list[dict[str, str]]:
    values = [*each.same.cells.values, *each.other.cells.values]
    ends = min(values), max(values)
    query = content.pictures[each.path]
    caption = content.captions[each.path]
    shown = [_shown(query, f"query{f', {caption}' if caption else ''}", f"Query {each.path}")]
    for compared, title in ((each.same, titles[0]), (each.other, titles[1])):
        shown += [*_pair(query, compared, content, f"{title}, cosine {compared.cosine:.3f}", ends)]
    return shown


def _pair(
    query: Picture, compared: ComparedImage, content: ExplainedContent, title: str, ends: tuple[float, float]
) -> Iterator[dict[str, str]]:
    """Yield an image that the query is compared with, and the query's cells coloured by their cosine to it."""
    caption = content.captions[compared.path]
    named = f"{title}{f', {caption}' if caption else ''}"
    yield _shown(content.pictures[compared.path], named, f"Image {compared.path}, {title}")
    heat, low, high = compared.cells, min(compared.cells.values), max(compared.cells.values)
    words = f"Query's cells by likeness to it, from {low:.3f} to {high:.3f}; {_strongest(heat)}"
    yield _shown(coloured(query, heat, ends), f"query by it, {low:.3f} to {high:.3f}", words)
