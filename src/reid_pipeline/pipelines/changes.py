"""A run beside an earlier version of itself."""

from kedro.pipeline import Pipeline, node, pipeline

from reid_pipeline.schema.records import Metrics, Run, RunCard


def compare_with_earlier(
    earlier_metrics: Metrics, earlier_run_card: RunCard, present_metrics: Metrics, present_run_card: RunCard
) -> str:
    """Return what has changed since the earlier run, as Markdown."""
    from reid_pipeline.reporting.before_after import changes_markdown

    return changes_markdown(Run(earlier_metrics, earlier_run_card), Run(present_metrics, present_run_card))


def create_pipeline() -> Pipeline:
    """Return two runs of a method -> what has changed; `--load-versions` selects the earlier, by default the last."""
    read = ["earlier_metrics", "earlier_run_card", "present_metrics", "present_run_card"]
    return pipeline([node(compare_with_earlier, read, "changes", name="compare_with_earlier")])
