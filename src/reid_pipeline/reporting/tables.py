"""Before and after, as rows, as plain text and as Markdown. What was not measured is an em dash, never 0."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from reid_pipeline.reporting.words import few_queries, run_name
from reid_pipeline.schema.addresses import address
from reid_pipeline.schema.figures import Figures, PairedDifference
from reid_pipeline.schema.records import Differences, Metrics

UNMEASURED = "—"
_COMPARABLE = ("benchmark", "seed", "test_set")
METRICS: Mapping[str, str] = {"mAP": "mAP", "mINP": "mINP", "rank1": "Rank-1", "rank5": "Rank-5", "rank10": "Rank-10"}


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
        paired: of a difference, by metric its interval over the same queries, as far as it is known.
        remark: of a difference, what its intervals are of, or that they are not known; a sentence.
        cells: the values as text, by metric: "+2.4 (-0.8 to +6.4)".
        uncertain: by metric, whether 0 lies inside the interval.
    """

    label: str
    values: Mapping[str, float | None]
    valid_queries: str = ""
    gallery: str = ""
    is_difference: bool = False
    deviations: Mapping[str, float | None] = field(default_factory=dict)
    paired: Mapping[str, PairedDifference] = field(default_factory=dict)
    remark: str = ""
    cells: tuple[str, ...] = field(init=False)
    uncertain: tuple[bool, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", tuple(self._cell(name) for name in METRICS))
        uncertain = tuple(name in self.paired and not self.paired[name].excludes_zero for name in METRICS)
        object.__setattr__(self, "uncertain", uncertain)

    def _cell(self, name: str) -> str:
        if self.is_difference:
            return points(self.values[name]) + (f" ({interval})" if (interval := self.interval(name)) else "")
        spread = self.deviations.get(name)
        return percent(self.values[name]) + (f" ± {percent(spread)}" if spread else "")

    def interval(self, name: str) -> str:
        """Return the interval of a metric's difference as text; empty where it is not known."""
        found = self.paired.get(name)
        return interval_text(found.low, found.high) if found else ""


def percent(value: float | None) -> str:
    """Return a fraction as a percentage with one decimal and no sign: 0.4567 is "45.7"."""
    return UNMEASURED if value is None else f"{100 * value:.1f}"


def points(difference: float | None) -> str:
    """Return a difference of fractions in percentage points, signed, with one decimal: "+20.1"."""
    if difference is None:
        return UNMEASURED
    text = f"{100 * difference:+.1f}"
    return "0.0" if text in {"+0.0", "-0.0"} else text.replace("-", "−")  # noqa: RUF001


def interval_text(low: float, high: float) -> str:
    """Return an interval in percentage points: "−0.8 to +6.4"."""  # noqa: RUF002
    return f"{points(low)} to {points(high)}"


def comparison_rows(metrics: Sequence[Metrics], differences: Sequence[Differences] = ()) -> list[ComparisonRow]:
    """Return a row per result, then one for each later result's difference to the first.

    Args:
        metrics: results, "before" first.
        differences: of later results to the first, if that is their zero_shot: whence the intervals.

    Returns:
        rows whose `cells` are formatted; one for each test set of a result that has several. Only results of
        the first one's benchmark, seed and test set are subtracted: others are not comparable.
    """
    results = [each for result in metrics for each in _by_test_set(result)]
    labels = _labels(results)
    rows = [
        ComparisonRow(
            label,
            {name: result.value(name) for name in METRICS},
            f"{count(result.num_valid_queries)} of {count(result.num_queries)}",
            count(result.num_gallery),
            deviations={name: result.deviation(name) for name in METRICS},
        )
        for label, result in zip(labels, results, strict=True)
    ]
    return [*rows, *_differences(rows, results, differences)]


def of_test_set(metrics: Metrics, name: str) -> Metrics:
    """Return metrics whose figures are those of one of their test sets."""
    figures = metrics.test_sets[name]
    taken = {each: getattr(figures, each) for each in Figures.model_fields}
    return metrics.model_copy(update={**taken, "test_set": name, "test_sets": {}})


def _by_test_set(metrics: Metrics) -> list[Metrics]:
    return [of_test_set(metrics, name) for name in metrics.test_sets] or [metrics]


def _differences(
    rows: Sequence[ComparisonRow], results: Sequence[Metrics], known: Sequence[Differences]
) -> list[ComparisonRow]:
    """Return the rows that subtract, from each later result, the first one of its kind."""
    first_of: dict[tuple[object, ...], int] = {}
    kind_of = [tuple(getattr(result, name) for name in _COMPARABLE) for result in results]
    comparable = {kind: kind_of.count(kind) for kind in kind_of if kind[:2] == kind_of[0][:2]}
    only = len(comparable) == 1 and len(results) == 2
    found = []
    for place, kind in enumerate(kind_of):
        if kind not in comparable:
            continue
        first = first_of.setdefault(kind, place)
        if first != place:
            paired, remark = _paired(results[place], results[first], known)
            names = f"{rows[place].label} − {rows[first].label}"  # noqa: RUF001
            label = "difference, points" if only else names
            values = _minus(rows[place].values, rows[first].values)
            found.append(ComparisonRow(label, values, is_difference=True, paired=paired, remark=remark))
    return found


def _paired(
    result: Metrics, first: Metrics, known: Sequence[Differences]
) -> tuple[Mapping[str, PairedDifference], str]:
    """Return the intervals of a result less the first, by metric, and a remark on them."""
    for each in known:
        cells = (address(each), each.other, each.test_set)
        if cells == (address(result), address(first), result.test_set):
            if each.why_not:
                return {}, f"Interval not known: {each.why_not}."
            return each.figures, f"Intervals are {each.note}." if each.note else ""
    return {}, "Interval not known."


def difference_notes(metrics: Sequence[Metrics], differences: Sequence[Differences] = ()) -> list[str]:
    """Return the sentences below the rows: which differences may be chance, and how few queries there were.

    Args:
        metrics: as for `comparison_rows`, like the next.
        differences: see there.
    """
    rows = [row for row in comparison_rows(metrics, differences) if row.is_difference]
    alike = len({tuple(_said_of(row)) for row in rows}) < 2
    said = [each if alike else f"{row.label}: {each}" for row in rows for each in _said_of(row)]
    return [*dict.fromkeys(said), *few_queries([result.num_valid_queries for result in metrics])]


def _said_of(row: ComparisonRow) -> list[str]:
    inside = [METRICS[name] for name, flag in zip(METRICS, row.uncertain, strict=True) if flag]
    unknown = [METRICS[name] for name in METRICS if row.values[name] is not None and not row.interval(name)]
    said = [row.remark] if row.remark else []
    if inside:
        which = "this difference" if len(inside) == 1 else "these differences"
        said.append(f"0 lies inside the interval of {', '.join(inside)}: {which} may be chance.")
    if unknown and row.paired:
        said.append(f"No interval is known of {', '.join(unknown)}.")
    return said


def text_table(
    metrics: Sequence[Metrics], differences: Sequence[Differences] = (), *, earlier: Sequence[Metrics] = ()
) -> str:
    """Return the comparison for a terminal: values in %, differences in percentage points.

    A difference whose interval is known stands below the table, a line for each metric.

    Args:
        metrics: as for `comparison_rows`, like the next.
        differences: see there.
        earlier: those of `metrics` that an earlier run measured; their rows say so.
    """
    if not metrics:
        return "(nothing measured)"
    rows = comparison_rows(metrics, differences)
    measured = [each in earlier for result in metrics for each in [result] * max(1, len(result.test_sets))]
    listed = [
        replace(row, label=f"{row.label} (measured earlier)") if place < len(measured) and measured[place] else row
        for place, row in enumerate(rows)
        if not row.paired
    ]
    header, rule, *body = aligned(_grid(listed))
    plain = [index for index, row in enumerate(listed) if row.is_difference]
    if plain:
        body.insert(plain[0], rule)
    blocks = [line for row in rows if row.paired for line in _block(row)]
    notes = difference_notes(metrics, differences)
    return "\n".join([_caption(metrics), header, rule, *body, *blocks, *notes])


def _block(row: ComparisonRow) -> list[str]:
    cells = {METRICS[name]: points(row.values[name]) for name in METRICS}
    names, values = max(map(len, cells)), max(map(len, cells.values()))
    lines = [
        f"  {title.ljust(names)}  {text.rjust(values)} ({row.interval(name) or 'interval not known'})"
        for name, (title, text) in zip(METRICS, cells.items(), strict=True)
        if row.values[name] is not None
    ]
    return [f"{row.label} (95 % interval over the same queries)", *lines]


def aligned(grid: Sequence[Sequence[str]]) -> list[str]:
    """Return a header, a rule and the other rows of `grid`: the first column to the left, others right."""
    widths = [max(len(row[column]) for row in grid) for column in range(len(grid[0]))]
    header, *rows = [_aligned(row, widths) for row in grid]
    return [header, "  ".join("─" * width for width in widths), *rows]


def markdown_table(metrics: Sequence[Metrics], differences: Sequence[Differences] = ()) -> str:
    """Return the comparison as a Markdown table, sentences below it; pipes in names are escaped.

    Args:
        metrics: as for `comparison_rows`, like the next.
        differences: see there.
    """
    if not metrics:
        return "(nothing measured)"
    grid = [[cell.replace("|", "\\|") for cell in row] for row in _grid(comparison_rows(metrics, differences))]
    rule = "|".join([" --- ", *[" ---: "] * (len(grid[0]) - 1)])
    lines = [f"| {' | '.join(row)} |" for row in grid]
    notes = difference_notes(metrics, differences)
    return "\n".join([lines[0], f"|{rule}|", *lines[1:], *(["", " ".join(notes)] if notes else [])])


def count(value: float | None) -> str:
    """Return a count with thousands separators."""
    return UNMEASURED if value is None else f"{value:,.0f}"


def _grid(rows: Sequence[ComparisonRow]) -> list[list[str]]:
    header = ["Method", *METRICS.values(), "Valid queries", "Gallery"]
    return [header, *([row.label, *row.cells, row.valid_queries, row.gallery] for row in rows)]


def _caption(metrics: Sequence[Metrics]) -> str:
    benchmarks = sorted({result.benchmark for result in metrics})
    seeds = sorted({result.seed for result in metrics})
    word = "seed" if len(seeds) == 1 else "seeds"
    told = ", ".join(map(str, seeds))
    return f"{', '.join(benchmarks)}, {word} {told}: % of valid queries, measured in this run"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = [
        cell.ljust(width) if index == 0 else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join([first, *others]).rstrip()


def _labels(metrics: Sequence[Metrics]) -> list[str]:
    varying = [name for name in _COMPARABLE if len({getattr(result, name) for result in metrics}) > 1]
    return [
        ", ".join(
            [
                run_name(result.method, result.variant),
                *(f"{name.replace('_', ' ')} {getattr(result, name)}" for name in varying),
            ]
        )
        for result in metrics
    ]


def _minus(after: Mapping[str, float | None], before: Mapping[str, float | None]) -> dict[str, float | None]:
    pairs = {key: (after[key], before[key]) for key in METRICS}
    return {key: None if a is None or b is None else a - b for key, (a, b) in pairs.items()}
