"""The tables of a comparison, and the sentences below them."""

from collections.abc import Callable, Sequence
from typing import Any

from reid_pipeline.reporting.formats import METRICS, count, duration, interval_text, percent, points
from reid_pipeline.reporting.published import MARKS
from reid_pipeline.reporting.published import METRICS as PUBLISHED_METRICS
from reid_pipeline.reporting.tables import Column, Table
from reid_pipeline.reporting.words import few_queries, label_word, run_name
from reid_pipeline.schema.comparison import Comparison, ComparisonRow, DifferenceToBest, RunsNamed
from reid_pipeline.schema.errors import first_few

_MAIN_METRICS = ("mAP", "rank1")
_DIFFERENCES_SHOWN, _SHORT_DIFFERENCES = 4, 2
_DIFFERENCES_LEGEND = (
    "Best less other: the difference of the two mAPs over the same queries, the AP of a query being its mean"
    " over the seeds, and its 95 % interval by a paired bootstrap over queries (1,000 resamples). The two"
    " differ where 0 lies outside; where it lies inside the row is grey, and the difference may be chance."
    " The interval says nothing about other seeds, and each is for itself: of twenty pairs that do not differ"
    " one is expected to seem to."
)


def shown_tables(comparison: Comparison) -> list[Table[Any]]:
    """Return the tables: measured beside published, all that was measured, and the best less each other.

    Columns that nothing could be shown in are left out; those of measured figures always stand.
    """
    rows = comparison.rows
    runs: dict[tuple[object, ...], ComparisonRow] = {}
    for row in rows:
        if row.seeds:  # one row for each published figure of their variant
            runs.setdefault((row.method, row.variant, row.apart, row.seeds), row)
    first = [_METHOD, _APART, _SEEDS, _LABELS]
    figures = _figure_columns(comparison)
    main = [*first, *(column for column in figures if column.main), *_COSTS, _NOTES]
    measured = [*first, *(column for column in figures if column.kind == "measured")]
    tables: list[Table[Any]] = [
        Table("Measured and published", main, rows).without_empty_columns(),
        Table("All that was measured", measured, [*runs.values()]).without_empty_columns(),
    ]
    return [*tables, *([_differences_table(comparison.differences)] if comparison.differences else [])]


def comparison_text(comparison: Comparison) -> str:
    """Return the comparison in short, for a terminal."""
    figures = [column for column in _figure_columns(comparison) if column.main and not column.words]
    table = Table("", [_LABEL, _SEEDS, *figures, _COSTS[0]], comparison.rows).without_empty_columns()
    below = [*_differences_lines(comparison.differences), *_few(comparison)]
    return "\n".join([f"{title_of(comparison)}: in %, differences in points", *table.text(), *below])


def title_of(comparison: Comparison) -> str:
    """Return what the tables are about."""
    test_set = comparison.test_set
    return f"Methods on {comparison.benchmark}{f', test set {test_set}' if test_set else ''}"


def sentences_below(comparison: Comparison) -> list[str]:
    """Return what the columns of the shown tables mean, and how few queries there were."""
    sentences = [
        "Seeds: how many (n), and which. Labels: whose identity labels training used.",
        "Measured: mean over the seeds, and for two seeds or more ± their standard deviation (N - 1). A cell"
        " is empty where the method was not run or there was nothing to score.",
        "Averaged are only runs whose data, protocol, recipe and parameters agree in all but the seed."
        " Others have rows of their own, which say what differs.",
        "Training time is the mean over the seeds. Peak memory is the most that the process of a run had held"
        " in main memory when the method ended; other methods that it ran before are in it.",
    ]
    if any(row.published for row in comparison.rows):
        marks = "; ".join(f"{mark}: {meaning}" for mark, meaning in MARKS.items())
        sentences += [
            f"Published figures were not measured here. Their marks: {marks}.",
            "Difference: measured mean minus published figure, where variant and protocol are the same.",
        ]
    else:
        sentences.append(f"No published figures are known for {comparison.benchmark}.")
    return [*sentences, *([_DIFFERENCES_LEGEND] if comparison.differences else []), *_few(comparison)]


def _few(comparison: Comparison) -> list[str]:
    return few_queries([row.num_valid_queries for row in comparison.rows], comparison.benchmark)


