"""Tables, figures, rank lists and the report page; nothing here reads or writes a file.

The names below are imported when first used: importing this package imports neither plotly, jinja2 nor PIL.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reid_pipeline.reporting.changes import changes_markdown
    from reid_pipeline.reporting.comparison import (
        compare_methods,
        comparison_csv,
        comparison_markdown,
        comparison_text,
        render_comparison_page,
    )
    from reid_pipeline.reporting.comparison_records import method_cmc, method_metrics
    from reid_pipeline.reporting.cross_benchmark import cross_csv, cross_markdown, render_cross_page
    from reid_pipeline.reporting.dataset_page import dataset_text, render_dataset_page
    from reid_pipeline.reporting.figures import (
        agreement_curves,
        cluster_curves,
        cluster_size_bars,
        cmc_curves,
        curves_overview,
        loss_curves,
        seconds_bars,
        training_curves,
    )
    from reid_pipeline.reporting.leaderboard import (
        leaderboard_csv,
        leaderboard_markdown,
        leaderboard_text,
        make_leaderboard,
        render_leaderboard_page,
    )
    from reid_pipeline.reporting.rank_lists import RankedQuery, describe, pick_queries, rank_list_strip
    from reid_pipeline.reporting.report import ReportContent, render_report
    from reid_pipeline.reporting.tables import (
        ComparisonRow,
        comparison_rows,
        difference_notes,
        markdown_table,
        text_table,
    )
    from reid_pipeline.reporting.tuning_figures import study_figures
    from reid_pipeline.reporting.tuning_page import render_tuning_page, trials_csv, tuning_text

_HOMES = {
    "ComparisonRow": "tables",
    "RankedQuery": "rank_lists",
    "ReportContent": "report",
    "agreement_curves": "figures",
    "changes_markdown": "changes",
    "cluster_curves": "figures",
    "cluster_size_bars": "figures",
    "cmc_curves": "figures",
    "compare_methods": "comparison",
    "comparison_csv": "comparison",
    "comparison_markdown": "comparison",
    "comparison_rows": "tables",
    "comparison_text": "comparison",
    "cross_csv": "cross_benchmark",
    "cross_markdown": "cross_benchmark",
    "curves_overview": "figures",
    "dataset_text": "dataset_page",
    "describe": "rank_lists",
    "difference_notes": "tables",
    "leaderboard_csv": "leaderboard",
    "leaderboard_markdown": "leaderboard",
    "leaderboard_text": "leaderboard",
    "loss_curves": "figures",
    "make_leaderboard": "leaderboard",
    "markdown_table": "tables",
    "method_cmc": "comparison_records",
    "method_metrics": "comparison_records",
    "pick_queries": "rank_lists",
    "rank_list_strip": "rank_lists",
    "render_comparison_page": "comparison",
    "render_cross_page": "cross_benchmark",
    "render_dataset_page": "dataset_page",
    "render_leaderboard_page": "leaderboard",
    "render_report": "report",
    "render_tuning_page": "tuning_page",
    "seconds_bars": "figures",
    "study_figures": "tuning_figures",
    "text_table": "tables",
    "training_curves": "figures",
    "trials_csv": "tuning_page",
    "tuning_text": "tuning_page",
}

__all__ = [
    "ComparisonRow",
    "RankedQuery",
    "ReportContent",
    "agreement_curves",
    "changes_markdown",
    "cluster_curves",
    "cluster_size_bars",
    "cmc_curves",
    "compare_methods",
    "comparison_csv",
    "comparison_markdown",
    "comparison_rows",
    "comparison_text",
    "cross_csv",
    "cross_markdown",
    "curves_overview",
    "dataset_text",
    "describe",
    "difference_notes",
    "leaderboard_csv",
    "leaderboard_markdown",
    "leaderboard_text",
    "loss_curves",
    "make_leaderboard",
    "markdown_table",
    "method_cmc",
    "method_metrics",
    "pick_queries",
    "rank_list_strip",
    "render_comparison_page",
    "render_cross_page",
    "render_dataset_page",
    "render_leaderboard_page",
    "render_report",
    "render_tuning_page",
    "seconds_bars",
    "study_figures",
    "text_table",
    "training_curves",
    "trials_csv",
    "tuning_text",
]


def __getattr__(name: str) -> Any:
    """Import a public name from the module it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
