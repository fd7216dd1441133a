"""A study of a method's parameters, scored on identities cut from the training split."""

import logging
import os
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import pandas as pd
from kedro.pipeline import Pipeline, node, pipeline
from pydantic import ValidationError

from reid_pipeline import __version__
from reid_pipeline.methods import find_method
from reid_pipeline.pipelines.ingestion import TABLES
from reid_pipeline.schema.addresses import Cells
from reid_pipeline.schema.columns import SPLIT
from reid_pipeline.schema.errors import UserError, explain
from reid_pipeline.schema.layers import CELLS
from reid_pipeline.schema.nested import merged, nested
from reid_pipeline.schema.parameters import (
    ComputeParameters,
    EvaluationParameters,
    IngestionParameters,
    SplitParameters,
)
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.tables import TUNING_SPLITS
from reid_pipeline.schema.tuning import Study, TuningParameters
from reid_pipeline.splits import data_hash, normalise_splits, with_white_value
from reid_pipeline.tuning.space import Space, configured, parameter_names, search_space

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from reid_pipeline.engine.stage import Method
    from reid_pipeline.tuning.study import StudyPlan
    from reid_pipeline.tuning.trials import Score

Record = dict[str, Any]
DEFAULT_STUDY = "main"
"""The catalog has the same."""
_log = logging.getLogger(__name__)


def require_searchable(parameters: Mapping[str, Any], tuning: TuningParameters) -> "tuple[Method, Space]":
    """Return the method that is tuned and its search space, from all parameters in force; torch is not loaded.

    Raises:
        UserError: no method is named, there is none of that name, it does not train, or its search space does
            not fit its parameters; a block of `tuning.search` is of no method.
    """
    name = parameters.get("method")
    if name is None:
        known = ", ".join(sorted(block for block, found in tuning.search.items() if found))
        raise UserError(f"Which method is tuned? Give --params method=<name>; conf/ has ranges for: {known}.")
    method = find_method(str(name))
    for block in tuning.search:
        find_method(block)
    if not method.stage_names:
        raise UserError(f"Method {name!r} trains nothing: there is nothing to tune. Name another one.")
    return method, search_space(method.name, method.params, parameters[method.name], tuning)


@dataclass(frozen=True)
class Trial:
    """Train a method, which is named since its functions cannot be sent to a process, and score it on the dev split.

    The sampled values go over its configured `parameters`. `table` is the split table of `train`, `dev_query` and
    `dev_gallery`; `score_every` is in epochs.
    """

    method: str
    parameters: Mapping[str, Any]
    table: pd.DataFrame
    raw_images: RawFolder
    compute: ComputeParameters
    evaluation: EvaluationParameters
    seed: int
    score_every: int
    initial: Any = None  # what training starts from; None: pretrained weights
    benchmark: str | None = None

    def __call__(self, values: Mapping[str, Any]) -> "Generator[Score, None, None]":
        """Yield the scores.

        Raises:
            Unusable: the values do not go together, or cannot be trained with.
        """
        from reid_pipeline.engine.runtime import resolve_runtime
        from reid_pipeline.engine.training import TrainingRun
        from reid_pipeline.evaluation.dev_scores import dev_scores
        from reid_pipeline.tuning.trials import Unusable

        method = find_method(self.method)
        try:
            parameters = method.params.model_validate(merged(self.parameters, nested(values)))
        except ValidationError as error:
            raise Unusable(explain(error, self.method)) from error
        runtime = resolve_runtime(self.compute)
        read = (method, parameters, self.table, self.raw_images, runtime, self.seed)
        run = TrainingRun(*read, benchmark=self.benchmark, initial=self.initial)
        yield from dev_scores(run, self.evaluation, every=self.score_every)


def make_tuning_table(
    manifest: pd.DataFrame,
    image_facts: pd.DataFrame,
    ingestion: IngestionParameters,
    splits: SplitParameters,
    tuning: TuningParameters,
) -> pd.DataFrame:
    """Cut a dev split from the training identities, and leave out every row that is tested on."""
    dev = splits.model_copy(update={"dev_fraction": tuning.dev_fraction, "dev_seed": tuning.dev_seed})
    skip = ingestion.on_unreadable == "skip"
    table = normalise_splits(manifest, image_facts, dev, skip_unreadable=skip).split_table
    return with_white_value(table[table[SPLIT].isin(TUNING_SPLITS)].reset_index(drop=True), ingestion)


