"""Checks of a run on a gallery, before any work: it is there, what is asked of it is given, and the model is."""

from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from reid_pipeline.io.entries import entry
from reid_pipeline.io.gallery import GalleryDataset, GalleryEmbedderDataset, RunClustersDataset
from reid_pipeline.pipelines.gallery import ENROL, create_pipelines, require_given
from reid_pipeline.schema.errors import UserError


def check_gallery(pipeline: Pipeline, catalog: DataCatalog) -> None:
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
    if "gallery_embedder" in pipeline.inputs():
        entry(catalog, "gallery_embedder", GalleryEmbedderDataset).require()
    if parameters.get("clusters_of"):
        entry(catalog, "run_clusters", RunClustersDataset).file()
    if "identify" in names:
        _require_calibrated(dataset)


def _require_calibrated(dataset: GalleryDataset) -> None:
    gallery = dataset.load()
    if gallery is not None and gallery.calibration is None:
        name = gallery.folder.name
        raise UserError(
            f"Gallery {name} promises nothing yet: how often may somebody new be taken for a known one? kedro run"
            f" --pipeline=calibrate --params gallery={name},calibrate.false_alarm=0.1 sets its threshold, for one in"
            " ten. search ranks without one."
        )
