"""All benchmarks and methods that have been run, in one place. What it reads is found on disk."""

from kedro.pipeline import Pipeline, node, pipeline

from reid_pipeline.pipelines.report import methods_in_order
from reid_pipeline.schema.comparison import Leaderboard
from reid_pipeline.schema.records import Run


def gather(all_results: dict[str, list[Run]]) -> Leaderboard:
    """Compare the methods of every benchmark, with the differences between them."""
    from reid_pipeline.evaluation.paired_differences import differences_to_best
    from reid_pipeline.reporting.leaderboard import make_leaderboard

    differences = {name: differences_to_best(runs) for name, runs in all_results.items()}
    return make_leaderboard(all_results, methods=methods_in_order(), differences=differences)


def render_leaderboard(leaderboard: Leaderboard) -> tuple[str, str, str]:
    """Render the leaderboard as HTML, Markdown and CSV."""
    from reid_pipeline.reporting.comparison import comparison_csv
    from reid_pipeline.reporting.leaderboard import leaderboard_markdown, render_leaderboard_page

    page = render_leaderboard_page(leaderboard)
    return page, leaderboard_markdown(leaderboard), comparison_csv(*leaderboard.benchmarks)


def create_pipeline() -> Pipeline:
    """Return finished runs of all benchmarks -> leaderboard -> page, Markdown and CSV."""
    written = ["leaderboard_page", "leaderboard_markdown", "leaderboard_csv"]
    gathered = node(gather, "all_results", "leaderboard", name="gather_leaderboard")
    rendered = node(render_leaderboard, "leaderboard", written, name="render_leaderboard")
    return pipeline([gathered, rendered])
