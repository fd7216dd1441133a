"""The index of all pages anew, after pages were removed or came by other ways than a run. What it reads is on disk."""

from kedro.pipeline import Pipeline, node, pipeline

from reid_pipeline.reporting.index_page import ListedPage


def list_pages(all_pages: list[ListedPage]) -> str:
    """Render the index."""
    from reid_pipeline.reporting.index_page import render_index

    return render_index(all_pages)


def create_pipeline() -> Pipeline:
    """Return pages of all benchmarks and galleries -> their index."""
    return pipeline([node(list_pages, "all_pages", "index_page", name="list_pages")])
