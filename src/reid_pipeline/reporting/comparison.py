"""All methods of a benchmark in one table: measured over the seeds, beside what is published.

A measured figure and a published one never share a column, and nothing published enters a mean.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from reid_pipeline.reporting.comparison_columns import Column, Table, legend_of, short_table, tables_of, title_of
from reid_pipeline.reporting.differences import LEGEND as DIFFERENCES_LEGEND
from reid_pipeline.reporting.differences import behind_best, differences_lines, differences_table
from reid_pipeline.reporting.page import rendered
from reid_pipeline.reporting.published import METRICS as PUBLISHED_METRICS
from reid_pipeline.reporting.published import PublishedFigure, published_figures
from reid_pipeline.reporting.run_groups import RunGroup, card_numbers, group_runs, over_seeds
from reid_pipeline.reporting.tables import METRICS, aligned
from reid_pipeline.reporting.words import few_queries
from reid_pipeline.schema.comparison import Comparison, ComparisonRow, DifferenceToBest
from reid_pipeline.schema.records import Run

UNITS = "Figures in %, differences in percentage points."
_NO_TARGET = "u"
_SIZES = ("num_parameters", "num_trainable_parameters")


@dataclass(frozen=True)
class ShownTable:
    """A table as its template takes it.

    Attributes:
        title: what is in it.
        spans: units above the columns, and how many columns each is above.
        columns: from left to right.
        rows: of each whether it is grey, and its cells, each with whether it is words.
    """

    title: str
    spans: Sequence[tuple[str, int]]
    columns: Sequence[Column[Any]]
    rows: Sequence[tuple[bool, Sequence[tuple[str, bool]]]]


def compare_methods(
    results: Sequence[Run], *, benchmark: str, methods: Sequence[str], differences: Sequence[DifferenceToBest] = ()
) -> Comparison:
    """Set every method of a benchmark beside its published figures.

    Args:
        results: finished runs of the benchmark.
        benchmark: name of the environment; drawn benchmarks and one's own images have no published figures.
        methods: all there are, in the order of the table; those that were not run get a row too.
        differences: of the best method to others, as `engine.paired_differences.differences_to_best` finds
            them.
    """
    groups, figures = group_runs(results), published_figures(benchmark)
    names = [*methods, *(group.method for group in groups), *(figure.method for figure in figures)]
    rows = tuple(
        row
        for name in dict.fromkeys(names)
        for row in _rows_of(
            name,
            [group for group in groups if group.method == name],
            [figure for figure in figures if figure.method == name],
        )
    )
    sets = {group.metrics.test_set or "" for group in groups} | {figure.test_set for figure in figures}
    return Comparison(
        benchmark=benchmark, test_set=", ".join(sorted(sets - {""})) or None, rows=rows, differences=tuple(differences)
    )


def _rows_of(method: str, groups: Sequence[RunGroup], figures: Sequence[PublishedFigure]) -> list[ComparisonRow]:
    rows, placed = [], set()
    for group in groups:
        fitting = [figure for figure in figures if figure.fits(group.parameters)]
        placed |= {id(figure) for figure in fitting}
        rows += [_row(group, figure) for figure in fitting] or [_row(group, None)]
    left = [figure for figure in figures if id(figure) not in placed]
    rows += [_empty_row(method, figure) for figure in left]
    return rows or [_empty_row(method, None)]


def _empty_row(method: str, figure: PublishedFigure | None) -> ComparisonRow:
    return ComparisonRow(
        method=method,
        variant="",
        apart=(),
        seeds=(),
        label_use=None,
        measured={},
        num_valid_queries=None,
        published=figure.shown() if figure else None,
        difference={},
        notes=(),
        training_seconds=None,
        peak_memory_bytes=None,
        num_parameters=None,
        num_trainable_parameters=None,
    )


def _row(group: RunGroup, figure: PublishedFigure | None) -> ComparisonRow:
    found = over_seeds(group)
    obstacles = figure.obstacles(group.metrics) if figure else []
    difference: dict[str, float | None] = {}
    if figure and not obstacles and figure.mark != _NO_TARGET:
        means = {name: found[name].mean for name in figure.values}
        difference = {name: None if mean is None else mean - figure.values[name] for name, mean in means.items()}
    seconds = card_numbers(group, "training_seconds")
    most = {name: max(card_numbers(group, name), default=None) for name in ("peak_memory_bytes", *_SIZES)}
    return ComparisonRow.model_validate(
        {
            **group.named.content(),
            "label_use": group.label_use,
            "measured": found,
            "num_valid_queries": min(run.metrics.num_valid_queries for run in group.runs),
            "published": figure.shown() if figure else None,
            "difference": difference,
            "notes": obstacles,
            "training_seconds": sum(seconds) / len(seconds),
            **most,
        }
    )


def shown_tables(comparison: Comparison) -> list[Table[Any]]:
    """Return the comparison's tables, and below them what the best method has over each other one."""
    differences = comparison.differences
    return [*tables_of(comparison), *([differences_table(differences)] if differences else [])]