def run_study(
    parameters: Record,
    tuning: TuningParameters,
    compute: ComputeParameters,
    evaluation: EvaluationParameters,
    table: pd.DataFrame,
    raw_images: RawFolder,
    image_stamps: pd.DataFrame | None,
    initial_model: Any,
    study_file: str,
) -> Record:
    """Run trials until there are as many finished ones as are wanted; return the whole study."""
    from reid_pipeline.engine.loading import check_unchanged
    from reid_pipeline.tuning.study import study_record
    from reid_pipeline.tuning.trials import run_in_processes, run_trials

    check_unchanged(table, raw_images, image_stamps)
    parameters = _with_plan_of_data(parameters, table)
    facts = _facts(parameters, compute, evaluation, table, initial_model)
    plan = _plan(parameters, tuning, evaluation, facts, study_file)
    if tuning.workers > 1 and not compute.threads:  # each worker has its part of the cores
        compute = compute.model_copy(update={"threads": max(1, (os.cpu_count() or 1) // tuning.workers)})
    scored = (evaluation, parameters["seed"], tuning.score_every)
    started = (initial_model, parameters["benchmark"])
    trial = Trial(plan.method, parameters[plan.method], table, raw_images, compute, *scored, *started)
    if tuning.workers == 1:
        _show(plan, run_trials(plan, trial))
    else:
        _show(plan, run_in_processes(plan, trial, workers=tuning.workers, prepare=quiet_console))
    return {**study_record(plan), "collection": parameters.get("collection")}


def _with_plan_of_data(parameters: Record, table: pd.DataFrame) -> Record:
    """Return parameters whose method has the plan that the data decide, of the rows that trials train on."""
    from reid_pipeline.engine.plan_of_data import resolved_parameters

    method = find_method(parameters["method"])
    cell = Cells.model_validate(parameters.get(CELLS, {})).root.get(method.name)
    if cell is None or not cell.auto:
        return parameters
    in_force = resolved_parameters(method, method.params.model_validate(parameters[method.name]), cell, table)
    return {**parameters, method.name: in_force.model_dump(mode="json")}


def _facts(
    parameters: Record,
    compute: ComputeParameters,
    evaluation: EvaluationParameters,
    table: pd.DataFrame,
    initial_model: Any,
) -> Record:
    """Return what decides a trial's score beside the parameters."""
    from reid_pipeline.engine.runtime import resolve_runtime
    from reid_pipeline.engine.starting import Start
    from reid_pipeline.schema.population import Population

    runtime = resolve_runtime(compute)
    method = find_method(parameters["method"])
    in_force = method.params.model_validate(parameters[method.name])
    test = {"evaluation.precision": evaluation.precision} if evaluation.precision != "float32" else {}
    return {
        "data": data_hash(table),
        "device": runtime.device.type,
        "precision": runtime.precision,
        **test,  # studies of earlier versions have none
        "weights": Start(method, in_force, Population(0), initial=initial_model).weights,
    }


def _plan(
    parameters: Record, tuning: TuningParameters, evaluation: EvaluationParameters, facts: Record, file: str
) -> "StudyPlan":
    """Return the plan of the study that the parameters name, stored in `file` unless `tuning.storage` is a database."""
    from reid_pipeline.tuning.study import StudyPlan

    method, space = require_searchable(parameters, tuning)
    in_force = method.params.model_validate(parameters[method.name])
    dumped = in_force.model_dump(mode="json")
    fixed = [path for path in parameter_names(method.params) if path not in space]
    return StudyPlan(
        storage=file if tuning.storage is None or tuning.journal else tuning.storage,
        benchmark=parameters["benchmark"],
        method=method.name,
        name=parameters.get("study", DEFAULT_STUDY),
        facts={
            "parameters": {path: reduce(lambda block, name: block[name], path.split("."), dumped) for path in fixed},
            "seed": parameters["seed"],
            "camera_filter": evaluation.camera_filter,
            "version": __version__,
            **facts,
        },
        space=space,
        start=configured(space, in_force),
        trials=tuning.trials,
        sampler=tuning.sampler,
        pruner=tuning.pruner,
        stale_seconds=3600 * tuning.stale_hours,
    )


def quiet_console() -> None:
    """Leave the console to the process that shows the progress of all."""
    from rich import get_console

    get_console().quiet = True
    logging.disable(logging.INFO)


def _show(plan: "StudyPlan", trials: "Iterator[FrozenTrial]") -> None:
    from reid_pipeline.engine.progress import progress_bar
    from reid_pipeline.tuning.study import describe_trial, finished_trials, open_study

    study = open_study(plan)
    with progress_bar() as bar:
        before = len(finished_trials(study))
        task = bar.add_task(f"study {plan.title}", total=plan.trials, completed=before, unit="trials")
        for trial in trials:
            done = len(finished_trials(study))
            bar.update(task, completed=done)
            _log.info("%s of %s: %s", done, plan.trials, describe_trial(study, trial))


def collect_results(study: Record) -> tuple[Record, str, str]:
    """Return the best parameters as a parameter file, the trials as CSV, and the page."""
    from reid_pipeline.reporting.tuning_page import render_tuning_page, trials_csv
    from reid_pipeline.tuning.study import best_parameters

    found = Study.model_validate(study)
    return best_parameters(found), trials_csv(found), render_tuning_page(found)


def create_pipeline() -> Pipeline:
    """Return manifest -> table without test rows -> trials -> best parameters, CSV, page; all `parameters` are read."""
    cut = ["manifest", "image_facts", "params:ingestion", "params:splits", "params:tuning"]
    read = ["parameters", "params:tuning", "params:compute", "params:evaluation", "tuning_split_table"]
    files = ["raw_images", "known_image_stamps", "initial_model", "study_file"]
    results = ["tuned_parameters", "study_trials_csv", "study_page"]
    return pipeline(
        [
            node(make_tuning_table, cut, "tuning_split_table", name="make_tuning_table", tags=TABLES),
            node(run_study, [*read, *files], "study_trials", name="run_study"),
            node(collect_results, "study_trials", results, name="collect_results"),
        ]
    )
