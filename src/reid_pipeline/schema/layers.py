"""The layers that parameters come from, what they come to, and the cell that each method of a run writes.

The later layer wins: base, environment, overlay, tuned, command line. In each layer the block `backbone` lies
under every method's own `<method>.backbone`. docs/parameters.md is the page on it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from pydantic import ValidationError

from reid_pipeline.schema.addresses import ZERO_SHOT, Cell, component, name_of, variant_of
from reid_pipeline.schema.auto_plan import LEFT_OPEN, PLAN, left_open, open_in_force, provisional, with_open
from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.export_parameters import EXPORT_TEXT
from reid_pipeline.schema.gallery_parameters import GALLERY_BLOCKS, GALLERY_TEXT
from reid_pipeline.schema.given_labels import LABELS_FROM
from reid_pipeline.schema.nested import leaves, merged, nested
from reid_pipeline.schema.origin import INIT_FROM
from reid_pipeline.schema.parameters import ComputeParameters, SharedParameters
from reid_pipeline.schema.sample import SAMPLE, lengths, shortened

BACKBONE = "backbone"
CELLS = "cells"
"""The parameter that the loader makes: every method's cell."""
RAW_ROOT = "raw_root"
"""The parameter that names the folder to read images from."""
CHECKPOINT = "checkpoint"
"""The parameter that names a published model to import."""
IMPORT = "import_model"
"""The pipeline that does it, its nodes' namespace, and the parameter that the loader makes for it: `Import`."""
IMPORTED = "imported"
"""How the variant of an imported model begins that the user has not named."""
MODEL, IMAGES, OUTPUT_NAME = "model", "images", "name"
"""The parameters that name a trained model, images to be embedded with it, and what the result is called."""
TEXT = (
    RAW_ROOT, "collection", LABELS_FROM, "variant", "overlay", "method", "study", "tuned", CHECKPOINT, INIT_FROM,
    MODEL, IMAGES, OUTPUT_NAME, *EXPORT_TEXT, *GALLERY_TEXT,
)  # fmt: skip
"""Parameters that name something: text, whatever YAML would make of it."""
LEARNT = ("sie", "sie_coefficient", "sie_tokens")
"""What a backbone learns, which one that learns nothing does not take from the shared block."""
_PIXELS = ("image_size", "pixel_mean", "pixel_std", "resize", "evaluation_resize")
_NORMALISED = ("pixel_mean", "pixel_std", "evaluation_resize")
FOLLOWED = ("name", "pretrained", "patch_stride", *_PIXELS)
"""What of a method's own backbone the method that it is compared with takes, too."""
GIVEN_AT_RUN = (*TEXT, "synthetic")
"""Shared parameters that the command line, or what stands for it, gives and conf/ does not."""
_SHOWN = {"clusters", "report", "embed", "export", *GALLERY_BLOCKS}
_NO_DIFFERENCE = {"benchmark", "seed", SAMPLE, CELLS, *TEXT, BACKBONE, *_SHOWN, "tuning", "pretrain_demo_clip"} - {
    INIT_FROM
} | {PLAN, LEFT_OPEN}
"""Shared parameters that are in the address, that change no figure, or those of single methods (`with_open`)."""
_NO_DIFFERENCE_IN = {"compute": set(ComputeParameters.model_fields) - {"precision"}, "ingestion": {"strict_counts"}}

Values = Mapping[str, Any]
Models = Mapping[str, type[Parameters]]
WeightsOf = Callable[[Values, str], Values]
"""From a backbone, and the name of another in its place, to `pretrained` and what else of that belongs to weights."""


def resolved(
    layers: Sequence[Values], conf_layers: int, models: Models, weights_of: WeightsOf = lambda _old, _name: {}
) -> dict[str, Any]:
    """Return the parameters in force of `layers`, from base up, of which the first `conf_layers` are conf's.

    Where a layer above conf/ gives backbones to single methods, `zero_shot`, which every method is compared
    with, takes what these change and agree on, so that both have one backbone. Where it names another backbone,
    what it gives not of its weights and pixels is what `weights_of` says.
    """
    parameters: dict[str, Any] = {}
    for place, layer in enumerate(layers):
        spread = _spread(layer, models)
        if place >= conf_layers and isinstance(spread.get(ZERO_SHOT, {}), Mapping):
            followed = _followed(layer, parameters, merged(parameters, spread), models)
            spread = merged({ZERO_SHOT: {BACKBONE: followed}} if followed else {}, spread)
        if place >= conf_layers:
            spread = merged(_weights(parameters, spread, models, weights_of), spread)
        parameters = merged(parameters, spread)
    return parameters


