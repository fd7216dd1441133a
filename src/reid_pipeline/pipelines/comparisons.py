"""Pipelines that compare finished runs: of a benchmark, of all, on each other's test splits, with an earlier version.

Each stands alone: what it reads is found on disk, so that Kedro does not know what makes it.
"""

from collections.abc import Iterable
from typing import Any

from kedro.pipeline import Pipeline, node, pipeline

from reid_pipeline.methods import method_names
from reid_pipeline.schema.addresses import ZERO_SHOT
from reid_pipeline.schema.comparison import Comparison, CrossBenchmark, Leaderboard
from reid_pipeline.schema.parameters import ComputeParameters, EvaluationParameters
from reid_pipeline.schema.records import Metrics, Run, RunCard


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
    comparison = compare_methods(run_results, benchmark=benchmark, methods=_methods(), differences=differences)
    return comparison, method_metrics(run_results), method_cmc(run_results)


def _methods() -> list[str]:
    """Return the methods as tables list them: zero_shot, then the others."""
    return sorted(method_names(), key=lambda name: name != ZERO_SHOT)


def render_comparison(comparison: Comparison) -> tuple[str, str, str]:
    """Render the table as HTML, Markdown and CSV."""
    from reid_pipeline.reporting.comparison import comparison_csv, comparison_markdown, render_comparison_page

    return render_comparison_page(comparison), comparison_markdown(comparison), comparison_csv(comparison)


def gather(all_results: dict[str, list[Run]]) -> Leaderboard:
    """Compare the methods of every benchmark, with the differences between them."""
    from reid_pipeline.evaluation.paired_differences import differences_to_best
    from reid_pipeline.reporting.leaderboard import make_leaderboard

    differences = {name: differences_to_best(runs) for name, runs in all_results.items()}
    return make_leaderboard(all_results, methods=_methods(), differences=differences)


def render_leaderboard(leaderboard: Leaderboard) -> tuple[str, str, str]:
    """Render the leaderboard as HTML, Markdown and CSV."""
    from reid_pipeline.reporting.comparison import comparison_csv
    from reid_pipeline.reporting.leaderboard import leaderboard_markdown, render_leaderboard_page

    page = render_leaderboard_page(leaderboard)
    return page, leaderboard_markdown(leaderboard), comparison_csv(*leaderboard.benchmarks)


def evaluate_all(
    trained_embedders: list[Any], test_splits: list[Any], compute: ComputeParameters, evaluation: EvaluationParameters
) -> CrossBenchmark:
    """Evaluate every embedder on every test split."""
    from reid_pipeline.engine.runtime import resolve_runtime
    from reid_pipeline.evaluation.cross_benchmark import evaluate_everywhere

    return evaluate_everywhere(trained_embedders, test_splits, resolve_runtime(compute), evaluation)


def render_cross_benchmark(cross_benchmark: CrossBenchmark) -> tuple[str, str, str]:
    """Render the matrix as HTML, Markdown and CSV."""
    from reid_pipeline.reporting.cross_benchmark import cross_csv, cross_markdown, render_cross_page

    return render_cross_page(cross_benchmark), cross_markdown(cross_benchmark), cross_csv(cross_benchmark)


def compare_with_earlier(
    earlier_metrics: Metrics, earlier_run_card: RunCard, present_metrics: Metrics, present_run_card: RunCard
) -> str:
    """Return what has changed since the earlier run, as Markdown."""
    from reid_pipeline.reporting.before_after import changes_markdown

    return changes_markdown(Run(earlier_metrics, earlier_run_card), Run(present_metrics, present_run_card))


def _files(name: str) -> list[str]:
    return [f"{name}_page", f"{name}_markdown", f"{name}_csv"]


def create_report(after: Iterable[str] = ()) -> Pipeline:
    """Return finished runs -> comparison -> page, Markdown and CSV; those of the methods `after` finish first."""
    finished = {method: f"{method}_finished" for method in after}
    read = ["run_results", "params:benchmark", *finished.values()]
    compared = [
        node(compare, read, ["comparison", "comparison_metrics", "comparison_cmc"], name="compare"),
        node(render_comparison, "comparison", _files("comparison"), name="render_comparison"),
    ]
    last = node(finish, "run_card", "finished", name="finish")
    ends = (pipeline([last], namespace=name, outputs={"finished": output}) for name, output in finished.items())
    return sum(ends, pipeline(compared))


def create_leaderboard() -> Pipeline:
    """Return finished runs of all benchmarks -> leaderboard -> page, Markdown and CSV."""
    gathered = node(gather, "all_results", "leaderboard", name="gather_leaderboard")
    rendered = node(render_leaderboard, "leaderboard", _files("leaderboard"), name="render_leaderboard")
    return pipeline([gathered, rendered])


def create_cross_benchmark() -> Pipeline:
    """Return trained embedders and test splits -> matrix -> page, Markdown and CSV."""
    read = ["trained_embedders", "test_splits", "params:compute", "params:evaluation"]
    measured = node(evaluate_all, read, "cross_benchmark", name="evaluate_all")
    written = _files("cross_benchmark")
    return pipeline([measured, node(render_cross_benchmark, "cross_benchmark", written, name="render_cross_benchmark")])


def create_changes() -> Pipeline:
    """Return two runs of a method -> what has changed; `--load-versions` selects the earlier, by default the last."""
    read = ["earlier_metrics", "earlier_run_card", "present_metrics", "present_run_card"]
    return pipeline([node(compare_with_earlier, read, "changes", name="compare_with_earlier")])
