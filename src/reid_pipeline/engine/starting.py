"""What a training starts from: pretrained weights, or with `init_from` a trained model, whose labels it inherits."""

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from reid_pipeline.engine.checkpoint import Checkpoint, digest_of_tensors
from reid_pipeline.engine.finite import require_finite
from reid_pipeline.engine.stage import Method
from reid_pipeline.models.embedder import Embedder
from reid_pipeline.models.importers import PublishedModel
from reid_pipeline.models.importers.embedder import published_embedder
from reid_pipeline.models.importers.settings import published_settings
from reid_pipeline.models.pretrained import weights_digest
from reid_pipeline.models.reid_model import ReIDModel
from reid_pipeline.models.starting import take_over
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.given_labels import images_of
from reid_pipeline.schema.origin import INIT_FROM, LABELS_OF, TEXT_TOWER, LabelUse, inherited_label_use
from reid_pipeline.schema.population import Population

InitialModel = Embedder | PublishedModel
"""What `init_from` names, as the catalog reads it."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """What a run of one method starts from; `initial` is None for pretrained weights."""

    method: Method
    parameters: Any
    population: Population
    benchmark: str | None = None
    initial: InitialModel | None = None

    def model(self, *, announced: bool = False) -> ReIDModel:
        """Build the method's model; of an initial model it says, where it is `announced`, what was taken over.

        Raises:
            UserError: the weights cannot be used, or the initial model is of another tower.
        """
        if self.initial is None:
            return self.method.build(self.parameters, self.population)
        model = self.method.build(self._parameters(self._source), self.population)
        if not self.method.stage_names:
            model.neck = self._source.neck  # it is evaluated as it is
        named = self._named
        lines = take_over(model, self._source, named=named, same_cameras=self._same_benchmark)
        for line in [f"tower {model.encoder.name} of {named}", *lines] if announced else ():
            _log.info("%s starts from: %s.", self.method.name, line)
        return model

    def _parameters(self, source: Embedder) -> Any:
        """Return the parameters without the image tower's pretrained weights, which would be replaced."""
        backbone = self.parameters.backbone
        own = {
            "pixel_mean": backbone.pixel_mean or source.encoder.pixel_mean,
            "pixel_std": backbone.pixel_std or source.encoder.pixel_std,
            **({} if self.method.reads_text else {"pretrained": None}),
        }
        return self.parameters.model_copy(update={"backbone": backbone.model_copy(update=own)})

    @cached_property
    def weights(self) -> str:
        """SHA-256 of the weights that the image tower starts from, or "random"."""
        if isinstance(self.initial, PublishedModel):
            return self.initial.digest
        if self.initial is not None:
            origin = self.initial.origin
            return (origin and origin.digest) or digest_of_tensors(self.initial.state_dict())
        return self._pretrained

    @cached_property
    def made_from(self) -> dict[str, str]:
        """Digests of what it starts from, for `Origin.made_from`; empty for pretrained weights."""
        if self.initial is None:
            return {}
        text = {TEXT_TOWER: self._pretrained} if self.method.reads_text else {}
        return {INIT_FROM: self.weights, **text, **self._origins}

    @cached_property
    def label_use(self) -> LabelUse:
        """Whose labels a training has used that starts so."""
        own, source = self.method.labels_used(self.parameters), self._label_use_of_source
        if own != "all" and self._own_labels in self._origins:
            return "partial" if source == "partial" else "all"
        return inherited_label_use(own, source)

    @property
    def _pretrained(self) -> str:
        return weights_digest(self.parameters.backbone.name, self.parameters.backbone.pretrained)

    @property
    def _same_benchmark(self) -> bool:
        """Whether the initial model is known to be of this run's benchmark."""
        origin = self.initial.origin if isinstance(self.initial, Embedder) else None
        return bool(origin and self.benchmark and _whole(origin.benchmark) == _whole(self.benchmark))

    @property
    def _own_labels(self) -> str:
        return LABELS_OF + _whole(self.benchmark)

    @property
    def _label_use_of_source(self) -> LabelUse | None:
        if isinstance(self.initial, PublishedModel):
            return "all" if self.initial.identities else "none"
        origin = None if self.initial is None else self.initial.origin
        return None if origin is None else origin.label_use

    @cached_property
    def _origins(self) -> dict[str, str]:
        """By the benchmarks whose labels the initial model has used: digests of their tables, else of its file."""
        if isinstance(self.initial, PublishedModel):  # it does not say which; as many identities are those of this one
            same = self.initial.identities == self.population.identities
            return (
                {self._own_labels if same else f"{LABELS_OF}another": self.weights} if self.initial.identities else {}
            )
        origin = None if self.initial is None else self.initial.origin
        if origin is None:
            return {}
        earlier = {name: value for name, value in origin.made_from.items() if name.startswith(LABELS_OF)}
        own = (
            {} if origin.label_use in ("none", "source") else {LABELS_OF + _whole(origin.benchmark): origin.data or ""}
        )
        return {**earlier, **own}

    @property
    def _named(self) -> str:
        if isinstance(self.initial, PublishedModel):
            return f"{self.initial.file} (SHA-256 {self.weights[:12]})"
        origin = None if self.initial is None else self.initial.origin
        return f"{origin.file if origin else 'an embedder'} (SHA-256 {self.weights[:12]})"

    @cached_property
    def _source(self) -> Embedder:
        """The initial model as an embedder, on the grid that it was trained on."""
        if isinstance(self.initial, PublishedModel):
            return _embedder_of(self.initial, self.parameters.backbone)
        if self.initial is None:
            raise ValueError("there is no initial model")
        if self.initial.origin is None:
            raise UserError(
                f"init_from {self._named} does not say what it was made from: it was written by an earlier version of"
                " this project. Export it again, or train it anew."
            )
        return self.initial


def require_finite_weights(model: ReIDModel, start: Start, checkpoint: Checkpoint | None = None) -> None:
    """Refuse weights that are not finite: those of a checkpoint, or those that training starts from."""
    method = start.method.name
    if checkpoint is None:
        given = f"backbone.pretrained: {start.parameters.backbone.pretrained}" if start.initial is None else INIT_FROM
        require_finite(model, f"The weights that {method} starts from ({given})", "Get the file again, or another one.")
    else:
        stage = checkpoint.description.stage
        remedy = f"Train it again at a lower learning rate: --from-nodes={method}.train_{stage}"
        require_finite(model, f"The weights in the checkpoint of {stage}", remedy)


def _whole(benchmark: str | None) -> str:
    """Return a benchmark's name, of a sample or of a collection with given labels that of the whole."""
    return images_of(benchmark or "")


def _embedder_of(published: PublishedModel, backbone: Any) -> Embedder:
    """Return a published model as an embedder without side information; of this run's size, if that is its grid's."""
    try:
        model = published.preferring(backbone.name)
        with torch.random.fork_rng(devices=[]):
            return published_embedder(model, published_settings(model, backbone, (), None))
    except UserError as error:
        raise UserError(
            f"init_from: {error} Or import it first, kedro run --pipeline=import_model --params"
            f" checkpoint={published.file},method={published.family.method} with --env as it was trained, and start"
            " from that cell: it says which grid and pixels it has."
        ) from error
