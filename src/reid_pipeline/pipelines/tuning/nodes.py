"""Nodes of the tuning pipeline, and what one trial does, as a value that can be sent to another process."""

import logging
import os
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import ValidationError

from reid_pipeline.methods import find_method
from reid_pipeline.pipelines.tuning.planning import study_plan
from reid_pipeline.schema.columns import SPLIT
from reid_pipeline.schema.errors import explain
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
from reid_pipeline.splits import data_hash, normalise_splits

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from reid_pipeline.tuning.study import StudyPlan
    from reid_pipeline.tuning.trials import Score

Record = dict[str, Any]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """Train a method with sampled values over its configured ones, and score it on the dev split.

    Attributes:
        method: its name; the method itself holds functions, which cannot be sent.
        parameters: of the method, as configured.
        table: split table of `train`, `dev_query` and `dev_gallery`.
        raw_images: where the images lie.
        compute: device, precision, threads.
        evaluation: the protocol.
        seed: of the training.
        score_every: epochs between scores.
    """

    method: str
    parameters: Mapping[str, Any]
    table: pd.DataFrame
    raw_images: RawFolder
    compute: ComputeParameters
    evaluation: EvaluationParameters
    seed: int
    score_every: int

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
        run = TrainingRun(method, parameters, self.table, self.raw_images, runtime, self.seed)
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
    """Run trials until there are as many finished ones as are wanted; return the whole study."""
    from reid_pipeline.engine.loading import check_unchanged
    from reid_pipeline.tuning.study import study_record

    check_unchanged(table, raw_images, image_stamps)
    plan = study_plan(parameters, tuning, evaluation, _facts(parameters, compute, table), study_file)
    if tuning.workers > 1 and not compute.threads:  # each worker has its part of the cores
        compute = compute.model_copy(update={"threads": max(1, (os.cpu_count() or 1) // tuning.workers)})
    configured = parameters[plan.method]
    scored = (evaluation, parameters["seed"], tuning.score_every)
    _show(plan, _trials(plan, Trial(plan.method, configured, table, raw_images, compute, *scored), tuning.workers))
    return {**study_record(plan), "collection": parameters.get("collection")}


def _facts(parameters: Record, compute: ComputeParameters, table: pd.DataFrame) -> Record:
    """Return what decides a trial's score beside the parameters."""
    from reid_pipeline.engine.runtime import resolve_runtime
    from reid_pipeline.engine.training import starting_weights

    runtime = resolve_runtime(compute)
    method = find_method(parameters["method"])
    return {
        "data": data_hash(table),
        "device": runtime.device.type,
        "precision": runtime.precision,
        "weights": starting_weights(method.params.model_validate(parameters[method.name])),
    }


def _trials(plan: "StudyPlan", trial: Trial, workers: int) -> "Iterator[FrozenTrial]":
    from reid_pipeline.tuning.trials import run_in_processes, run_trials

    if workers == 1:
        return run_trials(plan, trial)
    return run_in_processes(plan, trial, workers=workers, prepare=quiet_console)


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
