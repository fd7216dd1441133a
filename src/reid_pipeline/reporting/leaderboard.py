"""All benchmarks and all methods on one page, each figure with the card of the runs that it is from."""

from collections.abc import Mapping, Sequence

from reid_pipeline.reporting.comparison import UNITS, compare_methods, sentences_below, shown_tables, title_of
from reid_pipeline.reporting.formats import LABELS, METRICS, duration, percent, run_name
from reid_pipeline.reporting.page import Column, Table, flattened, rendered
from reid_pipeline.reporting.run_groups import of_one_test_set
from reid_pipeline.schema.addresses import link
from reid_pipeline.schema.comparison import DifferenceToBest, Leaderboard, ListedBenchmark, ListedRun
from reid_pipeline.schema.figures import FiveFigures
from reid_pipeline.schema.records import Run
from reid_pipeline.schema.sample import caution, whole_and_identities

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
        results: finished runs by benchmark; those of samples come last, each with tables of its own.
        methods: in the order of the tables; those that were run on no benchmark are in none.
        differences: by benchmark, from `evaluation.paired_differences.differences_to_best`.
    """
    found = []
    for benchmark, runs in sorted(results.items(), key=lambda each: whole_and_identities(each[0])[1] is not None):
        known = [name for name in methods if name in {run.method for run in runs}]
        compared = compare_methods(runs, benchmark=benchmark, methods=known, differences=differences[benchmark])
        fields = {name: getattr(compared, name) for name in ("benchmark", "test_set", "rows", "differences")}
        found.append(ListedBenchmark(**fields, runs=tuple(_listed(run) for run in runs)))
    return Leaderboard(benchmarks=tuple(found))


def _listed(run: Run) -> ListedRun:
    metrics = of_one_test_set(run.metrics)
    figures = FiveFigures(**{name: metrics.value(name) for name in METRICS})
    return ListedRun(method=run.method, variant=run.variant, seed=run.seed, metrics=figures, run_card=run.run_card)


def render_leaderboard_page(leaderboard: Leaderboard) -> str:
    """Return the leaderboard as an HTML page that loads nothing; every value is escaped."""
    sections = [
        {
            "name": comparison.benchmark,
            "title": title_of(comparison),
            "tables": _tables(comparison),
            "caution": caution(comparison.benchmark),
            "cards": [
                (f"{_name(run)}, seed {run.seed}", link(_report(run)), flattened(run.run_card.content()))
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
        sections = [table.markdown_section(level=3) for table in _tables(comparison)]
        parts += [f"## {title_of(comparison)}", *filter(None, [caution(comparison.benchmark)]), *sections]
    return "\n\n".join(parts) + "\n"


def _legend(leaderboard: Leaderboard) -> list[str]:
    sentences = [sentence for comparison in leaderboard.benchmarks for sentence in sentences_below(comparison)]
    return list(dict.fromkeys(sentences))


def _tables(comparison: ListedBenchmark) -> list[Table]:
    runs = comparison.runs
    cards = [run.run_card for run in runs]
    recipes = [card.parameters.get(run.method, {}).get("recipe", "") for run, card in zip(runs, cards, strict=True)]
    commits = [
        f"{(card.git_commit or '')[:_SHORT] or 'no git'}{', with changes' if card.git_dirty else ''}" for card in cards
    ]
    columns = [
        Column("Method", [_name(run) for run in runs], words=True),
        Column("Seed", [str(run.seed) for run in runs]),
        Column(METRICS["mAP"], [percent(run.metrics.mAP) for run in runs], "measured"),
        Column(METRICS["rank1"], [percent(run.metrics.rank1) for run in runs], "measured"),
        Column("Recipe", [str(recipe) for recipe in recipes], words=True),
        Column("Labels", [LABELS[card.label_use] for card in cards], words=True),
        Column("Commit", commits, words=True),
        Column("Data", [card.data_hash[:_SHORT] for card in cards], words=True),
        Column("Device", [card.device for card in cards], words=True),
        Column("Precision", [card.precision for card in cards], words=True),
        Column("Wall time", [duration(card.wall_seconds) for card in cards]),
        Column("Started", [card.started for card in cards], words=True),
    ]
    return [*shown_tables(comparison), Table("Run cards", columns)]


def _name(run: ListedRun) -> str:
    return run_name(run.method, run.variant)


def _report(run: ListedRun) -> str:
    return f"{run.run_card.benchmark}/{_name(run)}/report_seed_{run.seed}.html"
