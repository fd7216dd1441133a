"""Published figures, from `published.csv`: never measured here, each with the quality of its source.

A line is one figure of one benchmark, in %. The columns of `TRAITS` say what a run must have to be that variant. Empty:
the method has no such thing. `?`: nobody wrote it down, and a run of any value stands beside the figure. A value with a
`?` behind it: the source has none, it is that of the authors' other release, or of the code that they build on.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import PurePath
from typing import Any

from reid_pipeline.reporting.run_groups import RunGroup
from reid_pipeline.schema.comparison import PublishedValues
from reid_pipeline.schema.parameters import WEIGHT_FILES
from reid_pipeline.schema.record import Record
from reid_pipeline.schema.records import Metrics, RunCard

MARKS = {
    "q": "quoted from the paper by a later paper or README that was read",
    "r": "read in the authors' own README or a committed log",
    "u": "not verified against a source that can be read; no target, so that no difference is given",
}
METRICS = ("mAP", "rank1", "rank5")
TRAITS = {
    "backbone": "backbone",
    "weights": "weights",
    "image_size": "image size",
    "patch_stride": "patch stride",
    "side_information": "side information",
    "pixel_statistics": "pixel statistics",
    "clustering_eps": "eps",
    "camera_aware": "camera-aware kind",
    "rerank": "re-ranking",
}
"""What tells variants apart, in words."""
_UNKNOWN_OF_IMPORTS = dict.fromkeys(("clustering_eps", "camera_aware"), "unknown")
"""Traits of a training that no published checkpoint shows; those of conf are not its own."""
_OF_ANOTHER = "not comparable with a published figure: trained on other identities than those of this benchmark"
_UNKNOWN = "?"
_OF_EVERY_FIGURE = (
    ("side_information", "no"),
    ("rerank", "none"),
    ("weights", "openai"),
    ("image_size", "256x128"),
    ("image_size", "256x256"),
)
"""Traits that need no word."""
_OPTIONS = {
    "flip_averaging": "flip averaging",
    "camera_mean_subtraction": "camera mean subtraction",
    "query_expansion": "query expansion",
    "tracklets": "tracklets",
}
"""Options of the protocol that no published figure was measured with."""
_OFF = (False, 0, "none")
_STATISTICS: dict[tuple[tuple[float, ...] | None, ...], str] = {
    ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)): "0.5",
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)): "ImageNet",
}
"""Names of mean and standard deviation of the pixels, by colour."""
_OPENAI = {
    "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",  # ViT-B/16
    "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762",  # RN50
}
"""SHA-256 of the files that OpenAI published, which stands in their addresses."""
_PATCH = re.compile(r"(?:-|patch)(\d{1,2})(?!\d)")
"""The patch in a ViT's name: ViT-B-16, ViT-B-16-SigLIP2-512, vit_small_patch16_224."""


class PublishedFigure(Record):
    """A line of the table.

    Attributes:
        variant: the method as its authors name it.
        method: the method of ours that computes it, or is nearest to it.
        traits: what a run must have to be this variant, by name in `TRAITS`.
        presumed: those of them that the source does not state.
        unknown: traits that decide the figure, and that nobody wrote down.
        test_set: empty where there is but one.
        values: fractions, by metric.
        mark: a key of `MARKS`.
        remark: what else is known of it.
    """

    benchmark: str
    variant: str
    method: str
    traits: dict[str, str]
    presumed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    camera_filter: bool
    test_set: str
    num_queries: int
    values: dict[str, float]
    mark: str
    remark: str

    @property
    def note(self) -> str:
        """What a table shows beside the figure: its traits, which of them are not sure, and the remark."""
        traits = [item for item in self.traits.items() if item not in _OF_EVERY_FIGURE]
        parts = [", ".join(value if name == "backbone" else f"{TRAITS[name]} {value}" for name, value in traits)]
        for what, names in (("not stated, presumed", self.presumed), ("unknown", self.unknown)):
            parts += [f"{what}: {', '.join(TRAITS[name] for name in names)}"] if names else []
        return "; ".join([*parts, *filter(None, [self.remark])])

    def shown(self) -> PublishedValues:
        """Return what a comparison holds of it."""
        fields = {name: getattr(self, name) for name in ("variant", "mark", "note", "traits", "presumed", "unknown")}
        return PublishedValues(**fields, **self.values)

    def unlike(self, traits: Mapping[str, str]) -> dict[str, tuple[str, str]]:
        """Return where a run with these traits is not this variant: by trait, the figure's value and the run's.

        What is not known of the run ("?") is no difference.
        """
        pairs = {name: (value, traits.get(name, "none")) for name, value in self.traits.items()}
        return {name: pair for name, pair in pairs.items() if pair[1] not in {pair[0], _UNKNOWN}}

    def obstacles(self, metrics: Metrics) -> list[str]:
        """Return why metrics of the variant are not comparable with the figure; empty where they are."""
        found, test_set, queries = [], metrics.test_set or "", metrics.num_queries
        if metrics.splits != "test":
            found.append(f"measured on splits {metrics.splits}")
        if metrics.camera_filter is not self.camera_filter:
            found.append(f"measured with{'out' if self.camera_filter else ''} the camera filter")
        found += [f"measured with {word}" for name, word in _OPTIONS.items() if getattr(metrics, name) not in _OFF]
        if test_set != self.test_set:
            found.append(f"measured on test set {test_set or 'of another kind'}")
        if queries != self.num_queries:
            found.append(f"measured on {queries:,} queries, published on {self.num_queries:,}")
        return found