def _figure_columns(comparison: Comparison) -> list[Column[ComparisonRow]]:
    figures = [row.published for row in comparison.rows if row.published]
    published = [name for name in PUBLISHED_METRICS if any(each.value(name) is not None for each in figures)]
    main = {*_MAIN_METRICS, *published}
    return [
        *(Column(METRICS[name], _measured(name), "measured", main=name in main, always=True) for name in METRICS),
        *(Column(METRICS[name], _published(name), "published") for name in published),
        Column("mark", lambda row: row.published.mark if row.published else "", "published"),
        Column("published as", _published_as, "published", words=True),
        *(Column(METRICS[name], _difference(name), "difference") for name in published),
    ]


def _measured(name: str) -> Callable[[ComparisonRow], str]:
    def cell(row: ComparisonRow) -> str:
        found = row.spread(name)
        return percent(found.mean, "") + ("" if found.std is None else f" ± {percent(found.std)}")

    return cell


def _published(name: str) -> Callable[[ComparisonRow], str]:
    return lambda row: percent(row.published.value(name), "") if row.published else ""


def _difference(name: str) -> Callable[[ComparisonRow], str]:
    return lambda row: points(row.difference.get(name), "")


def _published_as(row: ComparisonRow) -> str:
    return row.published.variant if row.published else ""


def _label(row: ComparisonRow) -> str:
    variant = _published_as(row)
    apart = first_few(row.apart, _SHORT_DIFFERENCES)
    return f"{run_name(row.method, row.variant)}{f' [{apart}]' if apart else ''}{f': {variant}' if variant else ''}"


def _size(row: ComparisonRow) -> str:
    size = row.peak_memory_bytes
    return "" if size is None else f"{size / 2**30:.2f} GiB"


def _notes(row: ComparisonRow) -> str:
    return "; ".join([*([row.published.note] if row.published else []), *row.notes])


_column = Column[ComparisonRow]
_METHOD = _column("Method", lambda row: run_name(row.method, row.variant), words=True, always=True)
_LABEL = Column("Method", _label, words=True, always=True)
_APART = _column("What differs", lambda row: first_few(row.apart, _DIFFERENCES_SHOWN), words=True)
_SEEDS = _column("Seeds", lambda row: f"{len(row.seeds)} ({first_few(row.seeds)})" if row.seeds else "", always=True)
_LABELS = _column("Labels", lambda row: label_word(row.label_use) if row.seeds else "", words=True)
_COSTS = (
    _column("Training", lambda row: duration(row.training_seconds)),
    _column("Peak memory", _size),
    _column("Parameters", lambda row: count(row.num_parameters, "")),
    _column("Trainable", lambda row: count(row.num_trainable_parameters, "")),
)
_NOTES = _column("Note", _notes, words=True)


def _differences_table(differences: Sequence[DifferenceToBest]) -> Table[DifferenceToBest]:
    """Return the table of what `evaluation.paired_differences.differences_to_best` found."""
    column = Column[DifferenceToBest]
    columns = [
        column("Best", lambda row: _named(row.best), words=True),
        column("Other", lambda row: _named(row.other), words=True),
        column("mAP", lambda row: points(row.difference, ""), "difference"),
        column("95 % interval", _interval, "difference"),
        column("p", lambda row: "" if row.p_value is None else f"{row.p_value:.3f}"),
        column("Queries", lambda row: count(row.num_queries, "")),
        column("Differ", lambda row: {True: "yes", False: "no", None: ""}[row.excludes_zero]),
        column("Remark", lambda row: row.note or row.why_not or "", words=True),
    ]
    return Table(
        "Best less other", columns, differences, mark=lambda row: "uncertain" if row.excludes_zero is False else ""
    )


def _differences_lines(differences: Sequence[DifferenceToBest]) -> list[str]:
    """Return the same for a terminal: a line for each interval, with a word where 0 lies inside."""
    lines = [
        f"  {_named(each.best)} less {_named(each.other)}: {points(each.difference)} ({_interval(each)})"
        f"{'' if each.excludes_zero else ', 0 inside: may be chance'}"
        for each in differences
        if each.excludes_zero is not None
    ]
    return ["Best less other, mAP in points and its 95 % interval:", *lines] if lines else []


def _named(runs: RunsNamed | None) -> str:
    if runs is None:
        return ""
    apart = first_few(runs.apart, _SHORT_DIFFERENCES)
    return f"{run_name(runs.method, runs.variant)}{f' [{apart}]' if apart else ''}, seeds {first_few(runs.seeds)}"


def _interval(row: DifferenceToBest) -> str:
    return "" if row.low is None or row.high is None else interval_text(row.low, row.high)
