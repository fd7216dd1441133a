"""Nodes of the changes pipeline."""

from typing import Any

Record = dict[str, Any]


def compare_with_earlier(
    earlier_metrics: Record, earlier_run_card: Record, present_metrics: Record, present_run_card: Record
) -> str:
    """Say what has changed since the earlier run."""
    from reid_pipeline.reporting import changes_markdown

    return changes_markdown(
        {"metrics": earlier_metrics, "run_card": earlier_run_card},
        {"metrics": present_metrics, "run_card": present_run_card},
    )