@cache
def published_figures(benchmark: str) -> Sequence[PublishedFigure]:
    """Return the published figures of a benchmark; none for drawn ones and one's own images."""
    text = files("reid_pipeline.reporting").joinpath("published.csv").read_text(encoding="utf-8")
    return [_figure(line) for line in csv.DictReader(text.splitlines()) if line["benchmark"] == benchmark]


def _figure(line: dict[str, str]) -> PublishedFigure:
    traits = {name: value for name in TRAITS if (value := line.pop(name))}
    values = {name: round(float(value) / 100, 6) for name in METRICS if (value := line.pop(name))}
    sure = {name: value.removesuffix(_UNKNOWN) for name, value in traits.items() if value != _UNKNOWN}
    return PublishedFigure.model_validate(
        {
            **line,
            "traits": sure,
            "presumed": [name for name, value in sure.items() if traits[name] != value],
            "unknown": [name for name in traits if name not in sure],
            "values": values,
        }
    )


def figures_beside(figures: Sequence[PublishedFigure], traits: Mapping[str, str]) -> tuple[list[PublishedFigure], str]:
    """Return the figures of the variant that a run with these traits is.

    Where there are none, the text beside them says which figure is nearest and what it has otherwise; else it is empty.
    """
    fitting = [figure for figure in figures if not figure.unlike(traits)]
    if fitting or not figures:
        return fitting, ""
    nearest = min(figures, key=lambda figure: (len(figure.unlike(traits)), len(figure.unknown)))
    others = [f"{TRAITS[name]} {theirs}, here {ours}" for name, (theirs, ours) in nearest.unlike(traits).items()]
    return [], f"not comparable with a published figure; nearest is {nearest.variant}: {'; '.join(others)}"


def figures_of_group(figures: Sequence[PublishedFigure], group: RunGroup) -> tuple[list[PublishedFigure], str]:
    """Return `figures_beside` runs; an imported model's training is unknown, and may be of another benchmark."""
    if figures and group.imported and group.label_use == "source":
        return [], _OF_ANOTHER
    card = group.runs[0].run_card
    traits = run_traits(card.parameters.get(group.method, {}), group.metrics, card)
    return figures_beside(figures, {**traits, **_UNKNOWN_OF_IMPORTS} if group.imported else traits)


def run_traits(parameters: Mapping[str, Any], metrics: Metrics, card: RunCard | None = None) -> dict[str, str]:
    """Return what tells published variants apart, from the parameters of a run's method, its protocol and its card.

    The stride of a ViT is that of its patches where none is given: "16" for every ViT/16; "?" where the name has none.
    What a run card of an earlier version lacks has its default.
    """
    found = [parameters.get(name) for name in ("backbone", "clustering", "camera_aware")]
    backbone, clustering, cameras = (each if isinstance(each, Mapping) else {} for each in found)
    name = str(backbone.get("name", "")).replace("/", "-").removesuffix("-quickgelu")
    patch, eps, sie = _PATCH.search(name), clustering.get("eps"), backbone.get("sie", "none")
    return {
        "backbone": name,
        "weights": _weights(backbone.get("pretrained"), card),
        "image_size": "x".join(map(str, backbone.get("image_size", (256, 128)))),
        "patch_stride": str(backbone.get("patch_stride") or (patch[1] if patch else _UNKNOWN)),
        "side_information": "no" if sie == "none" else str(sie),
        "pixel_statistics": _pixel_statistics(
            *(backbone.get(each, (0.5,) * 3) for each in ("pixel_mean", "pixel_std"))
        ),
        **({"clustering_eps": f"{eps:g}"} if isinstance(eps, int | float) else {}),
        "camera_aware": str(cameras.get("kind", "none")),
        "rerank": metrics.rerank,
    }


def _weights(pretrained: object, card: RunCard | None) -> str:
    """Return the name of the weights that training started from; "?" where others trained.

    A file is OpenAI's where its SHA-256 is, and of unknown weights otherwise.
    """
    if card and card.imported:
        return _UNKNOWN
    if card and card.init_from:
        return "those of a trained model"
    if pretrained is None:
        return "random" if card is None or card.weights in {None, "random"} else "the folder's own"
    file = PurePath(str(pretrained))
    if len(file.parts) == 1 and file.suffix not in WEIGHT_FILES:
        return file.name
    return "openai" if card and card.weights in _OPENAI else f"file {file.name}"


def _pixel_statistics(mean: Sequence[float] | None, std: Sequence[float] | None) -> str:
    """Return the name of mean and deviation, else their numbers; None is that of the weights."""
    pair = [None if each is None else tuple(each) for each in (mean, std)]
    shown = ["of the weights" if each is None else " ".join(f"{value:g}" for value in each) for each in pair]
    return _STATISTICS.get(tuple(pair)) or (shown[0] if pair == [None, None] else " / ".join(shown))
