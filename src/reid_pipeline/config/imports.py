"""The cell that an imported model is written to, and what the import reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reid_pipeline.schema.addresses import Cell, component, variant_of
from reid_pipeline.schema.digests import digest_of_file
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.importing import Import
from reid_pipeline.schema.layers import CHECKPOINT, IMPORT, IMPORTED, Layers
from reid_pipeline.schema.user_paths import user_file

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
    what = f"Parameter {CHECKPOINT} is"
    file = user_file(checkpoint, what, "Give the file that a release offers.")
    try:
        return digest_of_file(file)
    except OSError as error:
        raise UserError(f"{what} {checkpoint!r}, which cannot be read: {error.strerror}.") from error
