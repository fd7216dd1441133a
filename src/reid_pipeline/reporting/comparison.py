"""All methods of a benchmark in one table: measured over the seeds, beside what is published, never in one column."""

from collections.abc import Iterable, Sequence
from typing import Any

from reid_pipeline.reporting.formats import LABELS, METRICS, count, duration, few_queries, percent, points, run_name
from reid_pipeline.reporting.page import Column, Table, csv_text, rendered
from reid_pipeline.reporting.published import (
    MARKS,
    TRAITS,
    PublishedFigure,
    figures_beside,
    published_figures,
    run_traits,
)
from reid_pipeline.reporting.published import METRICS as PUBLISHED_METRICS
from reid_pipeline.reporting.run_groups import RunGroup, group_runs, over_seeds
from reid_pipeline.schema.comparison import Comparison, ComparisonRow, DifferenceToBest, RunsNamed
from reid_pipeline.schema.errors import first_few
from reid_pipeline.schema.records import Run
from reid_pipeline.schema.sample import caution, in_words

Rows = Sequence[ComparisonRow]

UNITS = "Figures in %, differences in percentage points."
_NO_TARGET = "u"
_SIZES = ("num_parameters", "num_trainable_parameters")
_COSTS = ("training_seconds", "peak_memory_bytes", *_SIZES)
_ENDS = ("difference", "low", "high")
_MAIN_METRICS = ("mAP", "rank1")
_DIFFERENCES_SHOWN, _SHORT_DIFFERENCES = 4, 2
_LEGEND = (
    "Seeds: how many (n), and which. Labels: whose identity labels training used.",
    "Measured: mean over the seeds, and for two seeds or more ± their standard deviation (N - 1). A cell"
    " is empty where the method was not run or there was nothing to score.",
    "Averaged are only runs whose data, protocol, recipe and parameters agree in all but the seed."
    " Others have rows of their own, which say what differs.",
    "Training time is the mean over the seeds. Peak memory is the most that the process of a run had held"
    " in main memory when the method ended; other methods that it ran before are in it.",
)
_DIFFERENCES_LEGEND = (
    "Best less other: the difference of the two mAPs over the same queries, the AP of a query being its mean"
    " over the seeds, and its 95 % interval by a paired bootstrap over queries (1,000 resamples). The two"
    " differ where 0 lies outside; where it lies inside the row is grey, and the difference may be chance."
    " The interval says nothing about other seeds, and each is for itself: of twenty pairs that do not differ"
    " one is expected to seem to."
)


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
    rows: list[ComparisonRow] = []
    for name in dict.fromkeys(names):
        own = [group for group in groups if group.method == name]
        rows += _rows_of(name, own, [figure for figure in figures if figure.method == name])
    sets = {group.metrics.test_set or "" for group in groups} | {figure.test_set for figure in figures}
    test_set = ", ".join(sorted(sets - {""})) or None
    return Comparison(benchmark=benchmark, test_set=test_set, rows=tuple(rows), differences=tuple(differences))


def _rows_of(method: str, groups: Sequence[RunGroup], figures: Sequence[PublishedFigure]) -> list[ComparisonRow]:
    found: list[tuple[RunGroup | None, PublishedFigure | None, str]] = []
    for group in groups:
        card = group.runs[0].run_card
        fitting, why_none = figures_beside(figures, run_traits(card.parameters.get(method, {}), group.metrics, card))
        found += [(group, figure, "") for figure in fitting] or [(group, None, why_none)]
    placed = [figure for _, figure, _ in found]
    found += [(None, figure, "") for figure in figures if figure not in placed]
    return [_row(method, *each) for each in found or [(None, None, "")]]


def _row(method: str, group: RunGroup | None, figure: PublishedFigure | None, why_none: str) -> ComparisonRow:
    named = group.named if group else RunsNamed(method=method, variant="", apart=(), seeds=())
    found = over_seeds(group) if group else {}
    published = figure and figure.shown()
    obstacles = figure.obstacles(group.metrics) if figure and group else []
    difference: dict[str, float | None] = {}
    if figure and group and not obstacles and figure.mark != _NO_TARGET:
        means = {name: found[name].mean for name in figure.values}
        difference = {name: None if mean is None else mean - figure.values[name] for name, mean in means.items()}
    cards = [run.run_card for run in group.runs] if group else []
    costs = {name: [cost for card in cards if (cost := getattr(card, name)) is not None] for name in _COSTS}
    seconds = costs.pop("training_seconds")
    return ComparisonRow.model_validate(
        {
            **named.content(),
            "label_use": group.label_use if group else None,
            "measured": found,
            "num_valid_queries": min(run.metrics.num_valid_queries for run in group.runs) if group else None,
            "published": published,
            "difference": difference,
            "notes": [*obstacles, *filter(None, [why_none]), *(group.provenance if group else ())],
            "training_seconds": sum(seconds) / len(seconds) if seconds else None,
            **{name: max(numbers, default=None) for name, numbers in costs.items()},
        }
    )


