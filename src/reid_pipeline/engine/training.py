"""From a split table to a trained model: a run is built, described, resumed and exported."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from reid_pipeline import __version__
from reid_pipeline.engine.checkpoint import Checkpoint, digest_of_tensors
from reid_pipeline.engine.finite import non_finite_tensors
from reid_pipeline.engine.forecast import Forecast, plan_of_state
from reid_pipeline.engine.loading import images_of_rows
from reid_pipeline.engine.loop import Progress, UnusableState, fit
from reid_pipeline.engine.plan_checks import plan_remarks, require_trainable
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.seeding import seed_global_state
from reid_pipeline.engine.stage import Method, Stage, TrainingData
from reid_pipeline.engine.starting import InitialModel, Start, require_finite_weights
from reid_pipeline.engine.whole_cost import cost_of_whole
from reid_pipeline.images.cache import ImageCache
from reid_pipeline.images.decode import TargetSize
from reid_pipeline.models.embedder import Embedder
from reid_pipeline.models.reid_model import ReIDModel
from reid_pipeline.reporting.guard_notes import DOMINATED, is_dominated, label_warnings
from reid_pipeline.schema.columns import CAMID, IDENTITY, LABEL, SPLIT, TRACKID, VIEWID
from reid_pipeline.schema.errors import first_few
from reid_pipeline.schema.origin import DECIDING, Origin, mismatches, require_match, warn_of_rounding
from reid_pipeline.schema.population import Population
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.records import EpochRecord, StageDescription
from reid_pipeline.splits import data_hash, white_value

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingRun:
    """One training: which method, on which data, where, from which seed; benchmark and variant name its cell."""

    method: Method
    parameters: Any
    split_table: pd.DataFrame
    raw_images: RawFolder
    runtime: Runtime
    seed: int
    image_cache: ImageCache | None = None
    benchmark: str | None = None
    variant: str = ""
    auto: frozenset[str] = frozenset()  # of `parameters`, by dotted name, what data and machine decided
    whole: Any = None  # of a sample: the parameters that the whole is trained with
    initial: InitialModel | None = None  # what training starts from; None: pretrained weights

    def stage(self, name: str) -> Stage[Any]:
        """Return the method's stage of that name."""
        return {stage.name: stage for stage in self.method.stages(self.parameters)}[name]

    def origin(self, stage: Stage[Any], earlier: Checkpoint | None = None) -> Origin:
        """Return the origin of what `stage` trains, going on from the stage before, whose tensors it covers."""
        parameters = self.parameters.model_dump(mode="json")
        return Origin(
            made_by=f"{self.method.name}.train_{stage.name}",
            benchmark=self.benchmark,
            method=self.method.name,
            variant=self.variant,
            seed=self.seed,
            parameters={
                self.method.name: {name: parameters[name] for name in stage.reads or parameters},
                "compute": {"precision": self.runtime.precision},
            },
            made_from=self.start.made_from if earlier is None else stages_behind(earlier),
            data=self._data,
            weights=self.start.weights,
            label_use=self.start.label_use,
            code=__version__,
            device=self.runtime.device.type,
            threads=self.runtime.threads,
            processes=self.runtime.processes.count,
        )

    @cached_property
    def _data(self) -> str:
        return data_hash(self.split_table)

    @cached_property
    def start(self) -> Start:
        """What training starts from."""
        return Start(self.method, self.parameters, population_of(self.split_table), self.benchmark, self.initial)

    def describe(self, stage: Stage[Any], origin: Origin) -> StageDescription:
        """Return what a checkpoint of `stage` says of itself."""
        train = _training_rows(self.split_table)
        return StageDescription(
            origin=origin,
            stage=stage.name,
            population=population_of(self.split_table),
            label_map=names_of_labels(train),
        )

    def model(self, earlier: Checkpoint | None = None) -> ReIDModel:
        """Build the model from the run's seed, on its device, as the stage before left it."""
        seed_global_state(self.seed, "build")
        model = self.start.model(announced=earlier is None).to(self.runtime.device)
        if earlier is not None:
            model.load_state_dict(earlier.tensors)
        require_finite_weights(model, self.start, earlier)
        return model

    def data(self) -> TrainingData:
        """Return the training rows."""
        train, backbone = _training_rows(self.split_table), self.parameters.backbone
        height, width = backbone.image_size
        sizes = [
            TargetSize(height, width, each, white_value(self.split_table))
            for each in dict.fromkeys([backbone.resize, backbone.evaluation_resize])
        ]
        limit = self.runtime.image_memory // len(sizes)
        images = [
            images_of_rows(train, self.raw_images, size, self.runtime, self.image_cache, memory_limit=limit)
            for size in sizes
        ]
        return TrainingData(
            images[0],
            np.array(train[LABEL], dtype=np.int64),  # a copy: pandas lends its own read-only
            known_ids(train[CAMID]),
            self.runtime,
            self.seed,
            viewids=known_ids(train[VIEWID]),
            trackids=known_ids(train[TRACKID]),
            names=names_of_labels(train),
            evaluation_images=images[-1],
        )


