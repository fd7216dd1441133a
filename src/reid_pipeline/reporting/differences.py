"""What the best method has over each other one, and whether that is more than the choice of queries."""

from collections.abc import Sequence
from typing import Any

from reid_pipeline.reporting.comparison_columns import Column, Table
from reid_pipeline.reporting.records import Record, measured
from reid_pipeline.reporting.tables import count, points
from reid_pipeline.schema.errors import first_few

LEGEND = (
    "Best less other: the difference of the two mAPs over the same queries, the AP of a query being its mean"
    " over the seeds, and its 95 % interval by a paired bootstrap over queries (1,000 resamples). The two"
    " differ where 0 lies outside. The interval says nothing about other seeds, and each is for itself: of"
    " twenty pairs that do not differ one is expected to seem to.",
)
_ENDS = ("difference", "low", "high")


def differences_table(differences: Sequence[Record]) -> Table:
    """Return the table of what `engine.paired_differences.differences_to_best` found."""
    columns = [
        Column("Best", lambda row: _named(row["best"]), words=True),
        Column("Other", lambda row: _named(row["other"]), words=True),
        Column("mAP", _points("difference"), "difference"),
        Column("95 % interval", _interval, "difference"),
        Column("p", lambda row: f"{row['p_value']:.3f}" if "p_value" in row else ""),
        Column("Queries", lambda row: count(row["num_queries"]) if "num_queries" in row else ""),
        Column("Differ", lambda row: {True: "yes", False: "no", None: ""}[differ(row)]),
        Column("Remark", lambda row: str(row.get("note") or row.get("why_not", "")), words=True),
    ]
    return Table("Best less other", columns, differences)


def differ(difference: Record) -> bool | None:
    """Say whether 0 lies outside the interval; None where there is none."""
    low, high = measured(difference, "low"), measured(difference, "high")
    return None if low is None or high is None else low > 0 or high < 0


def behind_best(differences: Sequence[Record], row: Record) -> dict[str, Any]:
    """Return by how many points, and with which interval, a row of the comparison is behind the best."""
    own = [each for each in differences if each["other"] == {name: row[name] for name in each["other"]}]
    found = own[0] if own else {}
    return {
        f"{name}_points": None if found.get(name) is None else round(100 * found[name], 4) for name in _ENDS
    }


def _named(runs: Record | None) -> str:
    if runs is None:
        return ""
    apart = first_few(runs["apart"], 2)
    return f"{runs['method']}{f' [{apart}]' if apart else ''}, seeds {first_few(runs['seeds'])}"


def _points(name: str) -> Any:
    return lambda row: points(row[name]) if name in row else ""


def _interval(row: Record) -> str:
    return f"{points(row['low'])} to {points(row['high'])}" if "low" in row else ""
