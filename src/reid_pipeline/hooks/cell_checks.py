"""Checks of the cells that a run will write: zero_shot beside each method, and no results of other parameters."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import AbstractDataset, DataCatalog, DatasetError
from kedro.pipeline import Pipeline
from pydantic import ValidationError

from reid_pipeline.io.entries import file_of, records_of_methods, written
from reid_pipeline.io.page import HTMLPageDataset
from reid_pipeline.io.weights import TrainingStateDataset
from reid_pipeline.methods import DECIDING_BLOCKS, find_method, method_names, recorded_block
from reid_pipeline.schema.addresses import ZERO_SHOT, Cell, Cells, require_same_cell
from reid_pipeline.schema.auto_plan import AUTO, CHUNK
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.layers import CELLS, CHECKPOINT, IMPORT
from reid_pipeline.schema.nested import leaves, merged, nested
from reid_pipeline.schema.parameters import ComputeParameters
from reid_pipeline.schema.parsing import parse_json
from reid_pipeline.schema.records import RunCard
from reid_pipeline.schema.regular_files import read_regular

_BACKBONE = ("name", "pretrained")
_log = logging.getLogger(__name__)


def check_cells(pipeline: Pipeline, catalog: DataCatalog) -> None:
    """Refuse a method beside zero_shot of another backbone, and a cell that other parameters have filled."""
    if f"params:{CELLS}" not in pipeline.inputs():
        return
    parameters = catalog.load("parameters")
    cells = Cells.model_validate(parameters[CELLS])
    reported = {node.namespace for node, _ in written(pipeline.nodes, catalog, HTMLPageDataset)}
    for method in method_names():
        if method in reported and method != ZERO_SHOT:
            _require_same_backbone(method, parameters)
            if cells[ZERO_SHOT].variant or cells[method].variant:
                _log.info("%s is compared with %s", cells[method].folder, cells[ZERO_SHOT].folder)
    for namespace, card in records_of_methods(pipeline.nodes, catalog, RunCard):
        method = parameters["method"] if namespace == IMPORT else namespace
        if cells[method].variant and _is_guarded(parameters):
            _require_unused(cells[method], file_of(card) or Path(), parameters)


def _require_same_backbone(method: str, parameters: dict[str, Any]) -> None:
    ours, theirs = (recorded_block(name, parameters[name]).get("backbone") for name in (method, ZERO_SHOT))
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        return
    if any(ours.get(name) != theirs.get(name) for name in _BACKBONE):
        own, zero_shot = (
            ["null" if each.get(name) is None else str(each[name]) for name in _BACKBONE] for each in (ours, theirs)
        )
        given = ",".join(f"backbone.{name}={value}" for name, value in zip(_BACKBONE, own, strict=True))
        raise UserError(
            f"{method} has the backbone {' '.join(own)}, and the {ZERO_SHOT} that it is compared with in this run has"
            f" {' '.join(zero_shot)}: what is gained would be the backbone's. Give all methods one: --params {given};"
            f" or run {method} without the others: --pipeline={method}, with only its own backbone given."
        )


def _is_guarded(parameters: dict[str, Any]) -> bool:
    """Return whether a cell's name promises its parameters; overlays in conf/ and studies may change."""
    overlay = parameters.get("overlay")
    edited = parameters.get("tuned") or (overlay and "/" not in overlay and "." not in overlay)
    return bool(parameters.get("variant") or parameters.get(CHECKPOINT)) or not edited


def _require_unused(cell: Cell, file: Path, parameters: dict[str, Any]) -> None:
    try:
        card = parse_json(read_regular(file))
    except (OSError, ValueError):
        return  # nothing is there, or nothing that could be used
    in_force = {
        name: recorded_block(name, parameters[name]) for name in (cell.method, *DECIDING_BLOCKS) if name in parameters
    }
    require_same_cell(cell, _completed(card, in_force), file, in_force)


