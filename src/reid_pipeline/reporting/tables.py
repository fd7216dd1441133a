"""Before and after, as rows, as plain text and as Markdown. What was not measured is an em dash, never 0."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reid_pipeline.reporting.records import Record, measured

UNMEASURED = "—"
METRICS: Mapping[str, str] = {
    "mAP": "mAP",
    "mINP": "mINP",
    "rank1": "Rank-1",
    "rank5": "Rank-5",
    "rank10": "Rank-10",
}


@dataclass(frozen=True)
class ComparisonRow:
    """One result, or the difference of two.

    Attributes:
        label: the method, with benchmark and seed where those differ between rows.
        values: per metric a fraction in 0..1, or a difference of fractions; None where not measured.
        valid_queries: "616 of 620"; empty for a difference.
        gallery: "2,060"; empty for a difference.
        is_difference: the values are this result minus the first.
    """

    label: str
    values: Mapping[str, float | None]
    valid_queries: str = ""
    gallery: str = ""
    is_difference: bool = False
    cells: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        show = points if self.is_difference else percent
        object.__setattr__(self, "cells", tuple(show(self.values[key]) for key in METRICS))


def percent(value: float | None) -> str:
    """Return a fraction as a percentage with one decimal and no sign: 0.4567 is "45.7"."""
    return UNMEASURED if value is None else f"{100 * value:.1f}"


def points(difference: float | None) -> str:
    """Return a difference of fractions in percentage points, signed, with one decimal: "+20.1"."""
    if difference is None:
        return UNMEASURED
    text = f"{100 * difference:+.1f}"
    return "0.0" if text in {"+0.0", "-0.0"} else text.replace("-", "−")  # noqa: RUF001


def comparison_rows(metrics: Sequence[Record]) -> list[ComparisonRow]:
    """Return a row per result, then one for each later result's difference to the first.

    Args:
        metrics: results, "before" first, with `method`, `benchmark`, `seed` and the fractions `mAP`, `mINP`,
            `rank1`, `rank5`, `rank10`. A missing, None or NaN value counts as not measured.

    Returns:
        Rows whose `cells` are formatted. Only results of the first one's benchmark and seed are subtracted:
        others are not comparable.
    """
    labels = _labels(metrics)
    rows = [
        ComparisonRow(label, _values(result), _valid_queries(result), count(measured(result, "num_gallery")))
        for label, result in zip(labels, metrics, strict=True)
    ]
    if not metrics:
        return rows
    first = rows[0]
    for row, result in zip(rows[1:], metrics[1:], strict=True):
        if all(result.get(key) == metrics[0].get(key) for key in ("benchmark", "seed")):
            label = f"{row.label} − {first.label}" if len(metrics) > 2 else "difference, points"  # noqa: RUF001
            rows.append(ComparisonRow(label, _minus(row.values, first.values), is_difference=True))
    return rows


def text_table(metrics: Sequence[Record]) -> str:
    """Return the comparison for a terminal: values in %, differences in percentage points."""
    if not metrics:
        return "(nothing measured)"
    grid = _grid(metrics)
    widths = [max(len(row[column]) for row in grid) for column in range(len(grid[0]))]
    rule = "  ".join("─" * width for width in widths)
    lines = [_aligned(row, widths) for row in grid]
    differences = [index for index, row in enumerate(comparison_rows(metrics)) if row.is_difference]
    body = (
        lines[1:] if not differences else [*lines[1 : differences[0] + 1], rule, *lines[differences[0] + 1 :]]
    )
    return "\n".join([_caption(metrics), lines[0], rule, *body])


def markdown_table(metrics: Sequence[Record]) -> str:
    """Return the comparison as a Markdown table; pipes in names are escaped."""
    if not metrics:
        return "(nothing measured)"
    grid = [[cell.replace("|", "\\|") for cell in row] for row in _grid(metrics)]
    rule = "|".join([" --- ", *[" ---: "] * (len(grid[0]) - 1)])
    lines = [f"| {' | '.join(row)} |" for row in grid]
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def count(value: float | None) -> str:
    """Return a count with thousands separators."""
    return UNMEASURED if value is None else f"{value:,.0f}"


def _grid(metrics: Sequence[Record]) -> list[list[str]]:
    header = ["Method", *METRICS.values(), "Valid queries", "Gallery"]
    rows = comparison_rows(metrics)
    return [header, *([row.label, *row.cells, row.valid_queries, row.gallery] for row in rows)]


def _caption(metrics: Sequence[Record]) -> str:
    benchmarks = sorted({str(result.get("benchmark", UNMEASURED)) for result in metrics})
    seeds = sorted({str(result.get("seed", UNMEASURED)) for result in metrics})
    word = "seed" if len(seeds) == 1 else "seeds"
    return f"{', '.join(benchmarks)}, {word} {', '.join(seeds)}: % of valid queries, measured in this run"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = [
        cell.ljust(width) if index == 0 else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join([first, *others]).rstrip()


def _labels(metrics: Sequence[Record]) -> list[str]:
    varying = [key for key in ("benchmark", "seed") if len({result.get(key) for result in metrics}) > 1]
    return [
        ", ".join([str(result.get("method", UNMEASURED)), *(f"{key} {result.get(key)}" for key in varying)])
        for result in metrics
    ]


def _values(result: Record) -> dict[str, float | None]:
    return {key: measured(result, key) for key in METRICS}


def _minus(after: Mapping[str, float | None], before: Mapping[str, float | None]) -> dict[str, float | None]:
    pairs = {key: (after[key], before[key]) for key in METRICS}
    return {key: None if a is None or b is None else a - b for key, (a, b) in pairs.items()}


def _valid_queries(result: Record) -> str:
    valid, queries = measured(result, "num_valid_queries"), measured(result, "num_queries")
    if valid is None and queries is None:
        return UNMEASURED
    return f"{count(valid)} of {count(queries)}"
