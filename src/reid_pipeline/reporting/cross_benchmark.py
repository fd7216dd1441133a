"""The matrix of every trained embedder on every benchmark's test split, as page, Markdown and CSV."""

from reid_pipeline.reporting.formats import METRICS, UNMEASURED, percent, run_name
from reid_pipeline.reporting.page import Column, Table, csv_text, rendered
from reid_pipeline.schema.comparison import CrossBenchmark, CrossResult

_TITLE = "Trained on one benchmark, tested on another"
_OPTIONS = ("flip_averaging", "camera_mean_subtraction", "query_expansion", "rerank", "tracklets")
_PROTOCOL = ("splits", "camera_filter", *_OPTIONS)
_CSV_HEADS = ("trained_on", "method", "variant", "seed", "tested_on", "test_set")
_CSV_NAMES = (*_CSV_HEADS, *METRICS, "num_queries", "num_valid_queries", "num_gallery", *_PROTOCOL, "why_not")


def cross_csv(cross_benchmark: CrossBenchmark) -> str:
    """Return one line for each embedder and test split: fractions, counts and protocol as in metrics.json."""
    return csv_text(_CSV_NAMES, ([getattr(each, name) for name in _CSV_NAMES] for each in cross_benchmark.results))


def cross_markdown(cross_benchmark: CrossBenchmark) -> str:
    """Return the matrix as Markdown; pipes are escaped."""
    reasons = [f"- {sentence}" for sentence in _reasons(cross_benchmark)]
    parts = [f"# {_TITLE}", "", _legend(cross_benchmark), "", _matrix(cross_benchmark).markdown(), ""]
    return "\n".join([*parts, *reasons, *([""] if reasons else [])])


def render_cross_page(cross_benchmark: CrossBenchmark) -> str:
    """Return the matrix as an HTML page that loads nothing."""
    shown = {"legend": _legend(cross_benchmark), "reasons": _reasons(cross_benchmark)}
    return rendered("cross_benchmark.html.j2", title=_TITLE, table=_matrix(cross_benchmark), **shown)


def _matrix(cross_benchmark: CrossBenchmark) -> Table:
    """Return a row for each embedder: benchmark that it was trained on, method and seed."""
    found = {(_embedder(each), each.tested_on): each for each in cross_benchmark.results}
    embedders = list(dict.fromkeys(embedder for embedder, _ in found))
    columns = [
        Column("Trained on", [benchmark for benchmark, _, _ in embedders], words=True),
        Column("Method", [name for _, name, _ in embedders], words=True),
        Column("Seed", [seed for _, _, seed in embedders], words=True),
        *(
            Column(f"on {name}", [_cell(found.get((embedder, name))) for embedder in embedders])
            for name in cross_benchmark.benchmarks
        ),
    ]
    return Table(_TITLE, columns)


def _embedder(result: CrossResult) -> tuple[str, str, str]:
    return result.trained_on, run_name(result.method, result.variant), str(result.seed)


def _cell(result: CrossResult | None) -> str:
    """Return mAP and Rank-1; those on the embedder's own benchmark are marked."""
    if result is None or result.mAP is None:
        return UNMEASURED
    return f"{percent(result.mAP)} / {percent(result.rank1)}{' *' if result.tested_on == result.trained_on else ''}"


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
