"""Checks before a run: one that cannot succeed is refused."""

import contextlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kedro.config import MissingConfigException
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from pydantic import ValidationError

from reid_pipeline.hooks.cell_checks import check_cells
from reid_pipeline.hooks.gallery_checks import check_gallery
from reid_pipeline.hooks.model_checks import check_import, check_models
from reid_pipeline.hooks.small_offer import small_command, wants_offer
from reid_pipeline.io.atomic import read_table
from reid_pipeline.io.base import UnreadableFile
from reid_pipeline.io.entries import entry, file_of
from reid_pipeline.io.raw import RawFolderDataset
from reid_pipeline.io.records import RecordDataset
from reid_pipeline.methods import find_method, method_names
from reid_pipeline.pipelines.pretrain_demo_clip import PretrainingParameters
from reid_pipeline.pipelines.tuning import require_searchable
from reid_pipeline.schema.addresses import ZERO_SHOT, Cells
from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.errors import UserError, explain, first_few, nearest
from reid_pipeline.schema.given_labels import LABELS_FROM
from reid_pipeline.schema.layers import CELLS, GIVEN_AT_RUN, IMPORT
from reid_pipeline.schema.nested import leaves
from reid_pipeline.schema.parameters import IngestionParameters, SharedParameters, SplitParameters
from reid_pipeline.schema.sample import DEFAULT_IDENTITIES, SAMPLE
from reid_pipeline.schema.tuning import TuningParameters

_NAMED = re.compile(r"Parameter (conf/|[\w.]+):(?: unknown parameter '(\w+)')?")
_log = logging.getLogger(__name__)


