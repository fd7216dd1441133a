"""Bars of a collection's summary: images per identity, per camera and split, and sizes."""

from collections.abc import Mapping, Sequence
from html import escape

import plotly.graph_objects as go

from reid_pipeline.reporting.style import COLOURS, dress, pattern
from reid_pipeline.schema.summary import DatasetSummary, ImageSizes, SplitFacts

_IDENTITY_BINS = 30


def dataset_figures(summary: DatasetSummary) -> dict[str, go.Figure]:
    """Return every figure that has something to show, by name, in reading order.

    Returns:
        some of `images_per_identity`, `images_per_camera`, `image_sizes`.
    """
    splits = summary.splits
    figures = {}
    if any(facts.images_per_identity for facts in splits.values()):
        figures["images_per_identity"] = images_per_identity(splits)
    if any(facts.images_per_camera for facts in splits.values()):
        figures["images_per_camera"] = images_per_camera(splits)
    if summary.sizes:
        figures["image_sizes"] = image_sizes(summary.sizes)
    return figures


def images_per_identity(splits: Mapping[str, SplitFacts]) -> go.Figure:
    """Return how many identities of each split have how many images, in bins of equal width."""
    told = {name: facts.images_per_identity.histogram for name, facts in splits.items() if facts.images_per_identity}
    most = max(images for histogram in told.values() for images, _ in histogram)
    step = -(-most // _IDENTITY_BINS)
    starts = range(1, most + 1, step)
    figure = go.Figure()
    for index, (name, histogram) in enumerate(told.items()):
        identities = [0] * len(starts)
        for images, number in histogram:
            identities[(images - 1) // step] += number
        _add_bars(figure, [_span(start, start + step - 1) for start in starts], identities, name, index)
    figure.update_xaxes(title_text="Images of the identity", type="category")
    figure.update_yaxes(title_text="Identities (count)")
    return _grouped(figure, "Images per identity")


def images_per_camera(splits: Mapping[str, SplitFacts]) -> go.Figure:
    """Return the images of each camera and split; cameras as they are called."""
    cameras = _in_order({camera for facts in splits.values() for camera in facts.images_per_camera})
    figure = go.Figure()
    shown = [escape(camera, quote=False) for camera in cameras]  # plotly would read tags in it
    for index, (name, facts) in enumerate(splits.items()):
        images = [facts.images_per_camera.get(camera, 0) for camera in cameras]
        _add_bars(figure, shown, images, name, index)
    figure.update_xaxes(title_text="Camera", type="category")
    figure.update_yaxes(title_text="Images (count)")
    return _grouped(figure, "Images per camera")


def image_sizes(sizes: ImageSizes) -> go.Figure:
    """Return how many images have which width and which height, in pixels."""
    spans = [_span(each.low, each.high) for each in sizes.histogram]
    figure = go.Figure()
    for index, name in enumerate(("width", "height")):
        _add_bars(figure, spans, [getattr(each, name) for each in sizes.histogram], name, index)
    figure.update_xaxes(title_text="Pixels", type="category")
    figure.update_yaxes(title_text="Images (count)")
    return _grouped(figure, "Image sizes")


def _in_order(names: set[str]) -> list[str]:
    """Return names sorted: as numbers if all are whole numbers, else by their characters."""
    return sorted(names, key=int if all(name.isdecimal() for name in names) else None)


def _add_bars(figure: go.Figure, x: Sequence[str], y: Sequence[int], name: str, index: int) -> None:
    marker = {"color": COLOURS[index % len(COLOURS)], "pattern": pattern(index)}
    figure.add_bar(x=list(x), y=list(y), name=name, marker=marker)


def _grouped(figure: go.Figure, title: str) -> go.Figure:
    figure.update_layout(barmode="group", bargap=0.25, showlegend=True)
    return dress(figure, title)


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}–{high}"  # noqa: RUF001
