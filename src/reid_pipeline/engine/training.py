"""From a split table to a trained model: what a training node asks for."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reid_pipeline import __version__
from reid_pipeline.engine.loop import fit
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.seeding import seed_global_state
from reid_pipeline.engine.stage import Method, TrainingData
from reid_pipeline.images.reid_images import ReIDImages
from reid_pipeline.schema.columns import CAMID, LABEL, PATH, SPLIT
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

    def fingerprint(self) -> str:
        """Return a hash of all that decides the result: parameters, data, seed, precision, code version."""
        facts = {
            "method": self.method.name,
            "parameters": self.parameters.model_dump(mode="json"),
            "data": data_hash(self.split_table),
            "seed": self.seed,
            "precision": self.runtime.precision,
            "device": self.runtime.device.type,
            "version": __version__,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def data(self) -> TrainingData:
        """Return the training rows."""
        train = self.split_table[self.split_table[SPLIT] == "train"]
        images = ReIDImages(
            self.raw_images.root,
            train[PATH].tolist(),
            self.parameters.backbone.image_size,
            memory_limit=self.runtime.image_memory,
        )
        return TrainingData(
            images, train[LABEL].to_numpy(np.int64), camera_ids(train), self.runtime, self.seed
        )


def camera_ids(rows: pd.DataFrame) -> np.ndarray | None:
    """Return the camids as int64 [n], -1 where unknown, or None if no row has one."""
    if rows[CAMID].isna().all():
        return None
    return rows[CAMID].fillna(-1).to_numpy(np.int64)


def train_stages(
    run: TrainingRun, resume_point: Mapping[str, Any] | None
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Train the method and yield (resumable state, history) after every epoch.

    Args:
        run: what to train.
        resume_point: the last state that an earlier, killed run stored, or None. It is used if it was
            stored by the same parameters, data, seed and code version, and otherwise set aside.

    Raises:
        UserError: what the engine or the stage finds.
    """
    fingerprint = run.fingerprint()
    resume = _usable(resume_point, fingerprint)
    seed_global_state(run.seed, "build")
    model = run.method.build(run.parameters).to(run.runtime.device)
    (stage,) = run.method.stages(run.parameters)
    for progress in fit(stage, model, run.data(), resume=resume):
        _log.info("%s", _summary(run.method.name, progress.history[-1], progress.epochs))
        state = {"fingerprint": fingerprint, **progress.state}
        yield state, [dict(record) for record in progress.history]


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
