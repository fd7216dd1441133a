"""Before and after, as rows, as plain text and as Markdown. What was not measured is an em dash, never 0."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reid_pipeline.reporting.records import Record, measured

UNMEASURED = "—"
_COMPARABLE = ("benchmark", "seed", "test_set")
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
        deviations: per metric its standard deviation over repeated galleries, where there were several.
        valid_queries: "616 of 620"; empty for a difference.
        gallery: "2,060"; empty for a difference.
        is_difference: the values are this result minus the first.
    """

    label: str
    values: Mapping[str, float | None]
    valid_queries: str = ""
    gallery: str = ""
    is_difference: bool = False
    deviations: Mapping[str, float | None] = field(default_factory=dict)
    cells: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        show = points if self.is_difference else percent
        shown = (
            show(self.values[key]) + (f" ± {percent(spread)}" if (spread := self.deviations.get(key)) else "")
            for key in METRICS
        )
        object.__setattr__(self, "cells", tuple(shown))


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
        Rows whose `cells` are formatted; one for each test set of a result that has several. Only results of
        the first one's benchmark, seed and test set are subtracted: others are not comparable.
    """
    results = [each for result in metrics for each in _by_test_set(result)]
    labels = _labels(results)
    rows = [
        ComparisonRow(
            label,
            _values(result),
            _valid_queries(result),
            count(measured(result, "num_gallery")),
            deviations={key: measured(result, f"{key}_std") for key in METRICS},
        )
        for label, result in zip(labels, results, strict=True)
    ]
    return [*rows, *_differences(rows, results)]


def _by_test_set(result: Record) -> list[Record]:
    """Return the result, or one for each of its test sets."""
    sets = result.get("test_sets")
    if not isinstance(sets, Mapping):
        return [result]
    return [{**result, **figures, "test_set": name} for name, figures in sets.items()]


def _differences(rows: Sequence[ComparisonRow], results: Sequence[Record]) -> list[ComparisonRow]:
    """Return the rows that subtract, from each later result, the first one of its kind."""
    first_of: dict[tuple[object, ...], ComparisonRow] = {}
    kind_of = [tuple(result.get(key) for key in _COMPARABLE) for result in results]
    comparable = {kind: kind_of.count(kind) for kind in kind_of if kind[:2] == kind_of[0][:2]}
    only = len(comparable) == 1 and len(results) == 2
    found = []
    for row, kind in zip(rows, kind_of, strict=True):
        if kind not in comparable:
            continue
        first = first_of.setdefault(kind, row)
        if first is not row:
            label = "difference, points" if only else f"{row.label} − {first.label}"  # noqa: RUF001
            found.append(ComparisonRow(label, _minus(row.values, first.values), is_difference=True))
    return found


def text_table(metrics: Sequence[Record]) -> str:
    """Return the comparison for a terminal: values in %, differences in percentage points."""
    if not metrics:
        return "(nothing measured)"
    header, rule, *body = aligned(_grid(metrics))
    differences = [index for index, row in enumerate(comparison_rows(metrics)) if row.is_difference]
    if differences:
        body.insert(differences[0], rule)
    return "\n".join([_caption(metrics), header, rule, *body])


def aligned(grid: Sequence[Sequence[str]]) -> list[str]:
    """Return a header, a rule and the other rows of `grid`: the first column to the left, others right."""
    widths = [max(len(row[column]) for row in grid) for column in range(len(grid[0]))]
    header, *rows = [_aligned(row, widths) for row in grid]
    return [header, "  ".join("─" * width for width in widths), *rows]


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
    varying = [key for key in _COMPARABLE if len({result.get(key) for result in metrics}) > 1]
    return [
        ", ".join(
            [
                str(result.get("method", UNMEASURED)),
                *(f"{key.replace('_', ' ')} {result.get(key)}" for key in varying),
            ]
        )
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