def _training_rows(split_table: pd.DataFrame) -> pd.DataFrame:
    return split_table[split_table[SPLIT] == "train"]


def names_of_labels(train: pd.DataFrame) -> tuple[str, ...]:
    """Return the user's names of the identities of training rows, by label."""
    labelled = train[train[LABEL] >= 0].drop_duplicates(LABEL).sort_values(LABEL)
    return tuple(labelled[IDENTITY].tolist())


def population_of(split_table: pd.DataFrame) -> Population:
    """Return identities, cameras and viewpoints of the training rows."""
    highest = _training_rows(split_table)[[LABEL, CAMID, VIEWID]].max()
    return Population(*(0 if pd.isna(value) else int(value) + 1 for value in highest))


def known_ids(column: pd.Series) -> np.ndarray | None:
    """Return camids, viewids or trackids as int64 [n], -1 where unknown, or None if no row has one."""
    return None if column.isna().all() else np.array(column.fillna(-1), dtype=np.int64)


def stages_behind(checkpoint: Checkpoint) -> dict[str, str]:
    """Return what an artefact is made from, given its checkpoint: every stage's training, and the digest."""
    description = checkpoint.description
    stages = {name: value for name, value in description.origin.made_from.items() if name != "checkpoint"}
    return {**stages, description.stage: description.origin.fingerprint, "checkpoint": checkpoint.digest()}


def train_stage(
    run: TrainingRun, name: str, resume_point: Mapping[str, Any] | None, earlier: Checkpoint | None = None
) -> Iterator[tuple[dict[str, Any], list[EpochRecord]]]:
    """Train the stage `name` of the method and yield (resumable state, history) after every epoch.

    `resume_point` is what a killed run stored, ignored unless of the same training, `earlier` the stage before.

    Raises:
        UserError: `earlier` was trained with other parameters, data or weights; what the engine or the stage finds.
    """
    stage, train = run.stage(name), _training_rows(run.split_table)
    require_trainable(run.method, train)
    if earlier is not None:
        present = run.origin(run.stage(earlier.description.stage))
        require_match("train", "checkpoint", earlier.description.origin, present)
    origin = run.origin(stage, earlier)
    description, fingerprint = run.describe(stage, origin).content(), origin.fingerprint
    if remarks := plan_remarks(run.method, stage, run.parameters, train):
        _log.warning("%s", remarks)
    dominated, cost = False, cost_of_whole(run.method, run.whole, name, run.split_table)
    for progress in _epochs(run, stage, earlier, _usable(resume_point, origin)):
        if not progress.ended:
            _log.info("%s", _epoch_line(run.method.name, progress.history[-1], progress.epochs))
        if is_dominated(progress.history[-1]) and not dominated:
            _log.warning("%s", DOMINATED)  # once: the share stands in the line of every epoch
            dominated = True
        plan, chunks = plan_of_state(stage, run.auto)
        history = [EpochRecord.of({**record, **chunks}, fingerprint) for record in progress.history]
        history = history if cost is None else cost.noted(history, progress)
        for warning in label_warnings(history) if progress.is_last else ():
            _log.warning("%s", warning)
        yield {"description": description, "epochs": progress.epochs, **plan, **progress.state}, history


