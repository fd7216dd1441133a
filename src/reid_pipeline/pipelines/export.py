"""A trained model as ONNX or `.pt2`, with the proof that the file is the model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kedro.pipeline import Pipeline, node, pipeline

from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.export_parameters import ExportParameters
from reid_pipeline.schema.listed_images import ListedImages
from reid_pipeline.schema.parameters import ComputeParameters, EvaluationParameters


def export_model(
    parameters: dict[str, Any],
    named_embedder: Any,
    tested_collection: Callable[[str | None], Any],
    given_images: Any,
    export: ExportParameters,
    evaluation: EvaluationParameters,
    compute: ComputeParameters,
) -> tuple[Any, str]:
    """Export the model that is named, and prove each file on test images; return it, and the proof in a few lines."""
    from reid_pipeline.engine.runtime import resolve_runtime
    from reid_pipeline.evaluation.loaded_embedder import LoadedEmbedder
    from reid_pipeline.export.card_page import card_text
    from reid_pipeline.export.exporting import Export

    given = {name: parameters[name] for name in ("format", "signature") if parameters.get(name) is not None}
    runtime = resolve_runtime(compute.model_copy(update={"device": "cpu", "precision": "float32"}))
    origin = LoadedEmbedder(named_embedder, runtime).origin
    name = parameters.get("name") or _name(origin)
    made = Export(named_embedder, name, origin, export.model_copy(update=given), runtime.threads)
    made.require_possible()
    exported = made.run(_images(origin, tested_collection, given_images, export, evaluation))
    return exported, card_text(exported.card)


def _name(origin: Any) -> str:
    """Return the cell's address, or the file's name of a model that is in none."""
    if origin.benchmark is None or origin.method is None:
        return Path(origin.file).stem or "model"
    variant = f"+{origin.variant}" if origin.variant else ""
    return f"{origin.benchmark}/{origin.method}{variant}/seed_{origin.seed}"


def _images(
    origin: Any,
    tested_collection: Callable[[str | None], Any],
    given_images: Any,
    export: ExportParameters,
    evaluation: EvaluationParameters,
) -> Any:
    """Return what the export is proved on: the images that are named, the model's own test split, or the run's."""
    from reid_pipeline.export.proof_images import images_of_list, images_of_split

    options = {"calibration": export.calibration_images, "most": export.test_images}
    if isinstance(given_images, ListedImages):
        return images_of_list(given_images, **options)
    if given_images is not None:
        raise UserError("Parameter images names vectors, and an export is proved on images: give a folder with some.")
    found = origin.benchmark and tested_collection(origin.benchmark)
    split = found or tested_collection(None)
    if split is None:
        of_model = f" {origin.benchmark}" if origin.benchmark else ""
        raise UserError(
            f"There is nothing to prove the export on: no split table of the model's collection{of_model}, or not its"
            " images. Run ingestion first, kedro run --pipeline=ingestion with the --env that it was trained in; or"
            " give --params images=<a folder with images>, whose vectors are then compared."
        )
    return images_of_split(split, evaluation, own=split.benchmark == origin.benchmark, **options)


def create_pipeline() -> Pipeline:
    """Return model and test images -> exported files with their card."""
    read = ["parameters", "named_embedder", "tested_collection", "given_images"]
    blocks = ["params:export", "params:evaluation", "params:compute"]
    return pipeline([node(export_model, [*read, *blocks], ["exported_model", "export_notes"], name="export_model")])