def _completed(card: Any, names: Iterable[str]) -> Any:
    """Return a run card with the parameters that there were not when it was written: a default is what ran then."""
    held = card.get("parameters") if isinstance(card, dict) else None
    if not isinstance(held, dict):
        return card
    completed = dict(held)
    for name in names:
        with suppress(ValidationError):  # a checkpoint that it names is gone, or a parameter is no more
            completed[name] = recorded_block(name, held.get(name))
    return {**card, "parameters": completed}


class OnlyMissing:
    """Refuse `--only-missing-outputs` where the files that it would leave were made by other parameters.

    Kedro looks whether files exist, not at what made them.
    """

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Compare the run card of each method of the run with the parameters in force."""
        if not run_params.get("only_missing_outputs"):
            return
        # The history beside a state is of the training that was killed, the other files may be of another.
        faults = [
            f"A killed run left a training unfinished ({file_of(state)}), and files of another run may lie beside"
            " it, which --only-missing-outputs would leave. Leave the option out: training goes on from there."
            for _, state in written(pipeline.nodes, catalog, TrainingStateDataset)
            if state.exists()
        ]
        for method, card in recorded_cards(pipeline, catalog).items():
            differing = _differing(card, _in_force(method, card, catalog))
            if found := [f"{name} {old!r}, and this run asks for {new!r}" for name, old, new in differing]:
                faults.append(
                    f"{method} was made with {first_few(found)}: leave out --only-missing-outputs to make it anew, or"
                    " give the values that it was made with."
                )
        if faults:
            raise UserError("\n".join(faults))


def recorded_cards(pipeline: Pipeline, catalog: DataCatalog) -> dict[str, dict[str, Any]]:
    """Return the run cards of the run's methods as they are, by method, where there is one that can be read."""
    found = dict(records_of_methods(pipeline.nodes, catalog, RunCard))
    cards = {method: _card(found[method]) for method in method_names() if method in found}
    return {method: card.content() for method, card in cards.items() if card is not None}


def _card(dataset: AbstractDataset[Any, Any]) -> RunCard | None:
    try:
        card = dataset.load() if dataset.exists() else None
    except (DatasetError, UserError):  # a truncated file, another format
        return None
    return card if isinstance(card, RunCard) else None


def _in_force(method: str, card: Mapping[str, Any], catalog: DataCatalog) -> dict[str, Any]:
    """Return the parameters that this run's card would hold, as far as they decide figures."""
    models = {**DECIDING_BLOCKS, method: find_method(method).params}
    wanted: dict[str, Any] = {
        name: model.model_validate(catalog.load(f"params:{name}")).model_dump(mode="json")
        for name, model in models.items()
    }
    wanted[method] = merged(wanted[method], nested(_of_data(method, card, catalog)))
    if "precision" in card:
        from reid_pipeline.engine.runtime import resolve_runtime

        compute = ComputeParameters.model_validate(catalog.load("params:compute"))
        wanted["precision"] = resolve_runtime(compute).precision
    return wanted


def _of_data(method: str, card: Mapping[str, Any], catalog: DataCatalog) -> dict[str, Any]:
    """Return, by dotted name, what the data decide of a method's plans: as the card has it, if they did that then."""
    auto = Cells.model_validate(catalog.load("parameters")[CELLS])[method].auto
    recorded = dict(leaves(card.get("parameters", {}).get(method) or {}))
    decided = card.get("auto") or ()
    return {name: recorded.get(name) if name in decided else AUTO for name in auto if not name.endswith(CHUNK)}


def _differing(card: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, recorded value and wanted value of each parameter that differs."""
    recorded = {**_completed(card, wanted)["parameters"], "precision": card.get("precision")}
    old, new = dict(leaves({name: recorded.get(name) for name in wanted})), dict(leaves(wanted))
    for name in new | old:
        before, now = old.get(name, "nothing"), new.get(name, "nothing")
        if before != now:
            yield name, before, now