def differences(below: Values, above: Values, method: str, models: Models) -> dict[str, Any]:
    """Return what `above` has and `below` has not, by dotted name: all that can change the method's figures.

    Values are compared as the models read them: what says the same in other words is no difference, nor is
    what follows from another difference (a recipe). The method's own parameters go without its name.
    """
    own = _changed(
        _mapping(below.get(method)), _mapping(above.get(method)), lambda values: _as_read(models[method], values)
    )
    beside = {name: value for name, value in below.items() if name not in models and name != BACKBONE}
    return own | _changed(
        _shared(below, models),
        _shared(above, models),
        lambda values: _as_read(SharedParameters, merged(beside, values)),
    )


def _spread(layer: Values, models: Models) -> dict[str, Any]:
    """Return a layer whose shared backbone lies under every method's own."""
    shared = layer.get(BACKBONE)
    if not isinstance(shared, Mapping):
        return dict(layer)
    beneath = {
        name: {BACKBONE: {key: value for key, value in shared.items() if name != ZERO_SHOT or key not in LEARNT}}
        for name, model in models.items()
        if BACKBONE in model.model_fields and isinstance(layer.get(name, {}), Mapping)
    }
    return merged(beneath, layer)


def _followed(layer: Values, below: Values, above: Values, models: Models) -> dict[str, Any]:
    """Return what a layer's own backbones of single methods change, where all that change one agree."""
    changes = []
    for name, model in models.items():
        given = [key for key in _mapping(_mapping(layer.get(name)).get(BACKBONE)) if key in FOLLOWED]
        if given and name != ZERO_SHOT:
            blocks = [_mapping(each.get(name)) for each in (below, above)]
            before, after = (_mapping((_as_read(model, block) or block).get(BACKBONE)) for block in blocks)
            renamed = after.get("name") != before.get("name")  # then what is given stands against what the name implies
            changes.append({key: after.get(key) for key in given if renamed or after.get(key) != before.get(key)})
    first, *others = [each for each in changes if each] or [{}]
    return {key: value for key, value in first.items() if all(key in other and other[key] == value for other in others)}


def _weights(below: Values, layer: Values, models: Models, weights_of: WeightsOf) -> dict[str, Any]:
    """Return what follows from the name of each backbone that a layer names otherwise than below."""
    found = {}
    for method in models:
        old, new = (_mapping(_mapping(values.get(method)).get(BACKBONE)) for values in (below, layer))
        if implied := _implied(old, new, weights_of):
            found[method] = {BACKBONE: implied}
    return found


def _implied(old: Values, new: Values, weights_of: WeightsOf) -> Values:
    """Return what of a backbone follows from its name; nothing for that of `old`."""
    name = new.get("name")
    return weights_of(old, name) if isinstance(name, str) and name != old.get("name") else {}


def _mapping(value: Any) -> Values:
    return value if isinstance(value, Mapping) else {}


def _shared(parameters: Values, models: Models) -> dict[str, Any]:
    """Return the parameters of no method that can change a figure."""
    found = {name: value for name, value in parameters.items() if name not in models and name not in _NO_DIFFERENCE}
    for name, ignored in _NO_DIFFERENCE_IN.items():
        if isinstance(found.get(name), Mapping):
            found[name] = {key: value for key, value in found[name].items() if key not in ignored}
    return found


def _as_read(model: type[Parameters], values: Values) -> dict[str, Any] | None:
    """Return plain values as `model` reads them, None where it refuses them."""
    try:
        return model.model_validate(values).model_dump(mode="json")
    except ValidationError:
        return None


def _changed(below: Values, above: Values, read: Callable[[Values], dict[str, Any] | None]) -> dict[str, Any]:
    """Return the least that makes `below` what `above` is, one parameter after the other."""
    old, new = dict(leaves(below)), dict(leaves(above))
    found = [name for name, value in new.items() if value != {} and (name not in old or old[name] != value)]
    whole = read(above) if found else None
    if whole is None:
        return {name: new[name] for name in found}
    needed, rest = [], new
    for name in found:
        without = {key: value for key, value in rest.items() if key != name}
        without |= {key: value for key, value in old.items() if f"{key}.".startswith(f"{name}.")}
        if read(nested(without)) == whole:
            rest = without
        else:
            needed.append(name)
    as_read = dict(leaves(whole))
    return {name: as_read.get(name, new[name]) for name in needed}


@dataclass(frozen=True)
class Layer:
    """One layer of parameters."""

    values: Values = field(default_factory=dict)  # as a parameter file holds them
    label: str = ""  # what a variant is called for it; empty where it is called after what differs
    card: tuple[str, str] | None = None  # of a run card, its method and that one's variant as its folder is named
    found: Values = field(default_factory=dict)  # of a run card, what the run found by itself: it makes no variant
    of_sample: bool = False  # a sample's card or study, whose plans are short


