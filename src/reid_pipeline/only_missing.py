"""What `--only-missing-outputs` may leave as it is: whole results, of the parameters in force."""

from collections.abc import Iterator, Mapping
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog, DatasetError
from kedro.pipeline import Pipeline

from reid_pipeline.methods import find_method, method_names
from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.nested import leaves
from reid_pipeline.schema.parameters import (
    ComputeParameters,
    EvaluationParameters,
    IngestionParameters,
    SplitParameters,
)
from reid_pipeline.schema.records import RunCard

_SHARED: Mapping[str, type[Parameters]] = {
    "ingestion": IngestionParameters,
    "splits": SplitParameters,
    "evaluation": EvaluationParameters,
}
_ABSENT = "nothing"


class OnlyMissing:
    """Refuse `--only-missing-outputs` where what it would keep was made by other parameters.

    Kedro asks whether files exist, and not what made them.
    """

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Compare the run card of each method of the run with the parameters in force."""
        if not run_params.get("only_missing_outputs"):
            return
        faults = [_unfinished(name, catalog) for name in sorted(pipeline.all_outputs())]
        methods = [name for name in method_names() if f"{name}.run_card" in pipeline.all_outputs()]
        faults += [_made_otherwise(name, catalog) for name in methods]
        found = [fault for fault in faults if fault]
        if found:
            raise UserError("\n".join(found))


def _unfinished(name: str, catalog: DataCatalog) -> str:
    """Refuse what a killed training left: the history beside it is that training's, the rest may not be."""
    if not name.endswith("_state") or not catalog.exists(name):
        return ""
    file = getattr(catalog.get(name), "_filepath", name)
    return (
        f"A killed run left a training unfinished ({file}), and files of another run may lie beside it, which"
        " --only-missing-outputs would keep. Leave the option out: training goes on from there."
    )


def _made_otherwise(method: str, catalog: DataCatalog) -> str:
    card = recorded_card(method, catalog)
    if card is None:
        return ""
    found = [
        f"{name} {old!r}, and this run asks for {new!r}"
        for name, old, new in _differing(card, _in_force(method, card, catalog))
    ]
    if not found:
        return ""
    return (
        f"{method} was made with {first_few(found)}: leave out --only-missing-outputs to make it anew, or"
        " give the values that it was made with."
    )


def recorded_card(method: str, catalog: DataCatalog) -> dict[str, Any] | None:
    """Return the run card of the method's results as they are; None where there is none that can be read."""
    name = f"{method}.run_card"
    try:
        card = catalog.get(name).load() if catalog.exists(name) else None  # type: ignore[union-attr]
    except (DatasetError, UserError):  # half a file, another format: there is no card
        return None
    return card.content() if isinstance(card, RunCard) else None


def _in_force(method: str, card: Mapping[str, Any], catalog: DataCatalog) -> dict[str, Any]:
    """Return what this run's card would say of its parameters, as far as they decide figures."""
    models = {**_SHARED, method: find_method(method).params}
    wanted = {name: _validated(model, name, catalog).model_dump(mode="json") for name, model in models.items()}
    if "precision" in card:
        from reid_pipeline.engine.runtime import resolve_runtime

        wanted["precision"] = resolve_runtime(_validated(ComputeParameters, "compute", catalog)).precision
    return wanted


def _validated(model: type[Parameters], name: str, catalog: DataCatalog) -> Any:
    return model.model_validate(catalog.get(f"params:{name}").load())  # type: ignore[union-attr]


def _differing(card: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, recorded value and wanted value of each parameter that differs."""
    recorded = {**card["parameters"], "precision": card.get("precision")}
    old = dict(leaves({name: recorded.get(name) for name in wanted}))
    new = dict(leaves(wanted))
    for name in [*new, *(name for name in old if name not in new)]:
        before, now = old.get(name, _ABSENT), new.get(name, _ABSENT)
        if before != now:
            yield name, before, now