def _epochs(
    run: TrainingRun, stage: Stage[Any], earlier: Checkpoint | None, resume: Mapping[str, Any] | None
) -> Iterator[Progress]:
    """Yield the epochs after `resume`; where it does not fit what this version builds, those from the first on."""
    model, data = run.model(earlier), run.data()
    done = 0 if resume is None else int(resume["epoch"])
    if run.auto and done < stage.plan.epochs:
        later = () if earlier is not None else tuple(run.method.stages(run.parameters)[1:])
        forecast = Forecast(run.start, stage, data, run.auto, done, later)
        processes = run.runtime.processes
        stored = None if resume is None else resume.get("plan")
        processes.once(lambda: forecast.fit_to_machine(model, stored), "measuring steps")
        if not processes.alone:
            stage.plan = type(stage.plan).model_validate(processes.once(lambda: stage.plan.model_dump(mode="json")))
    try:
        yield from fit(stage, model, data, resume=resume)
    except UnusableState as error:
        _log.warning("The state of the killed run does not fit this training (%s): training starts anew.", error)
        yield from fit(stage, run.model(earlier), data)


def built_embedder(
    method: Method, parameters: Any, split_table: pd.DataFrame, origin: Origin, initial: InitialModel | None = None
) -> Embedder:
    """Return the embedder of a method that does not train, built from the run's seed, with its origin."""
    seed_global_state(origin.seed or 0, "build")
    start = Start(method, parameters, population_of(split_table), origin.benchmark, initial)
    model = start.model(announced=True)
    require_finite_weights(model, start)
    origin = origin.replace(weights=start.weights, made_from=start.made_from, label_use=start.label_use)
    return _embedder(model, origin, white_value(split_table))


def exported_embedder(start: Start, checkpoint: Checkpoint, origin: Origin, *, white: int | None = None) -> Embedder:
    """Return the embedder of a trained method's last stage, with its origin and the white value of its images.

    `start` is what that training began from, and `origin` that of the run, as far as known without the checkpoint.

    Raises:
        UserError: the checkpoint was trained by another run, or from other weights.
    """
    trained = checkpoint.description.origin
    present = origin.replace(weights=start.weights, label_use=start.label_use)
    require_match("export", "checkpoint", trained, present)
    if trained.weights is None:
        _log.warning("The checkpoint is of the first version: it does not say which weights it started from.")
    model = start.model()
    model.load_state_dict(checkpoint.tensors)
    require_finite_weights(model, start, checkpoint)
    return _embedder(model, present.replace(made_from=stages_behind(checkpoint)), white)


def _embedder(model: ReIDModel, origin: Origin, white: int | None) -> Embedder:
    embedder = model.embedder()
    embedder.white_value = white
    embedder.origin = origin.replace(digest=digest_of_tensors(embedder.state_dict()))
    return embedder


def _usable(resume_point: Mapping[str, Any] | None, origin: Origin) -> Mapping[str, Any] | None:
    if resume_point is None:
        return None
    try:
        stored = StageDescription.model_validate(resume_point["description"]).origin
        epoch = int(resume_point["epoch"])
    except (KeyError, TypeError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), "")
        _log.warning("The state of a killed run is not whole (%s): training starts anew.", reason)
        return None
    if stored.fingerprint != origin.fingerprint:
        differing = [f"{name} was {old!r} and is {new!r}" for name, old, new in mismatches(stored, origin, DECIDING)]
        _log.warning(
            "A killed run left a state after epoch %d, but it is of another training (%s): training starts anew.",
            epoch,
            first_few(differing) or "parameters were added or removed",
        )
        return None
    poisoned = non_finite_tensors({name: resume_point.get(name) for name in ("model", "optimiser")})
    if poisoned is not None:
        _log.warning(
            "The state after epoch %d that a killed run of an earlier version left is not finite (%s): it is set aside"
            " and training starts anew.",
            *(epoch, poisoned),
        )
        return None
    warn_of_rounding(stored, origin, _log)
    _log.info("Going on after epoch %d, where the last run stopped.", epoch)
    return resume_point


def _epoch_line(method: str, record: Mapping[str, Any], epochs: int) -> str:
    text = f"{method} epoch {record['epoch']}/{epochs}, loss {record['loss']:.3f}"
    if "clusters" in record:
        text += f", {record['clusters']} clusters"
    if "noise_share" in record:
        text += f", {record['noise_share']:.0%} noise"
    if is_dominated(record):
        text += f", one cluster of {record['largest_cluster']:.0%}"
    if "ground_truth" in record:
        text += f", ARI {record['ground_truth']['ari']:.2f}"
    return f"{text}, {record['seconds']['epoch']:.1f} s"