@dataclass(frozen=True)
class Layers:
    """All layers of a run, and what is needed to read them."""

    conf: Sequence[Values]  # base and environment
    named: Sequence[Layer]  # overlay and tuned parameters, those that there are
    given: Values  # on the command line, or what stands for it
    models: Models  # of the methods' parameters, by name
    weights_of: WeightsOf = lambda _old, _name: {}  # of a backbone that is named

    def in_force(self) -> dict[str, Any]:
        """Return the parameters of the run; the plans of a sample are shortened, under what was given.

        What the data decide of a plan is that of a nominal collection, until a node has read them.
        """
        parameters = self._up_to(len(self.named), self.given)
        found = provisional(parameters, self.models)
        return {name: value for name, value in found.items() if name != LEFT_OPEN}

    def whole(self) -> dict[str, dict[str, Any]]:
        """Return how long the plans of the same run without its sample are, by method; empty without one."""
        if not self.given.get(SAMPLE):
            return {}
        layers = [*self._below(len(self.named)), self.given]
        short = [layer.values for layer in self.named if layer.of_sample]
        return lengths(resolved(layers, len(self.conf), self.models, self.weights_of), self.models, short)

    def cells(self, *, benchmark: str, seed: int, variant: str | None = None) -> dict[str, Cell]:
        """Return the cell of every method.

        A method whose parameters are conf's has conf's cell. Otherwise the cell is named by `variant` (where an equal
        `zero_shot` stays in conf's); else by the overlay and the study that the parameters come from, followed by what
        else differs.
        """
        steps = [self._up_to(count) for count in range(len(self.named) + 1)]
        run = self._up_to(len(self.named), self.given)
        whole = self.whole()
        found = {}
        for method in self.models:
            differs = self._differences(steps[0], run, method)
            if variant is None:
                name = self._variant(method, steps, run, differs)
            else:
                name = component(variant, "variant") if differs or method != ZERO_SHOT else ""
            address: dict[str, Any] = {"benchmark": benchmark, "method": method, "variant": name, "seed": seed}
            auto = open_in_force(run, method)
            found[method] = Cell(**address, differs=differs, whole=whole.get(method, {}), auto=auto)
        return found

    def given_backbone(self, method: str) -> list[str]:
        """Return the names of what the layers above conf/ give of a method's backbone, in order.

        Of an environment's own layer only how pixels are read counts: it says more than a published model does.
        """
        names: dict[str, None] = {}
        for place, layer in enumerate([*self.conf[1:], *(each.values for each in self.named), self.given]):
            own = _mapping(_mapping(_spread(layer, self.models).get(method)).get(BACKBONE))
            names |= dict.fromkeys(name for name in own if place >= len(self.conf) - 1 or name in _NORMALISED)
        return list(names)

    def _up_to(self, count: int, given: Values | None = None) -> dict[str, Any]:
        layers = self._below(count)
        if self.given.get(SAMPLE):
            layers.append(
                shortened(resolved(layers, len(self.conf), self.models, self.weights_of), self.given, self.models)
            )
        above = [given] if given else []
        parameters = resolved([*layers, *above], len(self.conf), self.models, self.weights_of)
        return parameters | {LEFT_OPEN: left_open([*self._below(count), *above], self.models)}

    def _below(self, count: int) -> list[Values]:
        """Return the layers of conf and the first `count` of those named."""
        return [*self.conf, *(layer.values for layer in self.named[:count])]

    def _differences(self, below: Values, above: Values, method: str) -> dict[str, Any]:
        found = [item for layer in self.named for item in layer.found.items()]
        differs = with_open(differences(below, above, method, self.models), below, above, method)
        return {name: value for name, value in differs.items() if (name, value) not in found}

    def _variant(self, method: str, steps: Sequence[Values], run: Values, differs: Mapping[str, Any]) -> str:
        own = next((layer.card[1] for layer in self.named if layer.card and layer.card[0] == method), "")
        if not differs:
            return own
        below, labels = steps[0], []
        for layer, step in zip(self.named, steps[1:], strict=True):
            label = self._label(layer, steps[0], step)
            if label and self._differences(below, step, method):
                labels.append(label)
                below = step
        rest = self._differences(below, run, method)
        old, new = (_mapping(_mapping(values.get(method)).get(BACKBONE)) for values in (below, run))
        implied = _implied(old, new, self.weights_of)
        follows = {f"{BACKBONE}.{key}" for key, value in implied.items() if key in new and new[key] == value}
        return variant_of(*labels, name_of({name: value for name, value in rest.items() if name not in follows}))

    def _label(self, layer: Layer, conf: Values, step: Values) -> str:
        """Return what a layer is called; nothing for a run card whose variant only says what differs."""
        if layer.card is None:
            return layer.label
        method, variant = layer.card
        if method in self.models and variant == variant_of(name_of(self._differences(conf, step, method))):
            return ""
        return unquote(variant)
