"""Nodes of the report pipeline."""

from typing import Any

from reid_pipeline.methods import method_names
from reid_pipeline.pipelines.floor import FLOOR

Record = dict[str, Any]


def finish(run_card: Record) -> int:
    """Say of a method that it has finished; its run card is written last."""
    seed: int = run_card["seed"]
    return seed


def compare(
    run_results: list[Record], benchmark: str, *_finished: int
) -> tuple[Record, Record, list[Record]]:
    """Set all methods of the benchmark beside each other, once those in `_finished` are; also for `dvc`."""
    from reid_pipeline.engine.paired_differences import differences_to_best
    from reid_pipeline.reporting import compare_methods, method_cmc, method_metrics

    differences = differences_to_best(run_results)
    comparison = compare_methods(
        run_results, benchmark=benchmark, methods=methods_in_order(), differences=differences
    )
    return comparison, method_metrics(run_results), method_cmc(run_results)


def methods_in_order() -> list[str]:
    """Return the methods as tables list them: the floor, then the others."""
    return [FLOOR, *(name for name in method_names() if name != FLOOR)]


def render_comparison(comparison: Record) -> tuple[str, str, str]:
    """Render the table as HTML, Markdown and CSV."""
    from reid_pipeline.reporting import comparison_csv, comparison_markdown, render_comparison_page

    return render_comparison_page(comparison), comparison_markdown(comparison), comparison_csv(comparison)
