"""Nodes of the tuning pipeline."""

import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from reid_pipeline.methods import find_method
from reid_pipeline.pipelines.tuning.planning import study_plan
from reid_pipeline.pipelines.tuning.trial import Trial, quiet_console
from reid_pipeline.schema.columns import SPLIT
from reid_pipeline.schema.parameters import (
    ComputeParameters,
    EvaluationParameters,
    IngestionParameters,
    SplitParameters,
)
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.tables import TUNING_SPLITS
from reid_pipeline.schema.tuning import Study, TuningParameters
from reid_pipeline.splits import data_hash, normalise_splits

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from reid_pipeline.tuning.study import StudyPlan

Record = dict[str, Any]

_log = logging.getLogger(__name__)


def make_tuning_table(
    manifest: pd.DataFrame,
    image_facts: pd.DataFrame,
    ingestion: IngestionParameters,
    splits: SplitParameters,
    tuning: TuningParameters,
) -> pd.DataFrame:
    """Cut a dev split from the training identities, and leave out every row that is tested on."""
    chosen = splits.model_copy(update={"dev_fraction": tuning.dev_fraction, "dev_seed": tuning.dev_seed})
    skip = ingestion.on_unreadable == "skip"
    table = normalise_splits(manifest, image_facts, chosen, skip_unreadable=skip).split_table
    return table[table[SPLIT].isin(TUNING_SPLITS)].reset_index(drop=True)


def run_study(
    parameters: Record,
    tuning: TuningParameters,
    compute: ComputeParameters,
    evaluation: EvaluationParameters,
    table: pd.DataFrame,
    raw_images: RawFolder,
    image_stamps: pd.DataFrame | None,
    study_file: str,
) -> Record:
    """Run trials until there are as many finished ones as are wanted; return all the study holds."""
    from reid_pipeline.engine.loading import check_unchanged
    from reid_pipeline.engine.runtime import resolve_runtime
    from reid_pipeline.engine.training import starting_weights
    from reid_pipeline.tuning.results import study_record

    check_unchanged(table, raw_images, image_stamps)
    runtime = resolve_runtime(compute)
    method = find_method(parameters["method"])
    where = {
        "data": data_hash(table),
        "device": runtime.device.type,
        "precision": runtime.precision,
        "weights": starting_weights(method.params.model_validate(parameters[method.name])),
    }
    plan = study_plan(parameters, tuning, evaluation, where, study_file)
    trial = Trial(
        method=parameters["method"],
        parameters=parameters[parameters["method"]],
        table=table,
        raw_images=raw_images,
        compute=_shared_out(compute, tuning.workers),
        evaluation=evaluation,
        seed=parameters["seed"],
        score_every=tuning.score_every,
    )
    _show(plan, _trials(plan, trial, tuning.workers))
    return {**study_record(plan), "collection": parameters.get("collection")}


def _shared_out(compute: ComputeParameters, workers: int) -> ComputeParameters:
    """Give each of several workers its part of the cores, unless the user has."""
    if workers == 1 or compute.threads:
        return compute
    return compute.model_copy(update={"threads": max(1, (os.cpu_count() or 1) // workers)})


def _trials(plan: "StudyPlan", trial: Trial, workers: int) -> "Iterator[FrozenTrial]":
    from reid_pipeline.tuning.trials import run_in_processes, run_trials

    if workers == 1:
        return run_trials(plan, trial)
    return run_in_processes(plan, trial, workers=workers, prepare=quiet_console)


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
    from reid_pipeline.tuning.results import best_parameters

    found = Study.model_validate(study)
    return best_parameters(study), trials_csv(found), render_tuning_page(found)
