"""The matrix of every trained embedder on every benchmark's test split, as page, Markdown and CSV."""

import csv
import io
from collections.abc import Sequence

from reid_pipeline.reporting.page import rendered
from reid_pipeline.reporting.records import Record, measured
from reid_pipeline.reporting.tables import METRICS, UNMEASURED, percent

_TITLE = "Trained on one benchmark, tested on another"
_PROTOCOL = (
    "splits",
    "camera_filter",
    "flip_averaging",
    "camera_mean_subtraction",
    "query_expansion",
    "rerank",
)
_HEADS = ("trained_on", "method", "seed")


def cross_csv(cross_benchmark: Record) -> str:
    """Return one line for each embedder and test split: fractions, counts and protocol as in metrics.json.

    Args:
        cross_benchmark: as `engine.cross_benchmark.evaluate_everywhere` returns it, like the other two.
    """
    counts = ("num_queries", "num_valid_queries", "num_gallery")
    names = [*_HEADS, "tested_on", "test_set", *METRICS, *counts, *_PROTOCOL]
    written = io.StringIO()
    writer = csv.DictWriter(written, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(cross_benchmark["results"])
    return written.getvalue()


def cross_markdown(cross_benchmark: Record) -> str:
    """Return the matrix as Markdown; pipes are escaped."""
    header, *rows = _grid(cross_benchmark)
    rule = "|".join([" --- "] * len(_HEADS) + [" ---: "] * (len(header) - len(_HEADS)))
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in (header, *rows)]
    return "\n".join([f"# {_TITLE}", "", _legend(cross_benchmark), "", lines[0], f"|{rule}|", *lines[1:], ""])


def render_cross_page(cross_benchmark: Record) -> str:
    """Return the matrix as an HTML page that loads nothing."""
    header, *rows = _grid(cross_benchmark)
    return rendered(
        "cross_benchmark.html.j2", title=_TITLE, legend=_legend(cross_benchmark), header=header, rows=rows
    )


def _grid(cross_benchmark: Record) -> Sequence[Sequence[str]]:
    """Return the header, and a row of text for each embedder; its own benchmark is marked."""
    found = {
        (*(each[name] for name in _HEADS), each["tested_on"]): each for each in cross_benchmark["results"]
    }
    rows = []
    for embedder in dict.fromkeys(key[:-1] for key in found):
        cells = []
        for benchmark in cross_benchmark["benchmarks"]:
            result = found.get((*embedder, benchmark), {})
            shown = [percent(measured(result, name)) for name in ("mAP", "rank1")]
            own = " *" if benchmark == embedder[0] else ""
            cells.append(f"{' / '.join(shown)}{own}" if shown[0] != UNMEASURED else UNMEASURED)
        rows.append([*map(str, embedder), *cells])
    return [
        ["Trained on", "Method", "Seed", *(f"on {name}" for name in cross_benchmark["benchmarks"])],
        *rows,
    ]


def _legend(cross_benchmark: Record) -> str:
    first = cross_benchmark["results"][0]
    options = ", ".join(f"{name} {first[name]}" for name in _PROTOCOL if name in first)
    return f"mAP / Rank-1 in %, measured here; * the benchmark that it was trained on. Protocol: {options}."
