"""Bars of a collection's summary: images per identity, per camera and split, and sizes."""

from collections.abc import Mapping
from html import escape

import plotly.graph_objects as go

from reid_pipeline.reporting.formats import span
from reid_pipeline.reporting.style import bars
from reid_pipeline.schema.summary import DatasetSummary, ImageSizes, SplitFacts

_IDENTITY_BINS = 30


def dataset_figures(summary: DatasetSummary) -> dict[str, go.Figure]:
    """Return the figures that have something to show, by name, in reading order."""
    splits = summary.splits
    figures = {}
    if any(facts.images_per_identity for facts in splits.values()):
        figures["images_per_identity"] = _images_per_identity(splits)
    if any(facts.images_per_camera for facts in splits.values()):
        figures["images_per_camera"] = _images_per_camera(splits)
    if summary.sizes:
        figures["image_sizes"] = _image_sizes(summary.sizes)
    return figures


def _images_per_identity(splits: Mapping[str, SplitFacts]) -> go.Figure:
    """Return how many identities of each split have how many images, in bins of equal width."""
    known = {name: facts.images_per_identity.histogram for name, facts in splits.items() if facts.images_per_identity}
    most = max(images for histogram in known.values() for images, _ in histogram)
    step = -(-most // _IDENTITY_BINS)
    starts = range(1, most + 1, step)
    groups = {name: [0] * len(starts) for name in known}
    for name, histogram in known.items():
        for images, number in histogram:
            groups[name][(images - 1) // step] += number
    axes = ("Images of the identity", "Identities (count)")
    return bars("Images per identity", [span(start, start + step - 1) for start in starts], groups, axes=axes)


def _images_per_camera(splits: Mapping[str, SplitFacts]) -> go.Figure:
    """Return the images of each camera and split; cameras by name, in the order of numbers if all are whole ones."""
    names = {camera for facts in splits.values() for camera in facts.images_per_camera}
    cameras = sorted(names, key=int if all(name.isdecimal() for name in names) else None)
    groups = {name: [facts.images_per_camera.get(camera, 0) for camera in cameras] for name, facts in splits.items()}
    shown = [escape(camera, quote=False) for camera in cameras]  # plotly would read tags in it
    return bars("Images per camera", shown, groups, axes=("Camera", "Images (count)"))


def _image_sizes(sizes: ImageSizes) -> go.Figure:
    """Return how many images have which width and which height, in pixels."""
    groups = {name: [getattr(each, name) for each in sizes.histogram] for name in ("width", "height")}
    spans = [span(each.low, each.high) for each in sizes.histogram]
    return bars("Image sizes", spans, groups, axes=("Pixels", "Images (count)"))
