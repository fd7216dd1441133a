"""Every trained model on the test split of every benchmark. What it reads is found on disk."""

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


def render_cross_benchmark(cross_benchmark: CrossBenchmark) -> tuple[str, str, str]:
    """Render the matrix as HTML, Markdown and CSV."""
    from reid_pipeline.reporting.cross_benchmark import cross_csv, cross_markdown, render_cross_page

    return render_cross_page(cross_benchmark), cross_markdown(cross_benchmark), cross_csv(cross_benchmark)


def create_pipeline() -> Pipeline:
    """Return trained embedders and test splits -> matrix -> page, Markdown and CSV."""
    read = ["trained_embedders", "test_splits", "params:compute", "params:evaluation"]
    measured = node(evaluate_all, read, "cross_benchmark", name="evaluate_all")
    written = ["cross_benchmark_page", "cross_benchmark_markdown", "cross_benchmark_csv"]
    return pipeline([measured, node(render_cross_benchmark, "cross_benchmark", written, name="render_cross_benchmark")])
