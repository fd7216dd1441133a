"""What stands in the place of figures where nothing was tested."""

from collections.abc import Sequence

from reid_pipeline.schema.figures import FiveFigures
from reid_pipeline.schema.records import Metrics, RunCard

HOW_TO_TEST = (
    "To test, say of some images who they show: in a column pid of manifest.csv, by a folder for each individual"
    " (docs/own_data.md), or in the column name of clusters.csv, which --params labels_from=<file> reads back. Two"
    " images of each of a few dozen individuals are enough for a first figure."
)


def is_untested(metrics: Metrics) -> bool:
    """Return whether nothing was tested on, so that there is no figure."""
    return bool(metrics.not_evaluated) and all(metrics.value(name) is None for name in FiveFigures.model_fields)


def all_untested(metrics: Sequence[Metrics]) -> bool:
    """Return whether there are results, and none of them has a figure."""
    return bool(metrics) and all(map(is_untested, metrics))


def why_untested(card: RunCard | None = None) -> str:
    """Return that nothing was tested, and why, as far as the card's data say it."""
    known = card is not None and any(split.identities for split in card.data.values())
    reason = "no image is query or gallery" if known or card is None else "no identity is known of any image"
    return f"Nothing was tested, since {reason}."
