"""Nodes of the changes pipeline."""

from reid_pipeline.schema.records import Metrics, Run, RunCard


def compare_with_earlier(
    earlier_metrics: Metrics, earlier_run_card: RunCard, present_metrics: Metrics, present_run_card: RunCard
) -> str:
    """Say what has changed since the earlier run."""
    from reid_pipeline.reporting.before_after import changes_markdown

    earlier, present = Run(earlier_metrics, earlier_run_card), Run(present_metrics, present_run_card)
    return changes_markdown(earlier, present)
