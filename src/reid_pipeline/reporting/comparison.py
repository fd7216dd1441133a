"""All methods of a benchmark in one table: measured over the seeds, beside what is published.

A measured figure and a published one never share a column, and nothing published enters a mean.
"""

import csv
import io
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from reid_pipeline.reporting.comparison_columns import Table, legend_of, short_table, tables_of, title_of
from reid_pipeline.reporting.differences import LEGEND as DIFFERENCES_LEGEND
from reid_pipeline.reporting.differences import behind_best, differences_table
from reid_pipeline.reporting.page import rendered
from reid_pipeline.reporting.published import METRICS as PUBLISHED_METRICS
from reid_pipeline.reporting.published import PublishedFigure, published_figures
from reid_pipeline.reporting.records import Record, measured
from reid_pipeline.reporting.run_groups import RunGroup, card_numbers, group_runs, over_seeds
from reid_pipeline.reporting.tables import METRICS, aligned

UNITS = "Figures in %, differences in percentage points."
_NO_TARGET = "u"
_SIZES = ("num_parameters", "num_trainable_parameters")


def compare_methods(
    results: Sequence[Record], *, benchmark: str, methods: Sequence[str], differences: Sequence[Record] = ()
) -> dict[str, Any]:
    """Set every method of a benchmark beside its published figures.

    Args:
        results: finished runs of the benchmark, each with `method`, `seed`, `metrics` (as metrics.json) and
            `run_card`.
        benchmark: name of the environment; drawn benchmarks and one's own images have no published figures.
        methods: all there are, in the order of the table; those that were not run get a row too.
        differences: of the best method to others, as `engine.paired_differences.differences_to_best` finds
            them.

    Returns:
        `benchmark`, `test_set` (or None), `differences` and `rows`, as JSON: a row for each group of runs
        that differ in nothing but the seed, or several where several figures of that variant are published,
        and one for whatever is published or could be run and was not. A row has `method`, `apart` (what sets
        it apart from other rows), `seeds`, `measured` (per metric `mean` and `std`, fractions), `published`
        (fractions, `variant`, `mark`, `note`), `difference` (fractions; none for mark u and for another
        protocol), `notes`, `training_seconds`, `peak_memory_bytes`, and `num_parameters` and
        `num_trainable_parameters` where run cards have them.
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
    sets = {str(group.metrics.get("test_set") or "") for group in groups}
    sets |= {figure.test_set for figure in figures}
    named = sorted(sets - {""})
    return {
        "benchmark": benchmark,
        "test_set": ", ".join(named) or None,
        "rows": rows,
        "differences": list(differences),
    }


def _rows_of(
    method: str, groups: Sequence[RunGroup], figures: Sequence[PublishedFigure]
) -> list[dict[str, Any]]:
    rows, placed = [], set()
    for group in groups:
        fitting = [figure for figure in figures if figure.fits(group.parameters)]
        placed |= {id(figure) for figure in fitting}
        rows += [_row(method, group, figure) for figure in fitting]
        if not fitting:
            rows.append(_row(method, group, None))
    left = [figure for figure in figures if id(figure) not in placed]
    rows += [_row(method, None, figure) for figure in left]
    return rows or [_row(method, None, None)]


def _row(method: str, group: RunGroup | None, figure: PublishedFigure | None) -> dict[str, Any]:
    found = over_seeds(group) if group else {}
    obstacles = figure.obstacles(group.metrics) if figure and group else []
    difference: dict[str, float | None] = {}
    if figure and group and not obstacles and figure.mark != _NO_TARGET:
        means = {name: found[name]["mean"] for name in figure.values}
        difference = {
            name: None if mean is None else mean - figure.values[name] for name, mean in means.items()
        }
    seconds = card_numbers(group, "training_seconds") if group else []
    return {
        "method": method,
        "apart": list(group.apart) if group else [],
        "seeds": [int(run["seed"]) for run in group.runs] if group else [],
        "measured": found,
        "published": figure.record() if figure else None,
        "difference": difference,
        "notes": obstacles,
        "training_seconds": sum(seconds) / len(seconds) if seconds else None,
        **{
            name: max(card_numbers(group, name), default=None) if group else None
            for name in ("peak_memory_bytes", *_SIZES)
        },
    }


def shown_tables(comparison: Record) -> list[Table]:
    """Return the comparison's tables, and below them what the best method has over each other one."""
    differences = comparison["differences"]
    return [*tables_of(comparison), *([differences_table(differences)] if differences else [])]


