"""Wiring of the report pipeline."""

from collections.abc import Iterable

from kedro.pipeline import Pipeline, node, pipeline

from reid_pipeline.pipelines.report import nodes


def create_pipeline(after: Iterable[str] = ()) -> Pipeline:
    """Return finished runs -> comparison -> page, Markdown and CSV.

    Args:
        after: methods of the same run that must have finished first: results are found on disk, which does
            not tell Kedro what makes them.
    """
    methods = list(after)
    finished = [f"{method}_finished" for method in methods]
    measured = ["comparison", "comparison_metrics", "comparison_cmc"]
    written = ["comparison_page", "comparison_markdown", "comparison_csv"]
    compared = pipeline(
        [
            node(nodes.compare, ["run_results", "params:benchmark", *finished], measured, name="compare"),
            node(nodes.render_comparison, "comparison", written, name="render_comparison"),
        ]
    )
    return sum((_finish(method) for method in methods), compared)


def _finish(method: str) -> Pipeline:
    """Return the node that says that a method has finished; it is in the method's namespace, as its files."""
    last = node(nodes.finish, "run_card", "finished", name="finish")
    return pipeline([last], namespace=method, outputs={"finished": f"{method}_finished"})
