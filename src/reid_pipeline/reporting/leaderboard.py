"""All benchmarks and all methods on one page, each figure with the card of the runs that it is from."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reid_pipeline.reporting.comparison import (
    UNITS,
    compare_methods,
    comparison_csv,
    comparison_text,
    html_tables,
    markdown_sections,
    sentences_below,
    shown_tables,
)
from reid_pipeline.reporting.comparison_columns import Column, Table, duration, title_of
from reid_pipeline.reporting.page import flattened, rendered
from reid_pipeline.reporting.records import Record, measured
from reid_pipeline.reporting.run_groups import of_one_test_set
from reid_pipeline.reporting.tables import METRICS, percent

TITLE = "Leaderboard"
_SHORT = 8


def make_leaderboard(
    results: Mapping[str, Sequence[Record]],
    *,
    methods: Sequence[str],
    differences: Mapping[str, Sequence[Record]],
) -> dict[str, Any]:
    """Compare the methods of every benchmark, and put the runs' cards below.

    Args:
        results: finished runs by benchmark, each with `method`, `seed`, `metrics` and `run_card`.
        methods: in the order of the tables; those that were run on no benchmark are in none.
        differences: by benchmark, as `engine.paired_differences.differences_to_best` finds them.

    Returns:
        `benchmarks`, as JSON: for each what `compare_methods` returns, and `runs`, each with `method`,
        `seed`, `metrics` (the five figures) and `run_card`.
    """
    found = []
    for benchmark, runs in results.items():
        known = {run["method"] for run in runs}
        comparison = compare_methods(
            runs,
            benchmark=benchmark,
            methods=[name for name in methods if name in known],
            differences=differences[benchmark],
        )
        found.append({**comparison, "runs": [_run(run) for run in runs]})
    return {"benchmarks": found}


def render_leaderboard_page(leaderboard: Record) -> str:
    """Return the leaderboard as an HTML page that loads nothing; every value is escaped.

    Args:
        leaderboard: as `make_leaderboard` returns it, like the others.
    """
    sections = [
        {
            "name": comparison["benchmark"],
            "title": title_of(comparison),
            "tables": html_tables(_tables(comparison)),
            "cards": [
                (f"{run['method']}, seed {run['seed']}", list(flattened(run["run_card"])))
                for run in comparison["runs"]
            ],
        }
        for comparison in leaderboard["benchmarks"]
    ]
    return rendered(
        "leaderboard.html.j2", title=TITLE, units=UNITS, sections=sections, legend=_legend(leaderboard)
    )


def leaderboard_markdown(leaderboard: Record) -> str:
    """Return the leaderboard as Markdown; pipes are escaped."""
    parts = [f"# {TITLE}", UNITS, "\n".join(f"- {sentence}" for sentence in _legend(leaderboard))]
    for comparison in leaderboard["benchmarks"]:
        parts += [f"## {title_of(comparison)}", *markdown_sections(_tables(comparison), level=3)]
    return "\n\n".join(parts) + "\n"


def leaderboard_csv(leaderboard: Record) -> str:
    """Return all tables as one CSV, with the columns of the comparison's."""
    return comparison_csv(*leaderboard["benchmarks"])


def leaderboard_text(leaderboard: Record) -> str:
    """Return the leaderboard in short, for a terminal."""
    return "\n\n".join(comparison_text(comparison) for comparison in leaderboard["benchmarks"])


def _run(run: Record) -> dict[str, Any]:
    metrics = of_one_test_set(run["metrics"])
    return {
        "method": run["method"],
        "seed": run["seed"],
        "metrics": {name: measured(metrics, name) for name in METRICS},
        "run_card": run["run_card"],
    }


def _tables(comparison: Record) -> list[Table]:
    return [*shown_tables(comparison), Table("Run cards", _CARD_COLUMNS, comparison["runs"])]


def _legend(leaderboard: Record) -> list[str]:
    said = [sentence for comparison in leaderboard["benchmarks"] for sentence in sentences_below(comparison)]
    return list(dict.fromkeys(said))


def _card(name: str, *, short: bool = False) -> Callable[[Record], str]:
    def cell(run: Record) -> str:
        value = run["run_card"].get(name)
        text = "" if value is None else str(value)
        return text[:_SHORT] if short else text

    return cell


def _figure(name: str) -> Callable[[Record], str]:
    return lambda run: percent(run["metrics"][name])


def _commit(run: Record) -> str:
    changed = ", with changes" if run["run_card"].get("git_dirty") else ""
    return f"{_card('git_commit', short=True)(run) or 'no git'}{changed}"


def _recipe(run: Record) -> str:
    return str(run["run_card"]["parameters"].get(run["method"], {}).get("recipe", ""))


_CARD_COLUMNS = (
    Column("Method", lambda run: str(run["method"]), words=True),
    Column("Seed", lambda run: str(run["seed"])),
    Column(METRICS["mAP"], _figure("mAP"), "measured"),
    Column(METRICS["rank1"], _figure("rank1"), "measured"),
    Column("Recipe", _recipe, words=True),
    Column("Commit", _commit, words=True),
    Column("Data", _card("data_hash", short=True), words=True),
    Column("Device", _card("device"), words=True),
    Column("Precision", _card("precision"), words=True),
    Column("Wall time", lambda run: duration(measured(run["run_card"], "wall_seconds"))),
    Column("Started", _card("started"), words=True),
)
