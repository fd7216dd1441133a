"""Which cell each method of a run writes, and what its variant is called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from reid_pipeline.schema.addresses import Cell, component, name_of, variant_of
from reid_pipeline.schema.layers import Models, Values, differences, resolved


@dataclass(frozen=True)
class Layer:
    """One layer of parameters.

    Attributes:
        values: as a parameter file holds them.
        label: what a variant is called for it; empty where it is called after what differs.
        card: of a run card, its method and that one's variant as its folder is named.
        found: of a run card, what the run found and was not given, by dotted name: it makes no variant.
    """

    values: Values = field(default_factory=dict)
    label: str = ""
    card: tuple[str, str] | None = None
    found: Values = field(default_factory=dict)


@dataclass(frozen=True)
class Layers:
    """All layers of a run, and what is needed to read them.

    Attributes:
        conf: base and environment.
        named: overlay and tuned parameters, those that there are.
        given: on the command line, or what stands for it.
        models: of the methods' parameters, by name.
        zero_shot: the method that every other is compared with.
    """

    conf: Sequence[Values]
    named: Sequence[Layer]
    given: Values
    models: Models
    zero_shot: str

    def in_force(self) -> dict[str, Any]:
        """Return the parameters of the run."""
        return self._up_to(len(self.named), self.given)

    def cells(self, *, benchmark: str, seed: int, variant: str | None = None) -> dict[str, Cell]:
        """Return the cell of every method.

        A method whose parameters are conf's has conf's cell. Otherwise the cell is named by `variant`; else
        by the overlay and the study that the parameters come from, followed by what else differs.

        Args:
            benchmark: the benchmark or collection, as its folders are named.
            seed: of the run.
            variant: the name of all that is not conf's; an equal `zero_shot` stays in conf's cell.
        """
        steps = [self._up_to(count) for count in range(len(self.named) + 1)]
        run = self.in_force()
        found = {}
        for method in self.models:
            differs = self._differences(steps[0], run, method)
            if variant is not None:
                called = component(variant, "variant") if differs or method != self.zero_shot else ""
            else:
                called = self._called(method, steps, run, differs)
            found[method] = Cell(benchmark=benchmark, method=method, variant=called, seed=seed, differs=differs)
        return found

    def _up_to(self, count: int, given: Values | None = None) -> dict[str, Any]:
        layers = [*self.conf, *(layer.values for layer in self.named[:count]), *([given] if given else [])]
        return resolved(layers, len(self.conf), self.models, self.zero_shot)

    def _differences(self, below: Values, above: Values, method: str) -> dict[str, Any]:
        found = [item for layer in self.named for item in layer.found.items()]
        differs = differences(below, above, method, self.models)
        return {name: value for name, value in differs.items() if (name, value) not in found}

    def _called(self, method: str, steps: Sequence[Values], run: Values, differs: Mapping[str, Any]) -> str:
        own = next((layer.card[1] for layer in self.named if layer.card and layer.card[0] == method), "")
        if not differs:
            return own
        below, labels = steps[0], []
        for layer, step in zip(self.named, steps[1:], strict=True):
            label = self._label(layer, steps[0], step)
            if label and self._differences(below, step, method):
                labels.append(label)
                below = step
        return variant_of(*labels, name_of(self._differences(below, run, method)))

    def _label(self, layer: Layer, conf: Values, step: Values) -> str:
        """Return what a layer is called; nothing for a run card whose variant only says what differs."""
        if layer.card is None:
            return layer.label
        method, variant = layer.card
        if method in self.models and variant == variant_of(name_of(self._differences(conf, step, method))):
            return ""
        return unquote(variant)
