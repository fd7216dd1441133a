"""Kedro's config loader with the project's layers of parameters and the cells that runs write: docs/parameters.md."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

from kedro.config import MissingConfigException
from kedro.io import CatalogConfigResolver, DataCatalog, DatasetError
from omegaconf import DictConfig, OmegaConf

from reid_pipeline.config.cell_entries import with_folders
from reid_pipeline.config.checked_loader import CheckedConfigLoader
from reid_pipeline.config.embeddings import resolvers
from reid_pipeline.config.given_labels import collection_of_card, labels_file
from reid_pipeline.config.imports import with_import
from reid_pipeline.config.named_backbone import log_weights, weights_of
from reid_pipeline.config.overlays import read_overlay, require_same_run
from reid_pipeline.config.raw_root import raw_folder, with_raw_folder
from reid_pipeline.config.shared_journal import shared_journal
from reid_pipeline.config.starts import as_address, start_file
from reid_pipeline.io.tuned import ENTRY, read_tuned
from reid_pipeline.methods import find_method, method_names
from reid_pipeline.pipelines.tuning import DEFAULT_STUDY
from reid_pipeline.schema.addresses import Cell, component, folder_of
from reid_pipeline.schema.digests import digest_of_file
from reid_pipeline.schema.errors import UserError, nearest
from reid_pipeline.schema.given_labels import LABELS_FROM, collection_and_labels, labelled_name
from reid_pipeline.schema.layers import CELLS, IMPORT, RAW_ROOT, TEXT, Layer, Layers
from reid_pipeline.schema.model_files import MODELS
from reid_pipeline.schema.nested import merged
from reid_pipeline.schema.origin import INIT_FROM
from reid_pipeline.schema.place import project_of
from reid_pipeline.schema.sample import SAMPLE, checked_identities, sample_name, whole_and_identities

_TAKEN = {"leaderboard", "cross_benchmark"}
"""Folders beside those of benchmarks."""
_GLOBALS = {"benchmark", "seed"}


class LayeredConfigLoader(CheckedConfigLoader):
    """Kedro's loader, whose parameters come in layers and whose catalog knows the cell of every method.

    The catalog's paths are relative to `project_path`: that of `place.project_of` unless it is set.
    """

    def __init__(
        self, conf_source: str, env: str | None = None, runtime_params: dict[str, Any] | None = None, **rest: Any
    ) -> None:
        """Check what was given, and read the overlay that it names, if any; a UserError says what is wrong."""
        self.project_path = project_of(Path(conf_source))
        self._given = _checked(dict(runtime_params or {}))
        self._parameters: dict[str, Any] | None = None
        self._labels: Path | None = None
        named, environment = self._given.get("overlay"), env or str(rest.get("default_run_env") or "")
        self._overlay = None if named is None else read_overlay(Path(conf_source), named, environment)
        beneath = {} if self._overlay is None else _checked(self._overlay.values)
        super().__init__(conf_source, env, merged(beneath, self._given), **rest)
        self._name_folders()

    def _name_folders(self) -> None:
        """Let collection and sample name the folders that the environment's benchmark names otherwise."""
        for name in set(self._globals) - _GLOBALS:
            if hint := nearest(str(name), _GLOBALS):
                raise UserError(f"{self.place('globals', str(name))}: {name} is read by nothing.{hint}")
        given, overlay = dict(self.runtime_params or {}), self._overlay
        environments = {file.parent.name for file in Path(self.conf_source).glob("*/globals.yml")}
        of_card, identities = collection_of_card(overlay, self._given)
        if given.get("collection") is None and of_card not in {"", self._globals.get("benchmark"), *environments}:
            given["collection"] = unquote(of_card)
        self.runtime_params = {SAMPLE: identities, **given}
        if given.get("collection") is not None:
            self._name(benchmark=self._collection(given["collection"], environments))
        whole, sample = str(self._globals.get("benchmark")), self.runtime_params[SAMPLE]
        benchmark = self._labelled(whole)
        sampled = sample_name(benchmark, sample)
        if overlay and overlay.benchmark:
            asked = sampled if identities else benchmark  # the card of a whole run can be tried on a sample
            require_same_run(overlay, str(given["overlay"]), benchmark=asked, given=self._given)
        if sample is None:
            del self.runtime_params[SAMPLE]
        if sampled != whole:
            self._name(benchmark=sampled, whole=whole)

    def _labelled(self, collection: str) -> str:
        """Return what stands in the place of a collection whose identities are given; itself where they are not."""
        given = (self.runtime_params or {}).get(LABELS_FROM)
        if given is None:
            return collection
        self._labels = labels_file(given, self.project_path)
        return labelled_name(collection, self._labels, digest_of_file(self._labels))

    def _name(self, **names: str) -> None:
        self["globals"] = {**self._globals, **names}
        self._globals_oc = None

    def _collection(self, collection: str, environments: set[str]) -> str:
        """Return the collection's name as its folders have it; refuse one that they would share."""
        named = component(collection, "collection")
        owner = f"the {named} pipeline" if named in _TAKEN else f"--env={named}"
        if collection_and_labels(whole_and_identities(named)[0])[1]:
            owner = f"the labels given to {collection_and_labels(named)[0]}: {LABELS_FROM}=<file> finds them"
        elif whole_and_identities(named)[1]:
            owner = f"a sample of {whole_and_identities(named)[0]}"
        elif named not in (environments | _TAKEN) - {self._globals.get("benchmark")}:
            return named
        raise UserError(
            f"Parameter collection is {collection!r}, whose folders are those of {owner}. Give your"
            " collection another name."
        )

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return a part of the configuration; the parameter files are read once."""
        if key == "parameters" and self._parameters is not None:
            return copy.deepcopy(self._parameters)
        return super().__getitem__(key)

    def _merge_and_resolve(self, key: str, config_per_file: dict[Path, DictConfig]) -> dict[str, Any]:
        """Resolve the files of one folder; what was given is laid over parameters later, as it is."""
        if key != "parameters":
            return super()._merge_and_resolve(key, config_per_file)
        with self._located(key):
            files = OmegaConf.unsafe_merge(*config_per_file.values()) if config_per_file else OmegaConf.create()
            return cast("dict[str, Any]", OmegaConf.to_container(files, resolve=True))

    def _resolve_from_raw_config(self, key: str, *read: Any) -> dict[str, Any]:
        """Return parameters in layers, and a catalog with every method's cell; the rest is Kedro's."""
        if key == "parameters" and read[-1]:
            return self._in_layers(*(self._merge_and_resolve(key, configs) for configs in read[:2]))
        if key != "catalog":
            return super()._resolve_from_raw_config(key, *read)
        folders = {method: cell["folder"] for method, cell in self._cells().items()}
        OmegaConf.register_new_resolver(
            "cell", lambda name: folders.get(name) or folder_of(name, "method"), replace=True
        )
        OmegaConf.register_new_resolver("init_from", self._start_file, replace=True)
        labels = None if self._labels is None else str(self._labels)
        OmegaConf.register_new_resolver(LABELS_FROM, lambda: labels, replace=True)
        OmegaConf.register_new_resolver("shared_journal", self._shared_journal, replace=True)
        for name, resolver in resolvers(self.runtime_params or {}, self.project_path).items():
            OmegaConf.register_new_resolver(name, resolver, replace=True)
        catalog = super()._resolve_from_raw_config(key, *read)
        self._check_entries(catalog)
        return with_raw_folder(with_folders(catalog, folders))

    def _start_file(self, models: str) -> str | None:
        """Return the file that a training starts from, given the folder of all cells' models; None where none is."""
        given = (self.runtime_params or {}).get(INIT_FROM)
        return None if given is None else str(start_file(given, self.project_path / models, self.project_path))

    def _shared_journal(self) -> str | None:
        """Return the file of a study that machines share; None where conf/ has no parameters, or they name none."""
        try:
            return shared_journal(self["parameters"])
        except MissingConfigException:
            return None

    def _check_entries(self, catalog: dict[str, Any]) -> None:
        """Refuse what Kedro's catalog could not be made of."""
        for name, found in catalog.items():
            if not isinstance(found, dict) or not isinstance(found.get("type"), str):
                raise UserError(
                    f"{self.place('catalog', name)}: entry {name} has no type, the class of its dataset, such as"
                    " type: pandas.CSVDataset. What is no entry has a name that begins with _."
                )
        try:
            credentials = self["credentials"]
        except MissingConfigException:
            credentials = {}
        if not _fault_of(catalog, credentials):
            return
        for name, found in catalog.items():
            if fault := _fault_of({name: found}, credentials):
                raise UserError(f"{self.place('catalog', name)}: entry {name}: {fault}. Correct the entry.")

    def _cells(self) -> dict[str, dict[str, Any]]:
        """Return the cell of every method and of an import, with its folder; none where conf/ has no parameters."""
        try:
            cells = self["parameters"][CELLS]
        except MissingConfigException:
            return {}
        found = {method: {**cell, "folder": Cell.model_construct(**cell).folder} for method, cell in cells.items()}
        imported = self["parameters"].get(IMPORT)
        return {**found, IMPORT: found[imported["method"]]} if imported else found

    def _in_layers(self, base: dict[str, Any], environment: dict[str, Any]) -> dict[str, Any]:
        for values in (base, environment):
            _refuse_cells(values)
        given: dict[str, Any] = dict(self.runtime_params or {})
        known = {name: find_method(name).params for name in method_names() if name in base or name in environment}
        collected = {name: value for name, value in given.items() if name in {"collection", SAMPLE}}
        if INIT_FROM in given:  # one cell has one name, however it was given
            collected[INIT_FROM] = as_address(given[INIT_FROM], self.project_path / MODELS, self.project_path)
        layers = Layers([base, environment], self._named(given), {**self._given, **collected}, known, weights_of)
        parameters = layers.in_force()
        log_weights(layers, parameters)
        seed = parameters.get("seed")
        cells = layers.cells(
            benchmark=str(parameters.get("benchmark")),
            seed=seed if isinstance(seed, int) else 0,  # what is no number is refused later, with the rest
            variant=given.get("variant"),
        )
        cells, imported = with_import(cells, given, layers)
        beside = {name: {"whole": cell.whole, "auto": cell.auto} for name, cell in cells.items()}
        found = {name: {key: value for key, value in each.items() if value} for name, each in beside.items()}
        dumped = {name: {**cell.model_dump(), **found[name]} for name, cell in cells.items()}
        self._parameters = {SAMPLE: None, **parameters, **imported, CELLS: dumped}
        return copy.deepcopy(self._parameters)

    def _named(self, given: dict[str, Any]) -> list[Layer]:
        """Return the layers of the overlay and of a study's results, where they are given."""
        layers = []
        if (overlay := self._overlay) is not None:
            short = whole_and_identities(overlay.benchmark)[1] is not None
            layers.append(Layer(overlay.values, overlay.label, overlay.card, overlay.found, of_sample=short))
        if (tuned := given.get("tuned")) is not None:
            method, _, study = tuned.partition("/")
            study = study or DEFAULT_STUDY
            values = read_tuned(self.project_path / self._tuned_path(method, study), tuned)
            layers.append(
                Layer(values, "tuned" if study == DEFAULT_STUDY else f"tuned-{study}", of_sample=SAMPLE in given)
            )
        return layers

    def _tuned_path(self, method: str, study: str) -> str:
        """Return the path that the catalog gives to that study's values."""
        base, environment, *_ = self._read_raw_config("catalog")
        given = self.runtime_params
        self.runtime_params = {**(given or {}), "method": method, "study": study}
        try:
            files = [*environment.values(), *base.values()]
            return next(str(found[ENTRY].filepath) for found in files if ENTRY in found)
        finally:
            self.runtime_params = given

    def _get_runtime_value(self, variable: str, *default: Any) -> Any:
        """Return what was given, as it is: a `${` in it is a part of it."""
        value: Any = self.runtime_params or {}
        for name in variable.split("."):
            if not isinstance(value, dict) or name not in value:
                return default[0] if default else super()._get_runtime_value(variable)
            value = value[name]
        self._runtime_params_hits.add(variable)
        return value


