"""Before and after: a run beside what it is compared with, and two runs of a method beside one another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from reid_pipeline.reporting.formats import METRICS, UNMEASURED, count, few_queries, percent, points, run_name
from reid_pipeline.reporting.guard_notes import exported_notes
from reid_pipeline.reporting.page import Column, Table
from reid_pipeline.reporting.run_groups import of_test_set, run_facts
from reid_pipeline.schema.addresses import address
from reid_pipeline.schema.figures import PairedDifference
from reid_pipeline.schema.records import Differences, Metrics, Run
from reid_pipeline.schema.sample import in_words

_COMPARABLE = ("benchmark", "seed", "test_set")
_CODE = ("reid_pipeline", "git_commit", "git_dirty", "python", "label_use", "weights")


@dataclass(frozen=True)
class ResultRow:
    """One result, or the difference of two.

    Attributes:
        values: by metric a fraction in 0..1, or a difference of fractions; None where not measured.
        cells: the values as text, by metric: "61.2 ± 0.4", "+2.4 (-0.8 to +6.4)".
        is_difference: whether the values are this result less the first; its numbers of images are empty.
        intervals: of a difference, by metric its interval over the same queries as text, where it is known.
        uncertain: by metric, whether 0 lies inside the interval.
        remark: of a difference, a sentence on what its intervals are of, or that they are not known.
    """

    label: str
    values: Mapping[str, float | None]
    cells: tuple[str, ...]
    valid_queries: str = ""
    gallery: str = ""
    is_difference: bool = False
    intervals: Mapping[str, str] = field(default_factory=dict)
    uncertain: tuple[bool, ...] = (False,) * len(METRICS)
    remark: str = ""


def comparison_rows(metrics: Sequence[Metrics], differences: Sequence[Differences] = ()) -> list[ResultRow]:
    """Return a row for each result and test set, then one for each later result's difference to the first.

    Only results of the first one's benchmark, seed and test set are subtracted: others are not comparable. The
    intervals are those of `differences`, where these are to the first result.
    """
    results = [
        each for result in metrics for each in [of_test_set(result, name) for name in result.test_sets] or [result]
    ]
    varying = [name for name in _COMPARABLE if len({getattr(result, name) for result in results}) > 1]
    rows = [
        ResultRow(
            ", ".join([_name(result), *(f"{each.replace('_', ' ')} {getattr(result, each)}" for each in varying)]),
            {name: result.value(name) for name in METRICS},
            tuple(
                percent(result.value(name)) + (f" ± {percent(spread)}" if (spread := result.deviation(name)) else "")
                for name in METRICS
            ),
            f"{count(result.num_valid_queries)} of {count(result.num_queries)}",
            count(result.num_gallery),
        )
        for result in results
    ]
    return [*rows, *_difference_rows(rows, results, differences)]


def before_and_after(rows: Sequence[ResultRow]) -> Table:
    """Return the table of `comparison_rows`; differences whose interval holds 0 are grey."""
    marks = [["uncertain" if uncertain else "" for uncertain in row.uncertain] for row in rows]
    columns = [
        Column("Method", [row.label for row in rows]),
        *(
            Column(title, [row.cells[place] for row in rows], marks=[each[place] for each in marks])
            for place, title in enumerate(METRICS.values())
        ),
        Column("Valid queries", [row.valid_queries for row in rows]),
        Column("Gallery", [row.gallery for row in rows]),
    ]
    return Table("before and after", columns, marks=["difference" if row.is_difference else "" for row in rows])


def difference_notes(metrics: Sequence[Metrics], differences: Sequence[Differences] = ()) -> list[str]:
    """Return the sentences below the rows: which differences may be chance, and how few queries there were."""
    rows = [row for row in comparison_rows(metrics, differences) if row.is_difference]
    alike = len({tuple(_remarks(row)) for row in rows}) < 2
    sentences = [each if alike else f"{row.label}: {each}" for row in rows for each in _remarks(row)]
    return [*dict.fromkeys(sentences), *few_queries([result.num_valid_queries for result in metrics])]


def text_table(
    metrics: Sequence[Metrics], differences: Sequence[Differences] = (), *, earlier: Sequence[Metrics] = ()
) -> str:
    """Return the comparison for a terminal: values in %, differences in percentage points.

    A difference whose interval is known stands below the table, a line for each metric. `earlier` are those of
    `metrics` that an earlier run measured; their rows say so.
    """
    if not metrics:
        return "(nothing measured)"
    rows = comparison_rows(metrics, differences)
    measured = [each in earlier for result in metrics for each in [result] * max(1, len(result.test_sets))]
    listed = [
        replace(row, label=f"{row.label} (measured earlier)") if place < len(measured) and measured[place] else row
        for place, row in enumerate(rows)
        if not row.intervals
    ]
    header, rule, *body = before_and_after(listed).text()
    plain = [index for index, row in enumerate(listed) if row.is_difference]
    if plain:
        body.insert(plain[0], rule)
    blocks = [line for row in rows if row.intervals for line in _interval_lines(row)]
    notes = [*difference_notes(metrics, differences), *_exported_notes(metrics)]
    return "\n".join([_caption(metrics), header, rule, *body, *blocks, *notes])


def _exported_notes(metrics: Sequence[Metrics]) -> list[str]:
    """Return what is to be known of the models that trainings have exported; each run named where there are several."""
    noted = {run_name(each.method, each.variant): each.exported for each in metrics if each.exported is not None}
    return [
        f"{name}: {note}" if len(noted) > 1 else note for name, each in noted.items() for note in exported_notes(each)
    ]


def markdown_table(metrics: Sequence[Metrics], differences: Sequence[Differences] = ()) -> str:
    """Return the comparison as a Markdown table, sentences below it; pipes in names are escaped."""
    if not metrics:
        return "(nothing measured)"
    notes = difference_notes(metrics, differences)
    table = before_and_after(comparison_rows(metrics, differences)).markdown()
    return "\n".join([table, *(["", " ".join(notes)] if notes else [])])


def changes_markdown(earlier: Run, present: Run) -> str:
    """Return both runs' figures, their difference, and every fact of data, parameters or code that differs."""
    runs = {"earlier": earlier, "present": present}
    metrics = [
        run.metrics.model_copy(update={"method": f"{_name(run.metrics)}, {word}", "variant": ""})
        for word, run in runs.items()
    ]
    facts = [_facts(run) for run in runs.values()]
    pairs = [(name, *(each.get(name, UNMEASURED) for each in facts)) for name in dict.fromkeys([*facts[0], *facts[1]])]
    differing = [pair for pair in pairs if pair[1] != pair[2]]
    started = ("started", earlier.run_card.started, present.run_card.started)
    columns = zip(["", *runs], zip(started, *differing, strict=True), strict=True)
    table = Table("", [Column(title, cells, words=True) for title, cells in columns])
    heading = "What differs:" if differing else "Nothing else differs."
    return "\n".join([markdown_table(metrics), "", heading, "", table.markdown(), ""])


