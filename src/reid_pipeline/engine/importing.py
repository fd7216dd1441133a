"""A published model as the embedder of a cell: what it is run with, and an origin that says it was not trained here."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from reid_pipeline.engine.checkpoint import digest_of_tensors
from reid_pipeline.engine.stage import Method
from reid_pipeline.engine.training import population_of
from reid_pipeline.models.embedder import Embedder
from reid_pipeline.models.importers import PublishedModel, read_published
from reid_pipeline.models.importers.embedder import published_embedder
from reid_pipeline.models.importers.settings import PublishedSettings, published_settings
from reid_pipeline.schema.importing import Import
from reid_pipeline.schema.origin import LABELS_OF, PUBLISHED, Origin
from reid_pipeline.schema.population import Population
from reid_pipeline.schema.sample import whole_and_identities
from reid_pipeline.splits import white_value

_UNTRAINED = "The necks of %s have never seen a batch: it is of a first stage, which trains prompts alone."
_ANOTHER = (
    "%s has a classifier of %d identities, and the training images of %s show %d: it was trained on others. Its labels"
    " count as those of another collection, and no published figure stands beside it; give the --env of its benchmark."
)
_log = logging.getLogger(__name__)


def published_model(
    imported: Import, parameters: Any, population: Population | None = None
) -> tuple[PublishedModel, PublishedSettings]:
    """Read what a run imports, and decide what it is run with; `parameters` are the method's, in force.

    Without the `population` of the training images, which is known late, side information is left out.

    Raises:
        UserError: the file is no model of this method, or leaves open what it is run with.
    """
    model = read_published(imported.checkpoint, method=imported.method, backbone=parameters.backbone.name)
    return model, published_settings(model, parameters.backbone, imported.given, population)


def imported_embedder(
    method: Method, imported: Import, parameters: Any, split_table: pd.DataFrame, origin: Origin
) -> Embedder:
    """Return the embedder of a published model.

    `origin` is that of the run; the embedder's has the parameters that the model is run with, and the file's digest.
    """
    population = population_of(split_table)
    model, settings = published_model(imported, parameters, population)
    _log.info("%s", described(model, settings))
    another = _of_another(model, origin, population)
    if another:
        _log.warning(
            _ANOTHER, Path(imported.checkpoint).name, model.identities, origin.benchmark, population.identities
        )
    if model.untrained_necks:
        _log.warning(_UNTRAINED, Path(imported.checkpoint).name)
    embedder = published_embedder(model, settings)
    embedder.white_value = white_value(split_table)
    own = parameters.model_copy(update={"backbone": settings.backbone})
    embedder.origin = origin.replace(
        parameters={method.name: own.model_dump(mode="json")},
        made_from={PUBLISHED: model.digest, **({f"{LABELS_OF}another": model.digest} if another else {})},
        label_use="source" if another else method.label_use,
        digest=digest_of_tensors(embedder.state_dict()),
    )
    return embedder


def _of_another(model: PublishedModel, origin: Origin, population: Population) -> bool:
    """Return whether a classifier shows that it was trained on another benchmark; of a sample that cannot be seen."""
    is_sample = whole_and_identities(origin.benchmark or "")[1] is not None
    return model.identities is not None and not is_sample and model.identities != population.identities


def described(model: PublishedModel, settings: PublishedSettings) -> str:
    """Return what was read off a published model, and what was decided, in one line."""
    backbone = settings.backbone
    known = [f"{count} {what}" for count, what in ((settings.num_cameras, "cameras"), (settings.num_views, "views"))]
    side = " and ".join(each for each in known if not each.startswith("0 ")) or "none"
    rows, columns = backbone.image_size
    stride = "" if model.is_resnet else f", stride {backbone.patch_stride or 'of the patch'}"
    return (
        f"{Path(model.file).name}: {model.family.release}, {model.architecture}, images of {rows} x {columns}{stride},"
        f" side information: {side}; pixels less {backbone.pixel_mean} by {backbone.pixel_std}, test images resized"
        f" {backbone.evaluation_resize}. For others give backbone.<name>."
    )
