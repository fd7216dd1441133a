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
from reid_pipeline.reporting.run_groups import of_one_test_set
from reid_pipeline.reporting.tables import METRICS, percent
from reid_pipeline.reporting.words import label_word, run_name
from reid_pipeline.schema.addresses import link
from reid_pipeline.schema.comparison import DifferenceToBest, Leaderboard, ListedBenchmark, ListedRun
from reid_pipeline.schema.figures import FiveFigures
from reid_pipeline.schema.records import Run

TITLE = "Leaderboard"
_SHORT = 8


def make_leaderboard(
    results: Mapping[str, Sequence[Run]],
    *,
    methods: Sequence[str],
    differences: Mapping[str, Sequence[DifferenceToBest]],
) -> Leaderboard:
    """Compare the methods of every benchmark, and put the runs' cards below.

    Args:
        results: finished runs by benchmark.
        methods: in the order of the tables; those that were run on no benchmark are in none.
        differences: by benchmark, as `engine.paired_differences.differences_to_best` finds them.
    """
    found = []
    for benchmark, runs in results.items():
        known = {run.method for run in runs}
        comparison = compare_methods(
            runs,
            benchmark=benchmark,
            methods=[name for name in methods if name in known],
            differences=differences[benchmark],
        )
        listed = ListedBenchmark(
            benchmark=benchmark,
            test_set=comparison.test_set,
            rows=comparison.rows,
            differences=comparison.differences,
            runs=tuple(_listed(run) for run in runs),
        )
        found.append(listed)
    return Leaderboard(benchmarks=tuple(found))


def render_leaderboard_page(leaderboard: Leaderboard) -> str:
    """Return the leaderboard as an HTML page that loads nothing; every value is escaped."""
    sections = [
        {
            "name": comparison.benchmark,
            "title": title_of(comparison),
            "tables": html_tables(_tables(comparison)),
            "cards": [
                (f"{_name(run)}, seed {run.seed}", _report(run), list(flattened(run.run_card.content())))
                for run in comparison.runs
            ],
        }
        for comparison in leaderboard.benchmarks
    ]
    return rendered("leaderboard.html.j2", title=TITLE, units=UNITS, sections=sections, legend=_legend(leaderboard))


def leaderboard_markdown(leaderboard: Leaderboard) -> str:
    """Return the leaderboard as Markdown; pipes are escaped."""
    parts = [f"# {TITLE}", UNITS, "\n".join(f"- {sentence}" for sentence in _legend(leaderboard))]
    for comparison in leaderboard.benchmarks:
        parts += [f"## {title_of(comparison)}", *markdown_sections(_tables(comparison), level=3)]
    return "\n\n".join(parts) + "\n"


def leaderboard_csv(leaderboard: Leaderboard) -> str:
    """Return all tables as one CSV, with the columns of the comparison's."""
    return comparison_csv(*leaderboard.benchmarks)


def leaderboard_text(leaderboard: Leaderboard) -> str:
    """Return the leaderboard in short, for a terminal."""
    return "\n\n".join(comparison_text(comparison) for comparison in leaderboard.benchmarks)


def _listed(run: Run) -> ListedRun:
    metrics = of_one_test_set(run.metrics)
    return ListedRun(
        method=run.method,
        variant=run.variant,
        seed=run.seed,
        metrics=FiveFigures(**{name: metrics.value(name) for name in METRICS}),
        run_card=run.run_card,
    )


def _report(run: ListedRun) -> str:
    """Return the link from the leaderboard's page to the report of a run."""
    return link(f"../{run.run_card.benchmark}/{_name(run)}/report_seed_{run.seed}.html")


def _tables(comparison: ListedBenchmark) -> list[Table[Any]]:
    return [*shown_tables(comparison), Table("Run cards", _CARD_COLUMNS, comparison.runs)]


def _legend(leaderboard: Leaderboard) -> list[str]:
    said = [sentence for comparison in leaderboard.benchmarks for sentence in sentences_below(comparison)]
    return list(dict.fromkeys(said))


def _name(run: ListedRun) -> str:
    return run_name(run.method, run.variant)


def _card(name: str, *, short: bool = False) -> Callable[[ListedRun], str]:
    def cell(run: ListedRun) -> str:
        value = getattr(run.run_card, name)
        text = "" if value is None else str(value)
        return text[:_SHORT] if short else text

    return cell


def _commit(run: ListedRun) -> str:
    changed = ", with changes" if run.run_card.git_dirty else ""
    return f"{_card('git_commit', short=True)(run) or 'no git'}{changed}"


def _recipe(run: ListedRun) -> str:
    return str(run.run_card.parameters.get(run.method, {}).get("recipe", ""))


_CARD_COLUMNS = (
    Column("Method", _name, words=True),
    Column[ListedRun]("Seed", lambda run: str(run.seed)),
    Column[ListedRun](METRICS["mAP"], lambda run: percent(run.metrics.mAP), "measured"),
    Column[ListedRun](METRICS["rank1"], lambda run: percent(run.metrics.rank1), "measured"),
    Column("Recipe", _recipe, words=True),
    Column[ListedRun]("Labels", lambda run: label_word(run.run_card.label_use), words=True),
    Column("Commit", _commit, words=True),
    Column("Data", _card("data_hash", short=True), words=True),
    Column("Device", _card("device"), words=True),
    Column("Precision", _card("precision"), words=True),
    Column[ListedRun]("Wall time", lambda run: duration(run.run_card.wall_seconds)),
    Column("Started", _card("started"), words=True),
)
