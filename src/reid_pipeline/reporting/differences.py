"""What the best method has over each other one, and whether that is more than the choice of queries."""

from collections.abc import Sequence

from reid_pipeline.reporting.comparison_columns import Column, Table
from reid_pipeline.reporting.tables import count, interval_text, points
from reid_pipeline.reporting.words import run_name
from reid_pipeline.schema.comparison import ComparisonRow, DifferenceToBest, RunsNamed
from reid_pipeline.schema.errors import first_few

LEGEND = (
    "Best less other: the difference of the two mAPs over the same queries, the AP of a query being its mean"
    " over the seeds, and its 95 % interval by a paired bootstrap over queries (1,000 resamples). The two"
    " differ where 0 lies outside; where it lies inside the row is grey, and the difference may be chance."
    " The interval says nothing about other seeds, and each is for itself: of twenty pairs that do not differ"
    " one is expected to seem to.",
)
_ENDS = ("difference", "low", "high")


def differences_table(differences: Sequence[DifferenceToBest]) -> Table[DifferenceToBest]:
    """Return the table of what `engine.paired_differences.differences_to_best` found."""
    column = Column[DifferenceToBest]
    columns = [
        column("Best", lambda row: _named(row.best), words=True),
        column("Other", lambda row: _named(row.other), words=True),
        column("mAP", lambda row: "" if row.difference is None else points(row.difference), "difference"),
        column("95 % interval", _interval, "difference"),
        column("p", lambda row: "" if row.p_value is None else f"{row.p_value:.3f}"),
        column("Queries", lambda row: "" if row.num_queries is None else count(row.num_queries)),
        column("Differ", lambda row: {True: "yes", False: "no", None: ""}[row.excludes_zero]),
        column("Remark", lambda row: row.note or row.why_not or "", words=True),
    ]
    return Table("Best less other", columns, differences, faint=lambda row: row.excludes_zero is False)


def differences_lines(differences: Sequence[DifferenceToBest]) -> list[str]:
    """Return the same for a terminal: a line for each interval, with a word where 0 lies inside."""
    lines = [
        f"  {_named(each.best)} less {_named(each.other)}: {points(each.difference)} ({_interval(each)})"
        f"{'' if each.excludes_zero else ', 0 inside: may be chance'}"
        for each in differences
        if each.excludes_zero is not None
    ]
    return ["Best less other, mAP in points and its 95 % interval:", *lines] if lines else []


def behind_best(differences: Sequence[DifferenceToBest], row: ComparisonRow) -> dict[str, float | None]:
    """Return by how many points, and with which interval, a row of the comparison is behind the best."""
    named = RunsNamed(method=row.method, variant=row.variant, apart=row.apart, seeds=row.seeds)
    own = next((each for each in differences if each.other == named), None)
    values = {name: getattr(own, name, None) for name in _ENDS}
    return {f"{name}_points": None if value is None else round(100 * value, 4) for name, value in values.items()}


def _named(runs: RunsNamed | None) -> str:
    if runs is None:
        return ""
    apart = first_few(runs.apart, 2)
    name = run_name(runs.method, runs.variant)
    return f"{name}{f' [{apart}]' if apart else ''}, seeds {first_few(runs.seeds)}"


def _interval(row: DifferenceToBest) -> str:
    return "" if row.low is None or row.high is None else interval_text(row.low, row.high)
