"""Checks of a run on a gallery, before any work: it is there, what is asked of it is given, and the model is."""

from pathlib import Path

from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from reid_pipeline.io.entries import entry
from reid_pipeline.io.gallery import GalleryDataset
from reid_pipeline.pipelines.gallery import ENROL, create_pipelines, require_given


def check_gallery(pipeline: Pipeline, catalog: DataCatalog, project: Path) -> None:
    """Refuse a run on a gallery that cannot succeed."""
    if "gallery" not in pipeline.inputs():
        return
    dataset = entry(catalog, "gallery", GalleryDataset)
    names = {node.name for node in pipeline.nodes}
    asked = sorted(names & create_pipelines().keys())
    dataset.require(may_be_new=ENROL in names)
    parameters = catalog.load("parameters")
    for name in asked:
        require_given(name, parameters)
    if given := parameters.get("model"):
        from reid_pipeline.schema.model_files import embedder_file

        embedder_file(given, project)
