"""The cell that an imported model is written to, and what the import reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reid_pipeline.schema.addresses import Cell, component, variant_of
from reid_pipeline.schema.digests import digest_of_file
from reid_pipeline.schema.errors import UserError, nearest
from reid_pipeline.schema.importing import Import
from reid_pipeline.schema.layers import CHECKPOINT, IMPORT, IMPORTED, Layers
from reid_pipeline.schema.regular_files import kind_of

_SHORT = 12


def with_import(
    cells: dict[str, Cell], given: Mapping[str, Any], layers: Layers
) -> tuple[dict[str, Cell], dict[str, Any]]:
    """Return the cells with that of an imported model, and the parameter that says what is imported, if anything is."""
    imported = _import_of(given, layers)
    if imported is None:
        return cells, {}
    own = _imported_cell(cells[imported.method], imported, named="variant" in given)
    return {**cells, imported.method: own}, {IMPORT: imported.model_dump(mode="json")}


def _import_of(given: Mapping[str, Any], layers: Layers) -> Import | None:
    """Return what a run imports; None where no checkpoint is given, or no method of ours, which is refused later."""
    checkpoint, method = given.get(CHECKPOINT), given.get("method")
    if checkpoint is None or not isinstance(method, str) or method not in layers.models:
        return None
    digest = _digest(str(checkpoint))
    return Import(method=method, checkpoint=checkpoint, digest=digest, given=tuple(layers.given_backbone(method)))


def _imported_cell(cell: Cell, imported: Import, *, named: bool) -> Cell:
    """Return the cell of an imported model: named after its file unless the user named it, never that of a training."""
    label = component(f"{IMPORTED}-{Path(imported.checkpoint).name.split('.pt')[0]}", CHECKPOINT)
    variant = cell.variant if named or cell.variant.startswith(label) else variant_of(label, cell.variant)
    differs = {**cell.differs, CHECKPOINT: imported.digest[:_SHORT]}
    return cell.model_copy(update={"variant": variant, "differs": differs})


def _digest(checkpoint: str) -> str:
    if "\0" in checkpoint:
        raise UserError(f"Parameter {CHECKPOINT} is {checkpoint!r}, which no file is called. Give the file of a model.")
    try:
        file = Path(checkpoint).expanduser()
    except RuntimeError as error:
        raise UserError(
            f"Parameter {CHECKPOINT} is {checkpoint!r}, and the home folder that it begins with is not known. Write the"
            " path in full."
        ) from error
    try:
        if kind := kind_of(file.stat().st_mode):
            raise UserError(f"Parameter {CHECKPOINT} is {checkpoint!r}, which is {kind}. Give the file of a model.")
        return digest_of_file(file)
    except FileNotFoundError as error:
        beside = [other.name for other in file.parent.glob("*")] if file.parent.is_dir() else []
        raise UserError(
            f"Parameter {CHECKPOINT} is {checkpoint!r}, and there is no such file.{nearest(file.name, beside)} Give the"
            " file that a release offers."
        ) from error
    except OSError as error:
        raise UserError(f"Parameter {CHECKPOINT} is {checkpoint!r}, which cannot be read: {error.strerror}.") from error