class Preflight:
    """Refuse a run that cannot succeed: unknown parameters, an absent device, a wrong checkpoint."""

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Validate all parameters in force, methods' and shared, and refuse names that are not read."""
        self._loader = context.config_loader
        try:
            given = dict(context.config_loader["parameters"])
        except MissingConfigException:
            return
        loader = self._loader
        for made in (CELLS, IMPORT):
            given.pop(made, None)
        faults = [_fault(model, given.pop(name), name) for name, model in _models().items() if name in given]
        faults += _misplaced(given, dict(loader["globals"]), dict(loader.runtime_params or {}))
        shared = _fault(SharedParameters, given, "").splitlines()
        lines = [line for fault in faults for line in fault.splitlines()]
        # What is wrong with the shared backbone is wrong with that of every method.
        spread = {line.replace("Parameter ", f"Parameter {name}.", 1) for line in shared for name in method_names()}
        if lines := [*(line for line in lines if line not in spread), *shared]:
            given_now = [name for name, _ in leaves(dict(loader.runtime_params or {}))]
            raise UserError("\n".join(_placed(line, loader, given_now) for line in lines))

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Check search space, raw folder and device, that checkpoints load into backbones, and the plans of these."""
        inputs = pipeline.inputs()
        check_import(pipeline, catalog)
        check_gallery(pipeline, catalog)
        _name_idle_variant(pipeline, catalog)
        given = {name: catalog.load(f"params:{name}") for name in method_names() if f"params:{name}" in inputs}
        if "params:tuning" in inputs and "parameters" in inputs:
            parameters = catalog.load("parameters")
            method, _ = require_searchable(parameters, catalog.load("params:tuning"))
            given[method.name] = method.params.model_validate(parameters[method.name])
        if "raw_images" in inputs:
            entry(catalog, "raw_images", RawFolderDataset).check()
        _check_tables(pipeline, catalog)
        check_cells(pipeline, catalog)
        if "earlier_metrics" in inputs:
            _require_records(catalog)
        on_cpu = False
        if "params:compute" in inputs:
            from reid_pipeline.engine.runtime import resolve_runtime

            runtime = resolve_runtime(catalog.load("params:compute"))
            on_cpu = runtime.device.type == "cpu"
            if "params:evaluation" in inputs:
                runtime.for_evaluation(catalog.load("params:evaluation").precision)
        offered = bool(given) and "parameters" in catalog and wants_offer(catalog.load("parameters"))
        command = small_command(run_params, Path(self._loader.conf_source)) if offered else ""
        check_models(given, catalog, on_cpu=on_cpu, command=command)


def _name_idle_variant(pipeline: Pipeline, catalog: DataCatalog) -> None:
    """Warn where `variant` is given, and what runs stays under the name that it has without."""
    methods = {node.namespace for node in pipeline.nodes} & set(method_names())
    if methods == {ZERO_SHOT}:
        parameters = catalog.load("parameters")
        if parameters.get("variant") and not Cells.model_validate(parameters[CELLS])[ZERO_SHOT].variant:
            _log.warning(
                "variant=%s has no effect: the parameters of %s are those of conf/, and so is its name.",
                parameters["variant"],
                ZERO_SHOT,
            )


def _placed(line: str, loader: Any, given: list[str]) -> str:
    """Return a line on a parameter with file and line of conf/, unless it was given with the command."""
    named = _NAMED.match(line)
    if named is None:
        return line
    name = ".".join(filter(None, [named[1].strip("/"), named[2]])).removeprefix("conf.")
    place = "" if any(f"{each}.".startswith(f"{name}.") for each in given) else loader.found("parameters", name)
    return f"{line} ({place})" if place else line


def _check_tables(pipeline: Pipeline, catalog: DataCatalog) -> None:
    """Refuse tables that an earlier run made with other parameters."""
    needed = {"split_table", "params:ingestion", "params:splits"}
    if needed <= pipeline.inputs() and catalog.exists("split_table"):
        from reid_pipeline.splits import require_tables

        ingestion = IngestionParameters.model_validate(catalog.load("params:ingestion"))
        splits = SplitParameters.model_validate(catalog.load("params:splits"))
        # Without validation: a table of an earlier version lacks columns, and is recognised by its missing origin.
        with contextlib.suppress(UnreadableFile):  # the node that reads it says so
            table = read_table(file_of(catalog.get("split_table")) or Path())
            require_tables(table, None, ingestion, splits)


def _require_records(catalog: DataCatalog) -> None:
    """Refuse a version or method without a record, and results that are gone."""
    for name in ("earlier_metrics", "earlier_run_card"):
        recorded = entry(catalog, name, RecordDataset)
        if not recorded.exists():
            known = recorded.list_versions(full_path=False)
            raise UserError(
                f"There is no such version in {file_of(recorded)}; there are: {first_few(known) or 'none'}."
                " Give --params method=<name>, with seed and --env as that run had them, and a version as"
                " --load-versions=earlier_metrics:<version>,earlier_run_card:<version>."
            )
    for name in ("present_metrics", "present_run_card"):
        present = catalog.get(name)
        if present and not present.exists():
            raise UserError(
                f"There is no {file_of(present)}, the result that the earlier one is compared with. Run the"
                " method again, or bring the file back: dvc checkout."
            )


def _models() -> dict[str, type[Parameters]]:
    """Return the top-level parameter names that have a model of their own."""
    others: dict[str, type[Parameters]] = {"pretrain_demo_clip": PretrainingParameters, "tuning": TuningParameters}
    return {name: find_method(name).params for name in method_names()} | others


def _misplaced(given: dict[str, Any], named: dict[str, Any], runtime: dict[str, Any]) -> list[str]:
    """Return what is wrong with parameters that only the catalog or only the nodes would read."""
    faults = [
        f"Parameter {name} stands in conf/, where nothing reads it: give it as --params {name}=..., or write"
        " it into the environment's catalog.yml."
        for name in GIVEN_AT_RUN
        if name in given and name not in runtime
    ]
    ingestion = given.get("ingestion")
    reader = ingestion.get("reader") if isinstance(ingestion, dict) else None
    if "collection" in given and reader != "custom":
        faults.append(
            f"Parameter collection is {given['collection']!r}, and this environment reads {reader}: a"
            " collection is a name for images of your own. Give --env=custom, or leave it out."
        )
    if LABELS_FROM in given and reader != "custom":
        faults.append(
            f"Parameter {LABELS_FROM} is {given[LABELS_FROM]!r}, and this environment reads {reader}, whose identities"
            " are published: it is for images of your own. Give --env=custom, or leave it out."
        )
    if given.get(SAMPLE) is not None and SAMPLE not in runtime:
        faults.append(
            f"Parameter {SAMPLE} is {given[SAMPLE]!r} in conf/, and names folders: give it on the command line, as"
            f" --params {SAMPLE}={DEFAULT_IDENTITIES}, and leave it null in conf/."
        )
    if "seed" not in runtime and given.get("seed") != named.get("seed"):
        faults.append(
            f"Parameter seed is {given.get('seed')!r} and globals.yml says {named.get('seed')!r}, which names"
            " the folders: set it in globals.yml, or give --params seed=<n>."
        )
    for name in [name for name in given if name not in SharedParameters.model_fields]:
        if nearest(name, _models()):
            given.pop(name)
            faults.append(f"Parameter {name}: unknown.{nearest(name, _models())}")
    return faults


def _fault(model: type[Parameters], values: Any, name: str) -> str:
    try:
        model.model_validate(values)
    except ValidationError as error:
        return explain(error, name) + _of_others(model, values)
    return ""


def _of_others(model: type[Parameters], values: Any) -> str:
    """Return where there are parameters called like those that this model has not."""
    everywhere = [
        *_paths(SharedParameters),
        *(f"{name}.{path}" for name, other in _models().items() for path in _paths(other)),
    ]
    found = {
        given: [path for path in everywhere if path.endswith(f".{given}")]
        for given in (values if isinstance(values, dict) else ())
        if given not in model.model_fields
    }
    return "".join(f" There is {first_few(paths, 3)}." for paths in found.values() if paths)


def _paths(model: type[Parameters]) -> Iterator[str]:
    """Yield the dotted names of a model and of the models within."""
    for name, field in model.model_fields.items():
        yield name
        if isinstance(field.annotation, type) and issubclass(field.annotation, Parameters):
            yield from (f"{name}.{path}" for path in _paths(field.annotation))
