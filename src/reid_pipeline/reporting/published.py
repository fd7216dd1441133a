"""Published figures, from `published.csv`: never measured here, each with the quality of its source.

A line is one figure of one benchmark, in %. `backbone`, `patch_stride`, `side_information` and `clustering_eps` say
what a run must have to be that variant (empty: anything); `comparable` is "no" where nothing computes it yet.
"""

import csv
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from reid_pipeline.schema.record import Record
from reid_pipeline.schema.records import Metrics

MARKS = {
    "q": "quoted from the paper by a later paper or README that was read",
    "r": "read in the authors' own README or a committed log",
    "u": "not verified against a source that can be read; no target, so that no difference is given",
}
METRICS = ("mAP", "rank1", "rank5")
_VARIANT = ("backbone", "patch_stride", "side_information", "clustering_eps")


class PublishedFigure(Record):
    """A line of the table.

    Attributes:
        variant: the method as its authors name it.
        method: the method of ours that computes it, or is nearest to it.
        traits: what a run must have to be this variant, by name.
        test_set: empty where there is but one.
        values: fractions, by metric.
        mark: a key of `MARKS`.
    """

    benchmark: str
    variant: str
    method: str
    traits: dict[str, str]
    comparable: bool
    camera_filter: bool
    test_set: str
    num_queries: int
    values: dict[str, float]
    mark: str
    note: str

    def fits(self, parameters: Mapping[str, Any]) -> bool:
        """Say whether a run with these parameters of the method is this variant."""
        return self.comparable and self.traits.items() <= run_traits(parameters).items()

    def obstacles(self, metrics: Metrics) -> list[str]:
        """Return why metrics of the variant are not comparable with the figure; empty where they are."""
        found, test_set, queries = [], metrics.test_set or "", metrics.num_queries
        if metrics.splits != "test":
            found.append(f"measured on splits {metrics.splits}")
        if metrics.camera_filter is not self.camera_filter:
            found.append(f"measured with{'out' if self.camera_filter else ''} the camera filter")
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
    traits = {name: value for name in _VARIANT if (value := line.pop(name))}
    values = {name: round(float(value) / 100, 6) for name in METRICS if (value := line.pop(name))}
    return PublishedFigure.model_validate({**line, "traits": traits, "values": values})


def run_traits(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return what tells published variants apart, from the parameters of a run's method.

    The stride of a ViT is that of its patches where none is given: "16" for every ViT/16.
    """
    found = [parameters.get(name) for name in ("backbone", "clustering")]
    backbone, clustering = (each if isinstance(each, Mapping) else {} for each in found)
    name = str(backbone.get("name", "")).replace("/", "-").removesuffix("-quickgelu")
    eps = clustering.get("eps")
    return {
        "backbone": name,
        "patch_stride": str(backbone.get("patch_stride") or name.rpartition("-")[2]),
        "side_information": "no" if backbone.get("sie", "none") == "none" else "yes",
        **({"clustering_eps": f"{eps:g}"} if isinstance(eps, int | float) else {}),
    }