def _fault_of(entries: dict[str, Any], credentials: dict[str, Any]) -> str:
    """Return what Kedro finds wrong with entries before it makes them."""
    try:
        CatalogConfigResolver(entries, credentials, DataCatalog.default_runtime_patterns)
    except (DatasetError, KeyError) as error:
        return " ".join(str(error.args[0]).split()).removesuffix(".")
    return ""


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    """Return what was given, with the home folder in `raw_root`; refuse what cannot be a parameter."""
    _refuse_cells(given)
    if "benchmark" in given:
        raise UserError(
            f"Parameter benchmark ({given['benchmark']!r}) names folders and comes with the environment. Give"
            " --env=<benchmark>; or, for images of your own, --env=custom and --params collection=<name>."
        )
    for name in TEXT:
        if name in given and not isinstance(given[name], str):
            raise UserError(
                f"Parameter {name} is {given[name]!r}, of type {type(given[name]).__name__}, and names"
                f' something: it must be text. Put it in quotes, as in {name}: "{given[name]}".'
            )
    if isinstance(given.get("seed"), bool | float):
        raise UserError(
            f"Parameter seed is {given['seed']!r}, and names folders: it must be a whole number, such as 1."
        )
    checks: dict[str, Callable[[Any], Any]] = {RAW_ROOT: raw_folder, SAMPLE: checked_identities}
    return given | {name: check(given[name]) for name, check in checks.items() if name in given}


def _refuse_cells(values: dict[str, Any]) -> None:
    if IMPORT in values:
        raise UserError(
            f"Parameter {IMPORT} is made by the run. Leave it out; --params checkpoint=<file>,method=<name> says what"
            " is imported."
        )
    if CELLS in values:
        raise UserError(
            f"Parameter {CELLS} is made by the run: it holds the address of every method's results. Leave it"
            " out; --params variant=<name> and collection=<name> name them."
        )
