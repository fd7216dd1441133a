"""All methods of one benchmark beside each other. What it reads is found on disk."""

from collections.abc import Iterable

from kedro.pipeline import Pipeline, node, pipeline

from reid_pipeline.methods import method_names
from reid_pipeline.schema.addresses import ZERO_SHOT
from reid_pipeline.schema.comparison import Comparison
from reid_pipeline.schema.records import Run, RunCard


def finish(run_card: RunCard) -> int:
    """Mark a method as finished; its run card is written last."""
    return run_card.seed


def compare(
    run_results: list[Run], benchmark: str, *_finished: int
) -> tuple[Comparison, dict[str, dict[str, float]], list[dict[str, float]]]:
    """Set all methods of the benchmark beside each other, once those in `_finished` are; also for `dvc`."""
    from reid_pipeline.evaluation.paired_differences import differences_to_best
    from reid_pipeline.reporting.comparison import compare_methods
    from reid_pipeline.reporting.run_groups import method_cmc, method_metrics

    differences = differences_to_best(run_results)
    comparison = compare_methods(run_results, benchmark=benchmark, methods=methods_in_order(), differences=differences)
    return comparison, method_metrics(run_results), method_cmc(run_results)


def methods_in_order() -> list[str]:
    """Return the methods as tables list them: zero_shot, then the others."""
    return sorted(method_names(), key=lambda name: name != ZERO_SHOT)


def render_comparison(comparison: Comparison) -> tuple[str, str, str]:
    """Render the table as HTML, Markdown and CSV."""
    from reid_pipeline.reporting.comparison import comparison_csv, comparison_markdown, render_comparison_page

    return render_comparison_page(comparison), comparison_markdown(comparison), comparison_csv(comparison)


def create_pipeline(after: Iterable[str] = ()) -> Pipeline:
    """Return finished runs -> comparison -> page, Markdown and CSV; those of the methods `after` finish first."""
    finished = {method: f"{method}_finished" for method in after}
    read = ["run_results", "params:benchmark", *finished.values()]
    written = ["comparison_page", "comparison_markdown", "comparison_csv"]
    compared = [
        node(compare, read, ["comparison", "comparison_metrics", "comparison_cmc"], name="compare"),
        node(render_comparison, "comparison", written, name="render_comparison"),
    ]
    last = node(finish, "run_card", "finished", name="finish")
    ends = (pipeline([last], namespace=name, outputs={"finished": output}) for name, output in finished.items())
    return sum(ends, pipeline(compared))