def sentences_below(comparison: Comparison) -> list[str]:
    """Return what the columns of the shown tables mean, and how few queries there were."""
    told = DIFFERENCES_LEGEND if comparison.differences else ()
    return [*legend_of(comparison), *told, *few_of(comparison)]


def few_of(comparison: Comparison) -> list[str]:
    """Return a sentence where few queries were scored."""
    return few_queries([row.num_valid_queries for row in comparison.rows], comparison.benchmark)


def html_tables(tables: Sequence[Table[Any]]) -> list[ShownTable]:
    """Return tables as their template takes them."""
    return [
        ShownTable(
            title=table.title,
            spans=[(unit, len([*members])) for unit, members in groupby(c.unit for c in table.columns)],
            columns=table.columns,
            rows=[
                (table.faint(row), [(column.cell(row), column.words) for column in table.columns]) for row in table.rows
            ],
        )
        for table in tables
    ]


def render_comparison_page(comparison: Comparison) -> str:
    """Return the comparison as an HTML page that loads nothing; every value is escaped."""
    return rendered(
        "comparison.html.j2",
        benchmark=comparison.benchmark,
        title=title_of(comparison),
        units=UNITS,
        tables=html_tables(shown_tables(comparison)),
        legend=sentences_below(comparison),
    )


def comparison_markdown(comparison: Comparison) -> str:
    """Return the comparison as Markdown, what the columns mean below the first table; pipes are escaped."""
    first, *others = markdown_sections(shown_tables(comparison), level=2)
    legend = "\n".join(f"- {sentence}" for sentence in sentences_below(comparison))
    return "\n\n".join([f"# {title_of(comparison)}", UNITS, first, legend, *others]) + "\n"


def markdown_sections(tables: Sequence[Table[Any]], *, level: int) -> list[str]:
    """Return each table as Markdown, below a heading of that level."""
    sections = []
    for table in tables:
        rule = "|".join(" --- " if column.words else " ---: " for column in table.columns)
        header, *lines = [
            f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in table.grid()
        ]
        sections.append("\n".join([f"{'#' * level} {table.title}", "", header, f"|{rule}|", *lines]))
    return sections


def comparison_text(comparison: Comparison) -> str:
    """Return the comparison in short, for a terminal."""
    table = short_table(comparison)
    below = [*differences_lines(comparison.differences), *few_of(comparison)]
    return "\n".join([f"{table.title}: in %, differences in points", *aligned(table.grid()), *below])


def comparison_csv(*comparisons: Comparison) -> str:
    """Return the tables as one CSV: fractions as in metrics.json, differences in percentage points.

    The columns are always the same, but for the numbers of parameters, which are there if a run card has
    them.

    Args:
        comparisons: at least one.
    """
    records = [_csv_record(comparison, row) for comparison in comparisons for row in comparison.rows]
    unknown = {name for name in _SIZES if all(record[name] is None for record in records)}
    names = [name for name in records[0] if name not in unknown]
    written = io.StringIO()
    writer = csv.DictWriter(written, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return written.getvalue()


def _csv_record(comparison: Comparison, row: ComparisonRow) -> dict[str, Any]:
    record: dict[str, Any] = {
        "benchmark": comparison.benchmark,
        "test_set": comparison.test_set,
        "method": row.method,
        "variant": row.variant,
        "apart_by": "; ".join(row.apart),
        "n": len(row.seeds),
        "seeds": " ".join(map(str, row.seeds)),
        "label_use": row.label_use,
        "num_valid_queries": row.num_valid_queries,
    }
    for name in METRICS:
        spread = row.spread(name)
        record |= {f"measured_{name}_mean": spread.mean, f"measured_{name}_std": spread.std}
    for name in (*PUBLISHED_METRICS, "mark", "variant", "note"):
        record[f"published_{name}"] = getattr(row.published, name, None)
    for name in PUBLISHED_METRICS:
        difference = row.difference.get(name)
        record[f"difference_{name}_points"] = None if difference is None else round(100 * difference, 4)
    for name, value in behind_best(comparison.differences, row).items():
        record[f"behind_best_mAP_{name}"] = value
    costs = ("training_seconds", "peak_memory_bytes", *_SIZES)
    return record | {"notes": "; ".join(row.notes)} | {name: getattr(row, name) for name in costs}