def _difference_rows(
    rows: Sequence[ResultRow], results: Sequence[Metrics], known: Sequence[Differences]
) -> list[ResultRow]:
    """Return the rows that subtract, from each later result, the first one of its kind."""
    kinds = [tuple(getattr(result, name) for name in _COMPARABLE) for result in results]
    comparable = {kind for kind in kinds if kind[:2] == kinds[0][:2]}
    only = len(comparable) == 1 and len(results) == 2
    found = []
    for place, kind in enumerate(kinds):
        first = kinds.index(kind)
        if kind not in comparable or first == place:
            continue
        row, before = rows[place], rows[first]
        paired, remark = _paired(results[place], results[first], known)
        pairs = {name: (row.values[name], before.values[name]) for name in METRICS}
        values = {name: None if a is None or b is None else a - b for name, (a, b) in pairs.items()}
        intervals = {name: f"{points(each.low)} to {points(each.high)}" for name, each in paired.items()}
        cells = tuple(points(values[name]) + (f" ({intervals[name]})" if name in paired else "") for name in METRICS)
        uncertain = tuple(name in paired and not paired[name].excludes_zero for name in METRICS)
        label = "difference, points" if only else f"{row.label} − {before.label}"  # noqa: RUF001
        found.append(ResultRow(label, values, cells, "", "", True, intervals, uncertain, remark))
    return found


def _paired(
    result: Metrics, first: Metrics, known: Sequence[Differences]
) -> tuple[Mapping[str, PairedDifference], str]:
    """Return the intervals of a result less the first, by metric, and a remark on them."""
    for each in known:
        if (address(each), each.other, each.test_set) == (address(result), address(first), result.test_set):
            if each.why_not:
                return {}, f"Interval not known: {each.why_not}."
            return each.figures, f"Intervals are {each.note}." if each.note else ""
    return {}, "Interval not known."


def _remarks(row: ResultRow) -> list[str]:
    inside = [title for title, uncertain in zip(METRICS.values(), row.uncertain, strict=True) if uncertain]
    unknown = [title for name, title in METRICS.items() if row.values[name] is not None and name not in row.intervals]
    remarks = [row.remark] if row.remark else []
    if inside:
        which = "this difference" if len(inside) == 1 else "these differences"
        remarks.append(f"0 lies inside the interval of {', '.join(inside)}: {which} may be chance.")
    if unknown and row.intervals:
        remarks.append(f"No interval is known of {', '.join(unknown)}.")
    return remarks


def _interval_lines(row: ResultRow) -> list[str]:
    cells = {name: points(row.values[name]) for name in METRICS}
    names, values = (max(map(len, texts)) for texts in (METRICS.values(), cells.values()))
    lines = [
        f"  {METRICS[name].ljust(names)}  {text.rjust(values)} ({row.intervals.get(name, 'interval not known')})"
        for name, text in cells.items()
        if row.values[name] is not None
    ]
    return [f"{row.label} (95 % interval over the same queries)", *lines]


def _caption(metrics: Sequence[Metrics]) -> str:
    benchmarks = sorted({in_words(result.benchmark) for result in metrics})
    seeds = sorted({result.seed for result in metrics})
    word = "seed" if len(seeds) == 1 else "seeds"
    return f"{', '.join(benchmarks)}, {word} {', '.join(map(str, seeds))}: % of valid queries, measured in this run"


def _facts(run: Run) -> dict[str, str]:
    code = {name: getattr(run.run_card, name) for name in _CODE}
    code |= {f"packages.{name}": str(version) for name, version in run.run_card.packages.items()}
    return run_facts(run) | {name: UNMEASURED if value is None else str(value) for name, value in code.items()}


def _name(metrics: Metrics) -> str:
    return run_name(metrics.method, metrics.variant)
