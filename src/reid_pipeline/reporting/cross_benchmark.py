"""The matrix of every trained embedder on every benchmark's test split, as page, Markdown and CSV."""

from collections.abc import Mapping

from reid_pipeline.reporting.formats import METRICS, UNMEASURED, percent
from reid_pipeline.reporting.page import rendered
from reid_pipeline.reporting.tables import Column, Table, csv_text
from reid_pipeline.reporting.words import run_name
from reid_pipeline.schema.comparison import CrossBenchmark, CrossResult

Embedder = tuple[str, str, str]
"""The benchmark it was trained on, its method and its seed."""

_TITLE = "Trained on one benchmark, tested on another"
_PROTOCOL = ("splits", "camera_filter", "flip_averaging", "camera_mean_subtraction", "query_expansion", "rerank")
_CSV_HEADS = ("trained_on", "method", "variant", "seed", "tested_on", "test_set")
_COUNTS = ("num_queries", "num_valid_queries", "num_gallery")


def cross_csv(cross_benchmark: CrossBenchmark) -> str:
    """Return one line for each embedder and test split: fractions, counts and protocol as in metrics.json."""
    names = [*_CSV_HEADS, *METRICS, *_COUNTS, *_PROTOCOL, "why_not"]
    return csv_text(names, ([getattr(each, name) for name in names] for each in cross_benchmark.results))


def cross_markdown(cross_benchmark: CrossBenchmark) -> str:
    """Return the matrix as Markdown; pipes are escaped."""
    reasons = [f"- {sentence}" for sentence in _reasons(cross_benchmark)]
    parts = [f"# {_TITLE}", "", _legend(cross_benchmark), "", _matrix(cross_benchmark).markdown(), ""]
    return "\n".join([*parts, *reasons, *([""] if reasons else [])])


def render_cross_page(cross_benchmark: CrossBenchmark) -> str:
    """Return the matrix as an HTML page that loads nothing."""
    return rendered(
        "cross_benchmark.html.j2",
        title=_TITLE,
        legend=_legend(cross_benchmark),
        table=_matrix(cross_benchmark),
        reasons=_reasons(cross_benchmark),
    )


def _matrix(cross_benchmark: CrossBenchmark) -> Table[Embedder]:
    """Return a row for each embedder; its own benchmark is marked."""
    found = {(_embedder(each), each.tested_on): each for each in cross_benchmark.results}
    columns = [
        Column[Embedder]("Trained on", lambda embedder: embedder[0], words=True),
        Column[Embedder]("Method", lambda embedder: embedder[1], words=True),
        Column[Embedder]("Seed", lambda embedder: embedder[2], words=True),
        *(_split_column(found, name) for name in cross_benchmark.benchmarks),
    ]
    return Table(_TITLE, columns, list(dict.fromkeys(embedder for embedder, _ in found)))


def _embedder(result: CrossResult) -> Embedder:
    return result.trained_on, run_name(result.method, result.variant), str(result.seed)


def _split_column(found: Mapping[tuple[Embedder, str], CrossResult], benchmark: str) -> Column[Embedder]:
    def cell(embedder: Embedder) -> str:
        result = found.get((embedder, benchmark))
        if result is None or result.mAP is None:
            return UNMEASURED
        return f"{percent(result.mAP)} / {percent(result.rank1)}{' *' if benchmark == embedder[0] else ''}"

    return Column(f"on {benchmark}", cell)


def _legend(cross_benchmark: CrossBenchmark) -> str:
    figures = "mAP / Rank-1 in %, measured here; * the benchmark that it was trained on."
    first = next((each for each in cross_benchmark.results if each.mAP is not None), None)
    if first is None:
        return figures
    return f"{figures} Protocol: {', '.join(f'{name} {getattr(first, name)}' for name in _PROTOCOL)}."


def _reasons(cross_benchmark: CrossBenchmark) -> list[str]:
    """Return why results are absent."""
    return [
        f"{run_name(each.method, each.variant)} of {each.trained_on}, seed {each.seed}, on {each.tested_on}: {reason}"
        for each in cross_benchmark.results
        if (reason := each.why_not or each.not_evaluated)
    ]
