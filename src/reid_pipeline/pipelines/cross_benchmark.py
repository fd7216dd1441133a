"""Every trained embedder on every test split that is there."""

from typing import Any

from kedro.pipeline import Pipeline, node, pipeline

from reid_pipeline.schema.comparison import CrossBenchmark
from reid_pipeline.schema.parameters import ComputeParameters, EvaluationParameters


def evaluate_all(
    trained_embedders: list[Any], test_splits: list[Any], compute: ComputeParameters, evaluation: EvaluationParameters
) -> CrossBenchmark:
    """Evaluate every embedder on every test split."""
    from reid_pipeline.engine.runtime import resolve_runtime
    from reid_pipeline.evaluation.cross_benchmark import evaluate_everywhere

    return evaluate_everywhere(trained_embedders, test_splits, resolve_runtime(compute), evaluation)


def render(cross_benchmark: CrossBenchmark) -> tuple[str, str, str]:
    """Render the matrix as HTML, Markdown and CSV."""
    from reid_pipeline.reporting.cross_benchmark import cross_csv, cross_markdown, render_cross_page

    return render_cross_page(cross_benchmark), cross_markdown(cross_benchmark), cross_csv(cross_benchmark)


def create_pipeline() -> Pipeline:
    """Return what is on disk -> matrix -> page, Markdown and CSV.

    It stands alone: what it reads is found on disk, so that Kedro does not know what makes it.
    """
    read = ["trained_embedders", "test_splits", "params:compute", "params:evaluation"]
    written = ["cross_benchmark_page", "cross_benchmark_markdown", "cross_benchmark_csv"]
    return pipeline(
        [
            node(evaluate_all, read, "cross_benchmark", name="evaluate_all"),
            node(render, "cross_benchmark", written, name="render_cross_benchmark"),
        ]
    )