def sentences_below(comparison: Record) -> list[str]:
    """Return what the columns of the shown tables mean."""
    return [*legend_of(comparison), *(DIFFERENCES_LEGEND if comparison["differences"] else [])]


def html_tables(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """Return tables as their template takes them."""
    return [
        {
            "title": table.title,
            "spans": [(unit, len([*members])) for unit, members in groupby(c.unit for c in table.columns)],
            "columns": table.columns,
            "rows": [[(column.cell(row), column.words) for column in table.columns] for row in table.rows],
        }
        for table in tables
    ]


def render_comparison_page(comparison: Record) -> str:
    """Return the comparison as an HTML page that loads nothing; every value is escaped.

    Args:
        comparison: as `compare_methods` returns it.
    """
    return rendered(
        "comparison.html.j2",
        benchmark=comparison["benchmark"],
        title=title_of(comparison),
        units=UNITS,
        tables=html_tables(shown_tables(comparison)),
        legend=sentences_below(comparison),
    )


def comparison_markdown(comparison: Record) -> str:
    """Return the comparison as Markdown, what the columns mean below the first table; pipes are escaped.

    Args:
        comparison: as `compare_methods` returns it.
    """
    first, *others = markdown_sections(shown_tables(comparison), level=2)
    legend = "\n".join(f"- {sentence}" for sentence in sentences_below(comparison))
    return "\n\n".join([f"# {title_of(comparison)}", UNITS, first, legend, *others]) + "\n"


def markdown_sections(tables: Sequence[Table], *, level: int) -> list[str]:
    """Return each table as Markdown, below a heading of that level."""
    sections = []
    for table in tables:
        rule = "|".join(" --- " if column.words else " ---: " for column in table.columns)
        header, *lines = [
            f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in table.grid()
        ]
        sections.append("\n".join([f"{'#' * level} {table.title}", "", header, f"|{rule}|", *lines]))
    return sections


def comparison_text(comparison: Record) -> str:
    """Return the comparison in short, for a terminal.

    Args:
        comparison: as `compare_methods` returns it.
    """
    table = short_table(comparison)
    return "\n".join([f"{table.title}: in %, differences in points", *aligned(table.grid())])


def comparison_csv(*comparisons: Record) -> str:
    """Return the tables as one CSV: fractions as in metrics.json, differences in percentage points.

    The columns are always the same, but for the numbers of parameters, which are there if a run card has
    them.

    Args:
        comparisons: as `compare_methods` returns them, at least one.
    """
    records = [_csv_record(comparison, row) for comparison in comparisons for row in comparison["rows"]]
    unknown = {name for name in _SIZES if all(record[name] is None for record in records)}
    names = [name for name in records[0] if name not in unknown]
    written = io.StringIO()
    writer = csv.DictWriter(written, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return written.getvalue()


def _csv_record(comparison: Record, row: Record) -> dict[str, Any]:
    published = row["published"] or {}
    record: dict[str, Any] = {
        "benchmark": comparison["benchmark"],
        "test_set": comparison["test_set"],
        "method": row["method"],
        "apart_by": "; ".join(row["apart"]),
        "n": len(row["seeds"]),
        "seeds": " ".join(map(str, row["seeds"])),
    }
    for name in METRICS:
        for figure in ("mean", "std"):
            record[f"measured_{name}_{figure}"] = measured(row, "measured", name, figure)
    record |= {f"published_{name}": published.get(name) for name in PUBLISHED_METRICS}
    record |= {f"published_{name}": published.get(name) for name in ("mark", "variant", "note")}
    for name in PUBLISHED_METRICS:
        difference = row["difference"].get(name)
        record[f"difference_{name}_points"] = None if difference is None else round(100 * difference, 4)
    for name, value in behind_best(comparison["differences"], row).items():
        record[f"behind_best_mAP_{name}"] = value
    costs = ("training_seconds", "peak_memory_bytes", *_SIZES)
    return record | {"notes": "; ".join(row["notes"])} | {name: row[name] for name in costs}
