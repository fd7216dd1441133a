"""What pages read out of a history of epochs."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from reid_pipeline.schema.records import EpochRecord

Record = Mapping[str, Any]
"""A study, as `tuning.results.study_record` returns it."""


def any_measured(values: Iterable[float | None]) -> bool:
    """Say whether there is anything to draw."""
    return any(value is not None for value in values)


def names_in(mappings: Iterable[Mapping[str, float]]) -> list[str]:
    """Return the names that occur in any of the mappings, in order of first appearance."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def epochs(history: Sequence[EpochRecord]) -> list[float]:
    """Return the epochs as recorded; where they start anew in a later stage, 1 to n."""
    recorded = [float(record.epoch) for record in history]
    rising = all(before < after for before, after in pairwise(recorded))
    return recorded if rising else [float(place + 1) for place in range(len(history))]
