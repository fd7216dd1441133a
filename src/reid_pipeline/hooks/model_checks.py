"""Checks of the models that a run would build, and of a published model beside it: part of the preflight."""

from collections.abc import Mapping
from typing import Any

from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from reid_pipeline.hooks.small_offer import offer_for_cpu, offer_for_weights
from reid_pipeline.methods import find_method, method_names
from reid_pipeline.pipelines.import_model import require_importable
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.layers import CHECKPOINT, IMPORT
from reid_pipeline.schema.origin import INIT_FROM
from reid_pipeline.schema.population import Population


def check_models(given: Mapping[str, Any], catalog: DataCatalog, *, on_cpu: bool = False, command: str = "") -> None:
    """Build the models of methods, by name, from the weights or the model that they start from; check their plans.

    `command`, where there is one, does the same run with the small CLIP: it is offered where weights or a GPU lack.
    """
    if not given:
        return  # a run that builds no model does without torch
    from reid_pipeline.models.published_weights import AbsentWeights

    backbones = {name: values.backbone.name for name, values in given.items()}
    try:
        _build(given, catalog)
    except AbsentWeights as error:
        offer = offer_for_weights(backbones, on_cpu=on_cpu, command=command)
        raise UserError(f"{offer} {error}".strip()) from error
    if on_cpu:
        offer_for_cpu(backbones, command)


def _build(given: Mapping[str, Any], catalog: DataCatalog) -> None:
    from reid_pipeline.engine.starting import Start
    from reid_pipeline.engine.tower_plan import require_possible

    initial = catalog.load("initial_model")
    # The number of identities is not known before the data is; checkpoints can be checked without it.
    population = Population(2, cameras=2, views=2)
    for name, values in given.items():
        method = find_method(name)
        model = Start(method, values, population, initial=initial).model()
        for stage in method.stages(values):
            require_possible(stage.plan, model)


def check_import(pipeline: Pipeline, catalog: DataCatalog) -> None:
    """Refuse an import that cannot succeed, and a checkpoint beside a method's own pipeline, which reads none."""
    namespaces = {node.namespace for node in pipeline.nodes}
    if IMPORT in namespaces:
        parameters = catalog.load("parameters")
        if parameters.get(INIT_FROM) is not None:
            raise UserError(f"Parameter {INIT_FROM} is what a training starts from, and {IMPORT} trains nothing.")
        require_importable(parameters)
    elif namespaces & set(method_names()) and catalog.load("parameters").get(CHECKPOINT) is not None:
        raise UserError(
            f"Parameter {CHECKPOINT} names a published model to import, and this pipeline trains: give"
            f" --pipeline={IMPORT}, or leave it out."
        )
