"""Wiring of the cross-benchmark pipeline."""

from kedro.pipeline import Pipeline, node, pipeline

from reid_pipeline.pipelines.cross_benchmark import nodes


def create_pipeline() -> Pipeline:
    """Return what is on disk -> matrix -> page, Markdown and CSV.

    It stands alone: what it reads is found on disk, which does not tell Kedro what makes it.
    """
    read = ["trained_embedders", "test_splits", "params:compute", "params:evaluation"]
    written = ["cross_benchmark_page", "cross_benchmark_markdown", "cross_benchmark_csv"]
    return pipeline(
        [
            node(nodes.evaluate_all, read, "cross_benchmark", name="evaluate_all"),
            node(nodes.render, "cross_benchmark", written, name="render_cross_benchmark"),
        ]
    )