def render_comparison_page(comparison: Comparison) -> str:
    """Return the comparison as an HTML page that loads nothing; every value is escaped."""
    shown = {"title": title_of(comparison), "tables": shown_tables(comparison), "legend": sentences_below(comparison)}
    return rendered("comparison.html.j2", benchmark=in_words(comparison.benchmark), units=UNITS, **shown)


def comparison_markdown(comparison: Comparison) -> str:
    """Return the comparison as Markdown, what the columns mean below the first table; pipes are escaped."""
    first, *others = (table.markdown_section(level=2) for table in shown_tables(comparison))
    legend = "\n".join(f"- {sentence}" for sentence in sentences_below(comparison))
    return "\n\n".join([f"# {title_of(comparison)}", UNITS, first, legend, *others]) + "\n"


def comparison_csv(*comparisons: Comparison) -> str:
    """Return the tables of one or more comparisons as CSV: fractions, and differences in percentage points.

    The columns are always the same, but for the numbers of parameters, which are there if a run card has them.
    """
    records = [_csv_record(comparison, row) for comparison in comparisons for row in comparison.rows]
    unknown = {name for name in _SIZES if all(record[name] is None for record in records)}
    names = [name for name in records[0] if name not in unknown]
    return csv_text(names, ([record[name] for name in names] for record in records))


def _csv_record(comparison: Comparison, row: ComparisonRow) -> dict[str, Any]:
    to_best = next((each for each in comparison.differences if each.other == _runs_of(row)), None)
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
        **{f"behind_best_mAP_{name}_points": _points(getattr(to_best, name, None)) for name in _ENDS},
        "notes": "; ".join(row.notes),
        **{name: getattr(row, name) for name in _COSTS},
    }


def _runs_of(row: ComparisonRow) -> RunsNamed:
    return RunsNamed(method=row.method, variant=row.variant, apart=row.apart, seeds=row.seeds)


def _points(difference: float | None) -> float | None:
    return None if difference is None else round(100 * difference, 4)


def shown_tables(comparison: Comparison) -> list[Table]:
    """Return the tables: measured beside published, all that was measured, and the best less each other."""
    rows = comparison.rows
    runs = [_runs_of(row) for row in rows]  # the same in each row for a published figure of their variant
    measured = [row for place, row in enumerate(rows) if row.seeds and runs[place] not in runs[:place]]
    notes = ["; ".join([*([row.published.note] if row.published else []), *row.notes]) for row in rows]
    main = [*_first_columns(rows), *_main_columns(rows), *_cost_columns(rows), Column("Note", notes, words=True)]
    others = [*_first_columns(measured), *_measured_columns(measured, METRICS)]
    tables = [Table("Measured and published", main), Table("All that was measured", others)]
    differences = [_differences_table(comparison.differences)] if comparison.differences else []
    return [*(table.without_empty_columns() for table in tables), *differences]


def comparison_text(comparison: Comparison) -> str:
    """Return the comparison in short, for a terminal."""
    rows = comparison.rows
    labels = [
        f"{_named(row)}{f': {variant}' if (variant := row.published.variant if row.published else '') else ''}"
        for row in rows
    ]
    figures = [column for column in _main_columns(rows) if not column.words]
    columns = [Column("Method", labels, always=True), _seeds_column(rows), *figures, _cost_columns(rows)[0]]
    few = few_queries([row.num_valid_queries for row in rows], comparison.benchmark)
    below = [*_differences_lines(comparison.differences), *few]
    text = Table("", columns).without_empty_columns().text()
    return "\n".join([f"{title_of(comparison)}: in %, differences in points", *text, *below])


def title_of(comparison: Comparison) -> str:
    """Return what the tables are about."""
    test_set = comparison.test_set
    return f"Methods on {in_words(comparison.benchmark)}{f', test set {test_set}' if test_set else ''}"


def sentences_below(comparison: Comparison) -> list[str]:
    """Return what the columns of the shown tables mean, and how few queries there were."""
    few = few_queries([row.num_valid_queries for row in comparison.rows], comparison.benchmark)
    published = [caution(comparison.benchmark) or f"No published figures are known for {comparison.benchmark}."]
    if any(row.published for row in comparison.rows):
        marks = "; ".join(f"{mark}: {meaning}" for mark, meaning in MARKS.items())
        published = [
            f"Published figures were not measured here. Their marks: {marks}.",
            f"A run stands beside the published figures that share all of its traits ({', '.join(TRAITS.values())}), as"
            " far as they are known; Note has those of the figure.",
            "Difference: measured mean minus published figure, where the protocol is the same, too.",
        ]
    return [*_LEGEND, *published, *([_DIFFERENCES_LEGEND] if comparison.differences else []), *few]


