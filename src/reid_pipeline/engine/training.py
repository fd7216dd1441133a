"""From a split table to a trained model: what a training node asks for."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from reid_pipeline import __version__
from reid_pipeline.engine.checkpoint import Checkpoint, require_same_origin
from reid_pipeline.engine.loading import images_of_rows
from reid_pipeline.engine.loop import fit
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.seeding import seed_global_state
from reid_pipeline.engine.stage import Method, Stage, TrainingData
from reid_pipeline.images.cache import ImageCache
from reid_pipeline.images.decode import TargetSize
from reid_pipeline.schema.columns import CAMID, IDENTITY, LABEL, SPLIT, VIEWID
from reid_pipeline.schema.population import Population
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.splits import data_hash

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingRun:
    """One training: which method, on which data, where, from which seed."""

    method: Method
    parameters: Any
    split_table: pd.DataFrame
    raw_images: RawFolder
    runtime: Runtime
    seed: int
    image_cache: ImageCache | None = None

    def stage(self, name: str) -> Stage:
        """Return the method's stage of that name."""
        return {stage.name: stage for stage in self.method.stages(self.parameters)}[name]

    def fingerprint(self, stage: Stage, earlier: Checkpoint | None = None) -> str:
        """Return a hash of all that decides a stage's result.

        Parameters, data, seed, precision and code version enter, and the tensors of the stage before.
        """
        facts = {
            **self._facts(stage),
            "precision": self.runtime.precision,
            "device": self.runtime.device.type,
            "version": __version__,
            "earlier": None if earlier is None else earlier.digest(),
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def _facts(self, stage: Stage) -> dict[str, Any]:
        parameters = self.parameters.model_dump(mode="json")
        read = {name: parameters[name] for name in stage.reads or parameters}
        return {
            "method": self.method.name,
            "stage": stage.name,
            "parameters": read,
            "data": data_hash(self.split_table),
            "seed": self.seed,
        }

    def population(self) -> Population:
        """Return what the model must know of the training rows."""
        return population_of(self.split_table)

    def describe(self, stage: Stage) -> dict[str, Any]:
        """Return what a checkpoint of `stage` says of itself: plain JSON values."""
        population = self.population()
        train = self.split_table[self.split_table[SPLIT] == "train"]
        labelled = train[train[LABEL] >= 0].drop_duplicates(LABEL).sort_values(LABEL)
        return {
            **self._facts(stage),
            "parameters": self.parameters.model_dump(mode="json"),
            "reads": list(stage.reads),
            "version": __version__,
            "population": asdict(population),
            "label_map": labelled[IDENTITY].tolist(),
        }

    def model(self, earlier: Checkpoint | None = None) -> Any:
        """Build the model from the run's seed, on its device, as the stage before left it."""
        seed_global_state(self.seed, "build")
        model = self.method.build(self.parameters, self.population()).to(self.runtime.device)
        if earlier is not None:
            model.load_state_dict(earlier.tensors)
        return model

    def data(self) -> TrainingData:
        """Return the training rows."""
        train = self.split_table[self.split_table[SPLIT] == "train"]
        backbone = self.parameters.backbone
        height, width = backbone.image_size
        filters = list(dict.fromkeys([backbone.resize, backbone.evaluation_resize]))
        images = [
            images_of_rows(
                train,
                self.raw_images,
                TargetSize(height, width, each),
                self.runtime,
                self.image_cache,
                memory_limit=self.runtime.image_memory // len(filters),
            )
            for each in filters
        ]
        return TrainingData(
            images[0],
            np.array(train[LABEL], dtype=np.int64),  # a copy: pandas lends its own read-only
            camera_ids(train),
            self.runtime,
            self.seed,
            viewids=view_ids(train),
            evaluation_images=images[-1],
        )


def population_of(split_table: pd.DataFrame) -> Population:
    """Return identities, cameras and viewpoints of the training rows."""
    train = split_table[split_table[SPLIT] == "train"]
    highest = [train[name].max() for name in (LABEL, CAMID, VIEWID)]
    identities, cameras, views = (0 if pd.isna(value) else int(value) + 1 for value in highest)
    return Population(identities, cameras, views)


def camera_ids(rows: pd.DataFrame) -> np.ndarray | None:
    """Return the camids as int64 [n], -1 where unknown, or None if no row has one."""
    return _ids(rows[CAMID])


def view_ids(rows: pd.DataFrame) -> np.ndarray | None:
    """Return the viewids as int64 [n], -1 where unknown, or None if no row has one."""
    return _ids(rows[VIEWID])


def _ids(column: pd.Series) -> np.ndarray | None:
    return None if column.isna().all() else np.array(column.fillna(-1), dtype=np.int64)


def train_stage(
    run: TrainingRun,
    name: str,
    resume_point: Mapping[str, Any] | None,
    earlier: Checkpoint | None = None,
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Train one stage of the method and yield (resumable state, history) after every epoch.

    Args:
        run: what to train.
        name: the stage.
        resume_point: the last state that an earlier, killed run stored, or None. It is used if it was
            stored by the same parameters, data, seed and code version, and otherwise set aside.
        earlier: the stage before, as it was stored; None for the first.

    Raises:
        UserError: `earlier` was trained with other parameters or data; what the engine or the stage finds.
    """
    stage = run.stage(name)
    if earlier is not None:
        require_same_origin(earlier, run.describe(run.stage(earlier.description["stage"])))
    fingerprint = run.fingerprint(stage, earlier)
    resume = _usable(resume_point, fingerprint)
    for progress in fit(stage, run.model(earlier), run.data(), resume=resume):
        _log.info("%s", _summary(run.method.name, progress.history[-1], progress.epochs))
        state = {"fingerprint": fingerprint, "description": run.describe(stage), **progress.state}
        yield state, [dict(record) for record in progress.history]


def trained_model(method: Method, parameters: Any, checkpoint: Checkpoint) -> Any:
    """Build the method's model and load a checkpoint's tensors into it."""
    model = method.build(parameters, Population(**checkpoint.description["population"]))
    model.load_state_dict(checkpoint.tensors)
    return model


def _usable(resume_point: Mapping[str, Any] | None, fingerprint: str) -> Mapping[str, Any] | None:
    if resume_point is None:
        return None
    if resume_point["fingerprint"] != fingerprint:
        _log.warning(
            "A killed run left a state after epoch %d, but of other parameters, data, seed or code:"
            " training starts anew.",
            resume_point["epoch"],
        )
        return None
    _log.info("Going on after epoch %d, where a killed run stopped.", resume_point["epoch"])
    return resume_point


def _summary(method: str, record: Mapping[str, Any], epochs: int) -> str:
    parts = [f"{method} epoch {record['epoch']}/{epochs}", f"loss {record['loss']:.3f}"]
    if "clusters" in record:
        parts.append(f"{record['clusters']} clusters")
    if "noise_share" in record:
        parts.append(f"{record['noise_share']:.0%} noise")
    if "ground_truth" in record:
        parts.append(f"ARI {record['ground_truth']['ari']:.2f}")
    return ", ".join([*parts, f"{record['seconds']['epoch']:.1f} s"])
