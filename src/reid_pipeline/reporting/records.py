"""Reading numbers out of metrics and history records; one not measured is None, never 0."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from numbers import Integral, Real
from typing import Any

Record = Mapping[str, Any]


def number(value: object) -> float | None:
    """Return a finite number as it is, and None for anything else: NaN, infinity, text, a truth value."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        return None
    return int(value) if isinstance(value, Integral) else float(value)


def measured(record: Record, *path: str) -> float | None:
    """Return the finite number at a path of keys, or None where a key or the number is missing."""
    value: object = record
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return number(value)


def series(history: Sequence[Record], *path: str) -> list[float | None]:
    """Return one number, or None, for each record."""
    return [measured(record, *path) for record in history]


def any_measured(values: Iterable[float | None]) -> bool:
    """Say whether there is anything to draw."""
    return any(value is not None for value in values)


def names_under(history: Sequence[Record], key: str) -> list[str]:
    """Return the names that occur in the records' mapping `key`, in order of first appearance."""
    found: dict[str, None] = {}
    for record in history:
        inner = record.get(key)
        if isinstance(inner, Mapping):
            found.update(dict.fromkeys(str(name) for name in inner))
    return list(found)


def epochs(history: Sequence[Record]) -> list[float]:
    """Return the epochs as recorded; where they start anew in a later stage, 1 to n."""
    recorded = series(history, "epoch")
    known = [epoch for epoch in recorded if epoch is not None]
    rising = all(before < after for before, after in pairwise(known))
    return known if rising and len(known) == len(history) else [float(i + 1) for i in range(len(history))]


def size_bins(record: Record) -> list[tuple[int, int, int]]:
    """Return the cluster-size histogram of a record: (low, high, clusters), sizes inclusive; empty if absent.

    A bin may be a mapping (`low`, `high` and `clusters` or `count`) or a sequence in that order.
    """
    sizes = record.get("cluster_sizes")
    found: Any = record.get("size_histogram")
    if isinstance(sizes, Mapping):
        found = sizes.get("histogram", sizes.get("size_histogram", found))
    bins = []
    for item in found if isinstance(found, list | tuple) else ():
        numbers = _bin_numbers(item)
        if len(numbers) == 3 and None not in numbers:
            low, high, clusters = (int(n) for n in numbers if n is not None)
            bins.append((low, high, clusters))
    return bins


def _bin_numbers(item: object) -> list[float | None]:
    if isinstance(item, Mapping):
        return [
            number(item.get("low")),
            number(item.get("high")),
            number(item.get("clusters", item.get("count"))),
        ]
    return [number(value) for value in item] if isinstance(item, list | tuple) else []
