"""What a method is made of: a `Stage` answers the questions of the loop, a `Method` lists its stages.

Imports no torch, so that a method's module, with its parameter model, loads at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar

from reid_pipeline.schema.origin import LabelUse
from reid_pipeline.schema.population import Population

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

    from reid_pipeline.engine.runtime import Runtime
    from reid_pipeline.images.reid_images import ReIDImages
    from reid_pipeline.models.reid_model import ReIDModel
    from reid_pipeline.schema.base import Parameters
    from reid_pipeline.schema.parameters import TrainingPlan

M = TypeVar("M", bound="nn.Module")


@dataclass(frozen=True)
class TrainingData:
    """What a stage trains on.

    Attributes:
        images: the training images, by row.
        labels: int64 [n], the published identities as contiguous indices; -1 where no identity is known. A method
            without labels may use them as diagnostics only.
        camids, viewids, trackids: int64 [n], -1 where unknown; None where there are no cameras, viewpoints, tracklets.
        names: the user's own, of the identities by label.
        runtime: device and precision.
        seed: the run's seed; every generator is derived from it.
        evaluation_images: the same images, resized as those of the test are; None where `images` are.
    """

    images: ReIDImages
    labels: np.ndarray
    camids: np.ndarray | None
    runtime: Runtime
    seed: int
    viewids: np.ndarray | None = None
    trackids: np.ndarray | None = None
    names: tuple[str, ...] = ()
    evaluation_images: ReIDImages | None = None

    @property
    def plain_images(self) -> ReIDImages:
        """The images to embed without augmentation, resized as those of the test are."""
        return self.images if self.evaluation_images is None else self.evaluation_images

    @property
    def ids(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Camids and viewids."""
        return self.camids, self.viewids


@dataclass(frozen=True)
class Batch:
    """One step's input on the device: normalised images and further augmented `views` [B, 3, H, W]; the rest [B].

    Where several processes train together, images, views and ids are those of the process, and labels of the whole
    batch, as are the features that a tower makes of them.
    """

    images: torch.Tensor
    labels: torch.Tensor
    camids: torch.Tensor | None
    viewids: torch.Tensor | None = None
    views: tuple[torch.Tensor, ...] = ()


@dataclass(frozen=True)
class StepOutput:
    """What a step returns: weighted losses by name, whose sum is minimised, and tensors for `after_step`.

    `stopped` is set by the loop, for `after_step`: float [], where losses stay on their device; 1: they were not finite
    in this step or one before, the optimiser's step changed nothing, and so shall the memory's update.
    """

    losses: dict[str, torch.Tensor]
    retained: dict[str, torch.Tensor] = field(default_factory=dict)
    stopped: torch.Tensor | None = None


class TrainingEnded(Exception):  # noqa: N818 - nothing went wrong in the program
    """A stage cannot go on, and its best model so far is worth exporting; the text says why.

    For `Stage.epoch_batches` to raise, of an epoch after the first, where the stage measures its model.
    """


class Work(NamedTuple):
    """What a stage does beside its steps, for the time that it will take."""

    augments: bool = True  # whether a step augments the images that it reads
    embeds: Literal["never", "once", "each epoch"] = "never"  # all training images
    embeds_every: int = 1  # of "each epoch": epochs from one embedding to the next
    embeds_share: float = 1.0  # of the images, in embeddings after the first
    uncounted: tuple[str, ...] = ()  # parts of an epoch whose time is not known before


class Stage(ABC, Generic[M]):
    """One training stage of a model of class `M`: the loop in `engine.loop` asks, a stage answers.

    Attributes:
        name: of the stage, part of node names, seeds and history records.
        plan: the stage's schedule.
        reads: the method's parameters that decide its result; empty: all. A later stage goes on from a stored result
            if these are what they were.
        work: what it does beside its steps.
    """

    name: str = "stage"
    reads: tuple[str, ...] = ()
    work: Work = Work()

    def __init__(self, plan: TrainingPlan) -> None:
        self.plan = plan

    @abstractmethod
    def epoch_batches(self, model: M, data: TrainingData, epoch: int) -> Iterable[Batch]:
        """Yield the epoch's batches; labels are decided here. `epoch` counts from 1."""

    @abstractmethod
    def step(self, model: M, batch: Batch) -> StepOutput:
        """Return the named, weighted losses of a batch, and what `after_step` needs."""

    def rehearse(self, model: M, batch: Batch) -> torch.Tensor:
        """Return a scalar whose forward and backward passes take what those of a step do, to time these.

        It may be asked before `begin`, and of any batch. By default the images go through the model once.
        """
        output: torch.Tensor = model(batch.images, batch.camids, batch.viewids)
        return output.float().sum()

    def param_groups(self, model: M) -> list[dict[str, Any]]:
        """Return what moves, at which rate; by default all parameters that require a gradient."""
        from reid_pipeline.engine.loop import trainable_groups

        return trainable_groups(model, self.plan)

    def begin(self, model: M, data: TrainingData) -> None:
        """Prepare once, before the first epoch of this process: freeze, cache. By default nothing."""

    def after_step(self, batch: Batch, output: StepOutput) -> None:
        """Follow an optimiser step; not called when mixed precision skips the step. By default nothing."""

    def facts(self) -> Mapping[str, Any]:
        """Return numbers of the epoch for the history; `seconds` maps the stage's own parts to time."""
        return {}

    def measure(self) -> float | None:
        """Return how good the model was when `epoch_batches` returned, without labels; larger is better.

        A stage that answers in the first epoch has its best model exported, the one before training among them; None in
        a later epoch: the model that it began with is not compared. By default None: nothing is measured, and the last
        model is exported.
        """
        return None

    def judge(self, model: M, data: TrainingData) -> float | None:  # noqa: ARG002 - a stage may need both
        """Return the same of the model after the last epoch, of which `facts` then are; None: it is not compared.

        Asked only of a stage that measures.
        """
        return None

    def state(self) -> Mapping[str, Any]:
        """Return what the stage needs of the epochs before, to go on after a kill: tensors, plain values, by name."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` returned, which may lack what this version added. By default nothing."""


@dataclass(frozen=True)
class Method:
    """A method as data.

    Attributes:
        name: as users type it; also the name of its module and of its Kedro namespace.
        params: the model of its parameters, of conf/base/parameters_<name>.yml; it has at least a field `backbone`.
        build: parameters and `Population` to the model that is trained; its `embedder()` is what retrieval uses.
        stages: parameters to the stages, in order; empty for a method that does not train.
        stage_names: their names, known before any parameter is: they name the nodes.
        label_use: whose identity labels training reads: "all", "partial" or "none". Diagnosis does not count.
        description: one line for tables and help.
        clusters: whether its last stage trains with pseudo labels, and has the last ones in its state as `labels`.
        reads_text: whether it reads CLIP's text tower, and with it the weights of `backbone.pretrained` in any case.
        label_use_by: parameters to the label use, where they decide it; `label_use` is then that of conf/base.
    """

    name: str
    params: type[Parameters]
    build: Callable[[Any, Population], ReIDModel]
    stages: Callable[[Any], Sequence[Stage[Any]]]
    stage_names: tuple[str, ...]
    label_use: LabelUse
    description: str
    clusters: bool = False
    reads_text: bool = False
    label_use_by: Callable[[Any], LabelUse] | None = None

    def labels_used(self, parameters: Any) -> LabelUse:
        """Return whose identity labels a training with these parameters reads."""
        return self.label_use if self.label_use_by is None else self.label_use_by(parameters)
