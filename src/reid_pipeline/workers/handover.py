"""A folder by which head and workers exchange a training: the spec and its tables there, states and errors back.

Every file is replaced whole. Tensors and tables are written and read by the catalog's own dataset classes.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from reid_pipeline.io.atomic import AtomicParquetDataset
from reid_pipeline.io.initial import InitialModelDataset
from reid_pipeline.io.weights import CheckpointDataset, TrainingStateDataset
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import ComputeParameters
from reid_pipeline.schema.records import EpochRecord

if TYPE_CHECKING:
    import pandas as pd

    from reid_pipeline.engine.checkpoint import Checkpoint
    from reid_pipeline.engine.training import TrainingRun

Epoch = tuple[dict[str, Any], list[EpochRecord]]
"""What a training yields: its resumable state, and its history."""
LAUNCHER_LOG_BEFORE = "launcher.before.log"
LAUNCHER_LOG, RECORDS, ERROR, HEAD = "launcher.log", "records.jsonl", "error.json", "head.json"


class Spec(BaseModel):
    """A training stage as workers are handed it; paths are absolute."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    stage: str
    parameters: dict[str, Any]  # in force: what the data decide is in them
    whole: dict[str, Any] | None  # of a sample: those that the whole is trained with
    auto: list[str]
    compute: ComputeParameters
    seed: int
    benchmark: str | None
    variant: str
    raw_root: str
    image_cache: str | None
    initial: str | None  # the file of the model that training starts from
    continues: bool  # whether there is a state to go on from
    follows: bool  # whether there is a checkpoint of the stage before


@dataclass(frozen=True)
class Handover:
    """The folder, on a disk that all processes see."""

    folder: Path

    def put(
        self,
        run: "TrainingRun",
        stage: str,
        compute: ComputeParameters,
        resume: Mapping[str, Any] | None,
        earlier: "Checkpoint | None",
    ) -> None:
        """Write a training for the workers; what an earlier run left here goes, but for what its launcher printed."""
        log = self.folder / LAUNCHER_LOG
        before = log.read_bytes() if log.is_file() else b""
        _make_empty(self.folder)
        if before:
            (self.folder / LAUNCHER_LOG_BEFORE).write_bytes(before)
        self._table.save(run.split_table)
        if resume is not None:
            self._resume.save(dict(resume))
        if earlier is not None:
            self._earlier.save(earlier)
        spec = Spec(
            method=run.method.name,
            stage=stage,
            parameters=run.parameters.model_dump(mode="json"),
            whole=None if run.whole is None else run.whole.model_dump(mode="json"),
            auto=sorted(run.auto),
            compute=compute,
            seed=run.seed,
            benchmark=run.benchmark,
            variant=run.variant,
            raw_root=str(run.raw_images.root.absolute()),
            image_cache=None if run.image_cache is None else str(run.image_cache.folder.absolute()),
            initial=_file_of(run.initial),
            continues=resume is not None,
            follows=earlier is not None,
        )
        write_json(self.folder / "spec.json", spec.model_dump(mode="json"))

    def spec(self) -> Spec:
        """Return what is to be trained."""
        return Spec.model_validate_json((self.folder / "spec.json").read_text(encoding="utf-8"))

    def table(self) -> "pd.DataFrame":
        """Return the split table."""
        table: pd.DataFrame = self._table.load()
        return table

    def initial(self, spec: Spec) -> Any:
        """Return the model that training starts from; None for pretrained weights."""
        return InitialModelDataset(filepath=spec.initial).load()

    def earlier(self, spec: Spec) -> "Checkpoint | None":
        """Return the checkpoint of the stage before."""
        if not spec.follows:
            return None
        checkpoint: Checkpoint = self._earlier.load()
        return checkpoint

    def resume(self, spec: Spec) -> dict[str, Any] | None:
        """Return the state to go on from: the last one that workers stored, else the one that the head handed over."""
        stored = self._progress.load()
        if stored is not None:
            state: dict[str, Any] = stored["state"]
            return state
        return self._resume.load() if spec.continues else None

    def store(self, epoch: Epoch) -> None:
        """Store an epoch in the place of the one before."""
        state, history = epoch
        self._progress.save({"state": state, "history": [each.model_dump(mode="json") for each in history]})

    def stored(self) -> Epoch | None:
        """Return the last epoch that workers stored."""
        found = self._progress.load()
        if found is None:
            return None
        return found["state"], [EpochRecord.model_validate(each) for each in found["history"]]

    def stamp(self) -> tuple[int, int] | None:
        """Return what distinguishes the last stored epoch from the next; None where there is none."""
        return self._progress.stamp()

    def refuse(self, text: str) -> None:
        """Hand the head the sentence that ends training; the first one counts."""
        if not (self.folder / ERROR).exists():
            write_json(self.folder / ERROR, {"text": text})

    def refusal(self) -> str | None:
        """Return the sentence that ends training."""
        found = read_json(self.folder / ERROR)
        return None if found is None else str(found["text"])

    @property
    def _table(self) -> AtomicParquetDataset:
        return AtomicParquetDataset(filepath=str(self.folder / "split_table.parquet"))

    @property
    def _earlier(self) -> CheckpointDataset:
        return CheckpointDataset(filepath=str(self.folder / "earlier.safetensors"))

    @property
    def _resume(self) -> TrainingStateDataset:
        return TrainingStateDataset(filepath=str(self.folder / "resume.pt"))

    @property
    def _progress(self) -> TrainingStateDataset:
        return TrainingStateDataset(filepath=str(self.folder / "progress.pt"))


def _make_empty(folder: Path) -> None:
    """Make the folder, or empty it; a link to one, on a faster disk, stays a link."""
    if not folder.is_dir():
        folder.unlink(missing_ok=True)
        folder.mkdir(parents=True)
    for each in folder.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink()


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Replace a small file whole."""
    written = file.with_name(f".{file.name}.{os.getpid()}")
    written.write_text(json.dumps(content), encoding="utf-8")
    written.replace(file)


def read_json(file: Path) -> dict[str, Any] | None:
    """Return what a file holds that `write_json` wrote; None where there is none."""
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found


def _file_of(initial: Any) -> str | None:
    """Return the file of the model that training starts from, from which workers read it."""
    if initial is None:
        return None
    origin = getattr(initial, "origin", None)
    file = origin.file if origin is not None else getattr(initial, "file", "")
    if not file:
        raise UserError("The model that training starts from has no file, from which several processes could read it.")
    return str(Path(file).absolute())
