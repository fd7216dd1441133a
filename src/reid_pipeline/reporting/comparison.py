"""All methods of a benchmark in one table: measured over the seeds, beside what is published.

A measured figure and a published one never share a column, and nothing published enters a mean.
"""

from collections.abc import Sequence
from typing import Any

from reid_pipeline.reporting.comparison_tables import sentences_below, shown_tables, title_of
from reid_pipeline.reporting.formats import METRICS
from reid_pipeline.reporting.page import rendered
from reid_pipeline.reporting.published import METRICS as PUBLISHED_METRICS
from reid_pipeline.reporting.published import PublishedFigure, published_figures
from reid_pipeline.reporting.run_groups import RunGroup, group_runs, over_seeds
from reid_pipeline.reporting.tables import csv_text
from reid_pipeline.schema.comparison import Comparison, ComparisonRow, DifferenceToBest, RunsNamed
from reid_pipeline.schema.records import Run

UNITS = "Figures in %, differences in percentage points."
_NO_TARGET = "u"
_SIZES = ("num_parameters", "num_trainable_parameters")
_COSTS = ("training_seconds", "peak_memory_bytes", *_SIZES)


def compare_methods(
    results: Sequence[Run], *, benchmark: str, methods: Sequence[str], differences: Sequence[DifferenceToBest] = ()
) -> Comparison:
    """Set every method of a benchmark beside its published figures.

    Args:
        results: finished runs of the benchmark.
        benchmark: name of the environment; drawn benchmarks and one's own images have no published figures.
        methods: all there are, in the order of the table; those that were not run get a row too.
        differences: of the best method to others, from `evaluation.paired_differences.differences_to_best`.
    """
    groups, figures = group_runs(results), published_figures(benchmark)
    names = [*methods, *(group.method for group in groups), *(figure.method for figure in figures)]
    rows = [
        row
        for name in dict.fromkeys(names)
        for row in _rows_of(
            name,
            [group for group in groups if group.method == name],
            [figure for figure in figures if figure.method == name],
        )
    ]
    sets = {group.metrics.test_set or "" for group in groups} | {figure.test_set for figure in figures}
    test_set = ", ".join(sorted(sets - {""})) or None
    return Comparison(benchmark=benchmark, test_set=test_set, rows=tuple(rows), differences=tuple(differences))


def _rows_of(method: str, groups: Sequence[RunGroup], figures: Sequence[PublishedFigure]) -> list[ComparisonRow]:
    pairs: list[tuple[RunGroup | None, PublishedFigure | None]] = []
    for group in groups:
        fitting = [figure for figure in figures if figure.fits(group.parameters)]
        pairs += [(group, figure) for figure in fitting] or [(group, None)]
    placed = [figure for _, figure in pairs]
    pairs += [(None, figure) for figure in figures if figure not in placed]
    return [_row(method, *pair) for pair in pairs or [(None, None)]]


def _row(method: str, group: RunGroup | None, figure: PublishedFigure | None) -> ComparisonRow:
    named = group.named if group else RunsNamed(method=method, variant="", apart=(), seeds=())
    found = over_seeds(group) if group else {}
    obstacles = figure.obstacles(group.metrics) if figure and group else []
    difference: dict[str, float | None] = {}
    if figure and group and not obstacles and figure.mark != _NO_TARGET:
        means = {name: found[name].mean for name in figure.values}
        difference = {name: None if mean is None else mean - figure.values[name] for name, mean in means.items()}
    costs = {name: group.card_numbers(name) if group else [] for name in _COSTS}
    seconds = costs.pop("training_seconds")
    return ComparisonRow.model_validate(
        {
            **named.content(),
            "label_use": group.label_use if group else None,
            "measured": found,
            "num_valid_queries": min(run.metrics.num_valid_queries for run in group.runs) if group else None,
            "published": figure.shown() if figure else None,
            "difference": difference,
            "notes": obstacles,
            "training_seconds": sum(seconds) / len(seconds) if seconds else None,
            **{name: max(numbers, default=None) for name, numbers in costs.items()},
        }
    )


def render_comparison_page(comparison: Comparison) -> str:
    """Return the comparison as an HTML page that loads nothing; every value is escaped."""
    return rendered(
        "comparison.html.j2",
        benchmark=comparison.benchmark,
        title=title_of(comparison),
        units=UNITS,
        tables=shown_tables(comparison),
        legend=sentences_below(comparison),
    )


def comparison_markdown(comparison: Comparison) -> str:
    """Return the comparison as Markdown, what the columns mean below the first table; pipes are escaped."""
    first, *others = (table.markdown_section(level=2) for table in shown_tables(comparison))
    legend = "\n".join(f"- {sentence}" for sentence in sentences_below(comparison))
    return "\n\n".join([f"# {title_of(comparison)}", UNITS, first, legend, *others]) + "\n"


def comparison_csv(*comparisons: Comparison) -> str:
    """Return the tables as one CSV: fractions as in metrics.json, differences in percentage points.

    The columns are always the same, but for the numbers of parameters, which are there if a run card has
    them. It takes at least one comparison.
    """
    records = [_csv_record(comparison, row) for comparison in comparisons for row in comparison.rows]
    unknown = {name for name in _SIZES if all(record[name] is None for record in records)}
    names = [name for name in records[0] if name not in unknown]
    return csv_text(names, ([record[name] for name in names] for record in records))


def _csv_record(comparison: Comparison, row: ComparisonRow) -> dict[str, Any]:
    named = RunsNamed(method=row.method, variant=row.variant, apart=row.apart, seeds=row.seeds)
    to_best = next((each for each in comparison.differences if each.other == named), None)
    published = (*PUBLISHED_METRICS, "mark", "variant", "note")
    measured = {name: row.spread(name) for name in METRICS}
    return {
        "benchmark": comparison.benchmark,
        "test_set": comparison.test_set,
        "method": row.method,
        "variant": row.variant,
        "apart_by": "; ".join(row.apart),
        "n": len(row.seeds),
        "seeds": " ".join(map(str, row.seeds)),
        "label_use": row.label_use,
        "num_valid_queries": row.num_valid_queries,
        **{f"measured_{name}_{part}": getattr(measured[name], part) for name in METRICS for part in ("mean", "std")},
        **{f"published_{name}": getattr(row.published, name, None) for name in published},
        **{f"difference_{name}_points": _points(row.difference.get(name)) for name in PUBLISHED_METRICS},
        **{
            f"behind_best_mAP_{name}_points": _points(getattr(to_best, name, None))
            for name in ("difference", "low", "high")
        },
        "notes": "; ".join(row.notes),
        **{name: getattr(row, name) for name in _COSTS},
    }


def _points(difference: float | None) -> float | None:
    return None if difference is None else round(100 * difference, 4)