def _first_columns(rows: Rows) -> list[Column]:
    return [
        Column("Method", [run_name(row.method, row.variant) for row in rows], words=True, always=True),
        Column("What differs", [first_few(row.apart, _DIFFERENCES_SHOWN) for row in rows], words=True),
        _seeds_column(rows),
        Column("Labels", [LABELS[row.label_use] if row.seeds else "" for row in rows], words=True),
    ]


def _seeds_column(rows: Rows) -> Column:
    seeds = [f"{len(row.seeds)} ({first_few(row.seeds)})" if row.seeds else "" for row in rows]
    return Column("Seeds", seeds, always=True)


def _measured_columns(rows: Rows, metrics: Iterable[str]) -> list[Column]:
    return [Column(METRICS[name], [_mean(row, name) for row in rows], "measured", always=True) for name in metrics]


def _mean(row: ComparisonRow, name: str) -> str:
    found = row.spread(name)
    return percent(found.mean, "") + ("" if found.std is None else f" ± {percent(found.std)}")


def _main_columns(rows: Rows) -> list[Column]:
    """Return measured figures beside the published ones, and the differences."""
    figures = [row.published for row in rows]
    published = [name for name in PUBLISHED_METRICS if any(each and each.value(name) is not None for each in figures)]
    shown = {name: [percent(each.value(name), "") if each else "" for each in figures] for name in published}
    differences = {name: [points(row.difference.get(name), "") for row in rows] for name in published}
    return [
        *_measured_columns(rows, [name for name in METRICS if name in {*_MAIN_METRICS, *published}]),
        *(Column(METRICS[name], cells, "published") for name, cells in shown.items()),
        Column("mark", [each.mark if each else "" for each in figures], "published"),
        Column("published as", [each.variant if each else "" for each in figures], "published", words=True),
        *(Column(METRICS[name], cells, "difference") for name, cells in differences.items()),
    ]


def _cost_columns(rows: Rows) -> list[Column]:
    sizes = [row.peak_memory_bytes for row in rows]
    return [
        Column("Training", [duration(row.training_seconds) for row in rows]),
        Column("Peak memory", ["" if size is None else f"{size / 2**30:.2f} GiB" for size in sizes]),
        Column("Parameters", [count(row.num_parameters, "") for row in rows]),
        Column("Trainable", [count(row.num_trainable_parameters, "") for row in rows]),
    ]


def _differences_table(rows: Sequence[DifferenceToBest]) -> Table:
    """Return the table of what `evaluation.paired_differences.differences_to_best` found."""
    differ = {True: "yes", False: "no", None: ""}
    columns = [
        Column("Best", [_with_seeds(row.best) if row.best else "" for row in rows], words=True),
        Column("Other", [_with_seeds(row.other) for row in rows], words=True),
        Column("mAP", [points(row.difference, "") for row in rows], "difference"),
        Column("95 % interval", [_interval(row) for row in rows], "difference"),
        Column("p", ["" if row.p_value is None else f"{row.p_value:.3f}" for row in rows]),
        Column("Queries", [count(row.num_queries, "") for row in rows]),
        Column("Differ", [differ[row.excludes_zero] for row in rows]),
        Column("Remark", [row.note or row.why_not or "" for row in rows], words=True),
    ]
    marks = ["uncertain" if row.excludes_zero is False else "" for row in rows]
    return Table("Best less other", columns, marks=marks)


def _differences_lines(differences: Sequence[DifferenceToBest]) -> list[str]:
    """Return the same for a terminal: a line for each interval, with a word where 0 lies inside."""
    lines = [
        f"  {_with_seeds(each.best)} less {_with_seeds(each.other)}: {points(each.difference)} ({_interval(each)})"
        f"{'' if each.excludes_zero else ', 0 inside: may be chance'}"
        for each in differences
        if each.best and each.excludes_zero is not None
    ]
    return ["Best less other, mAP in points and its 95 % interval:", *lines] if lines else []


def _named(runs: RunsNamed) -> str:
    apart = first_few(runs.apart, _SHORT_DIFFERENCES)
    return f"{run_name(runs.method, runs.variant)}{f' [{apart}]' if apart else ''}"


def _with_seeds(runs: RunsNamed) -> str:
    return f"{_named(runs)}, seeds {first_few(runs.seeds)}"


def _interval(row: DifferenceToBest) -> str:
    return "" if row.low is None or row.high is None else f"{points(row.low)} to {points(row.high)}"
