"""The matrix of every trained embedder on every benchmark's test split, as page, Markdown and CSV."""

import csv
import io
from collections.abc import Sequence

from reid_pipeline.reporting.page import rendered
from reid_pipeline.reporting.tables import METRICS, UNMEASURED, percent
from reid_pipeline.reporting.words import run_name
from reid_pipeline.schema.comparison import CrossBenchmark, CrossResult

_TITLE = "Trained on one benchmark, tested on another"
_PROTOCOL = ("splits", "camera_filter", "flip_averaging", "camera_mean_subtraction", "query_expansion", "rerank")
_HEADS = ("Trained on", "Method", "Seed")
_CSV_HEADS = ("trained_on", "method", "variant", "seed", "tested_on", "test_set")
_COUNTS = ("num_queries", "num_valid_queries", "num_gallery")


def cross_csv(cross_benchmark: CrossBenchmark) -> str:
    """Return one line for each embedder and test split: fractions, counts and protocol as in metrics.json."""
    names = [*_CSV_HEADS, *METRICS, *_COUNTS, *_PROTOCOL, "why_not"]
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([getattr(each, name) for name in names] for each in cross_benchmark.results)
    return written.getvalue()


def cross_markdown(cross_benchmark: CrossBenchmark) -> str:
    """Return the matrix as Markdown; pipes are escaped."""
    header, *rows = _grid(cross_benchmark)
    rule = "|".join([" --- "] * len(_HEADS) + [" ---: "] * (len(header) - len(_HEADS)))
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in (header, *rows)]
    parts = [f"# {_TITLE}", "", _legend(cross_benchmark), "", lines[0], f"|{rule}|", *lines[1:], ""]
    reasons = [f"- {sentence}" for sentence in _reasons(cross_benchmark)]
    return "\n".join([*parts, *reasons, *([""] if reasons else [])])


def render_cross_page(cross_benchmark: CrossBenchmark) -> str:
    """Return the matrix as an HTML page that loads nothing."""
    header, *rows = _grid(cross_benchmark)
    return rendered(
        "cross_benchmark.html.j2",
        title=_TITLE,
        legend=_legend(cross_benchmark),
        header=header,
        rows=rows,
        reasons=_reasons(cross_benchmark),
    )


def _grid(cross_benchmark: CrossBenchmark) -> Sequence[Sequence[str]]:
    """Return the header, and a row of text for each embedder; its own benchmark is marked."""
    found = {(_embedder(each), each.tested_on): each for each in cross_benchmark.results}
    rows = []
    for embedder in dict.fromkeys(key for key, _ in found):
        cells = [_cell(found.get((embedder, name)), embedder[0]) for name in cross_benchmark.benchmarks]
        rows.append([*embedder, *cells])
    return [[*_HEADS, *(f"on {name}" for name in cross_benchmark.benchmarks)], *rows]


def _embedder(result: CrossResult) -> tuple[str, str, str]:
    return result.trained_on, run_name(result.method, result.variant), str(result.seed)


def _cell(result: CrossResult | None, trained_on: str) -> str:
    if result is None or result.mAP is None:
        return UNMEASURED
    own = " *" if result.tested_on == trained_on else ""
    return f"{percent(result.mAP)} / {percent(result.rank1)}{own}"


def _legend(cross_benchmark: CrossBenchmark) -> str:
    said = "mAP / Rank-1 in %, measured here; * the benchmark that it was trained on."
    first = next((each for each in cross_benchmark.results if each.mAP is not None), None)
    if first is None:
        return said
    return f"{said} Protocol: {', '.join(f'{name} {getattr(first, name)}' for name in _PROTOCOL)}."


def _reasons(cross_benchmark: CrossBenchmark) -> list[str]:
    """Return why results are absent."""
    return [
        f"{run_name(each.method, each.variant)} of {each.trained_on}, seed {each.seed}, on {each.tested_on}:"
        f" {each.why_not or each.not_evaluated}"
        for each in cross_benchmark.results
        if each.why_not or each.not_evaluated
    ]
