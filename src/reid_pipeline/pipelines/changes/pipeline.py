"""Wiring of the changes pipeline."""

from kedro.pipeline import Pipeline, node, pipeline

from reid_pipeline.pipelines.changes import nodes


def create_pipeline() -> Pipeline:
    """Return two runs of a method, one of them an earlier version -> what has changed.

    Without `--load-versions` the earlier run is the last one recorded.
    """
    read = ["earlier_metrics", "earlier_run_card", "present_metrics", "present_run_card"]
    return pipeline([node(nodes.compare_with_earlier, read, "changes", name="compare_with_earlier")])
