"""Wiring of the leaderboard pipeline."""

from kedro.pipeline import Pipeline, node, pipeline

from reid_pipeline.pipelines.leaderboard import nodes


def create_pipeline() -> Pipeline:
    """Return finished runs of all benchmarks -> leaderboard -> page, Markdown and CSV.

    It stands alone: what it reads is found on disk, which does not tell Kedro what makes it.
    """
    written = ["leaderboard_page", "leaderboard_markdown", "leaderboard_csv"]
    return pipeline(
        [
            node(nodes.gather, "all_results", "leaderboard", name="gather_leaderboard"),
            node(nodes.render, "leaderboard", written, name="render_leaderboard"),
        ]
    )
