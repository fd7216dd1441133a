"""Checks of the cells that a run will write: zero_shot beside each method, and nobody else's results."""

import json
import logging
from pathlib import Path
from typing import Any

from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from pydantic import BaseModel

from reid_pipeline.methods import find_method, method_names
from reid_pipeline.schema.addresses import ZERO_SHOT, Cell, Cells, require_same_cell
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.layers import CELLS

_SAME = ("name", "pretrained")
_DECIDE = ("evaluation", "splits", "ingestion")

_log = logging.getLogger(__name__)


def check_cells(pipeline: Pipeline, catalog: DataCatalog) -> None:
    """Refuse a method beside zero_shot of another backbone, and a cell that other parameters have filled.

    Raises:
        UserError: names both sides.
    """
    if f"params:{CELLS}" not in pipeline.inputs():
        return
    parameters = catalog.load("parameters")
    cells = Cells.model_validate(parameters[CELLS])
    written = pipeline.all_outputs()
    for method in method_names():
        if f"{method}.report" in written and method != ZERO_SHOT:
            _require_same_backbone(method, parameters)
            if cells[ZERO_SHOT].variant or cells[method].variant:
                _log.info("%s is compared with %s", cells[method].folder, cells[ZERO_SHOT].folder)
        if f"{method}.run_card" in written and cells[method].variant and _is_guarded(parameters):
            file = Path(str(catalog.get(f"{method}.run_card")._filepath))  # type: ignore[union-attr]
            _require_unused(cells[method], file, parameters)


def _require_same_backbone(method: str, parameters: dict[str, Any]) -> None:
    ours, theirs = (_plain(parameters[name], name).get("backbone") for name in (method, ZERO_SHOT))
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        return
    if any(ours.get(name) != theirs.get(name) for name in _SAME):
        given = ",".join(f"backbone.{name}={_text(ours.get(name))}" for name in _SAME)
        own, zero_shot = (" ".join(_text(each.get(name)) for name in _SAME) for each in (ours, theirs))
        raise UserError(
            f"{method} has the backbone {own}, and the {ZERO_SHOT} that it is compared with in this run has"
            f" {zero_shot}: what is gained would be the backbone's. Give all methods one: --params {given};"
            f" or run {method} without the others: --pipeline={method}, with only its own backbone given."
        )


def _is_guarded(parameters: dict[str, Any]) -> bool:
    """Return whether a cell's name promises its parameters; overlays in conf/ and studies may change."""
    overlay = parameters.get("overlay")
    edited = parameters.get("tuned") or (overlay and "/" not in overlay and "." not in overlay)
    return bool(parameters.get("variant")) or not edited


def _require_unused(cell: Cell, file: Path, parameters: dict[str, Any]) -> None:
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # nothing is there, or nothing that could be used
    in_force = {name: _plain(parameters[name], name) for name in (cell.method, *_DECIDE) if name in parameters}
    require_same_cell(cell, card, file, in_force)


def _plain(values: Any, name: str) -> Any:
    """Return parameters as a run card has them, whether Kedro has made a model of them or not."""
    if isinstance(values, dict) and name in method_names():
        values = find_method(name).params.model_validate(values)
    return values.model_dump(mode="json") if isinstance(values, BaseModel) else values


def _text(value: Any) -> str:
    return "null" if value is None else str(value)
