"""What the catalog needs of a run that embeds: the model's file, the images' place, and what its output is called."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reid_pipeline.schema.addresses import component
from reid_pipeline.schema.layers import IMAGES, MODEL, OUTPUT_NAME
from reid_pipeline.schema.model_files import EMBEDDER, embedder_file
from reid_pipeline.schema.user_paths import user_path


def resolvers(given: Mapping[str, Any], project: Path) -> dict[str, Callable[[], str | None]]:
    """Return the catalog's resolvers by name; `given` are the run's parameters, paths begin at the `project`."""
    return {
        "model_file": lambda: None if given.get(MODEL) is None else str(embedder_file(given[MODEL], project, MODEL)),
        "images_place": lambda: None if given.get(IMAGES) is None else str(_place(given[IMAGES], project)),
        "embeddings_name": lambda: output_name(given),
        "export_name": lambda: export_name(given),
    }


def output_name(given: Mapping[str, Any]) -> str:
    """Return what the embeddings are called: `name`, else after the images and the model: `zoo-market1501-pcl-seed_0`.

    Raises:
        UserError: it cannot name a file.
    """
    if given.get(OUTPUT_NAME) is not None:
        return component(given[OUTPUT_NAME], OUTPUT_NAME)
    images, model = (given.get(name) for name in (IMAGES, MODEL))
    if images is None or model is None:
        return "unnamed"  # the nodes refuse such a run
    stem = Path(images).stem if Path(images).suffix else Path(images).name
    return component(f"{stem}-{_of_model(model)}".strip("-. "), OUTPUT_NAME)


def export_name(given: Mapping[str, Any]) -> str:
    """Return what an export is called: `name`, else after the model, and after what is not the usual way.

    `market1501-pcl-seed_0`; with signature=boxmot `market1501-pcl-seed_0-boxmot`.

    Raises:
        UserError: it cannot name a folder.
    """
    if given.get(OUTPUT_NAME) is not None:
        return component(given[OUTPUT_NAME], OUTPUT_NAME)
    model = given.get(MODEL)
    if model is None:
        return "unnamed"  # the node refuses such a run
    block = given.get("export")
    others = block if isinstance(block, Mapping) else {}
    usual = {"signature": "pixels", "format": "onnx"}
    found = [given.get(each) or others.get(each) or usual[each] for each in usual]
    unusual = [str(each) for each, word in zip(found, usual.values(), strict=True) if each != word]
    return component("-".join([_of_model(model), *unusual]).strip("-. "), OUTPUT_NAME)


def _of_model(model: str) -> str:
    """Return the cell of an address, folder or embedder.safetensors; of another file its folders and its own name."""
    path = Path(model)
    named = path.parent if path.name == EMBEDDER else path.parent / path.name.removesuffix(".safetensors")
    parts = [part for part in named.parts if part not in {named.anchor, ".."}]
    return "-".join(parts[-3:]) or path.stem or "model"


def _place(given: str, project: Path) -> Path:
    return (project / user_path(given, f"Parameter {IMAGES} is")).absolute()
