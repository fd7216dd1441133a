"""What happens around a run: checks before any work, a summary after it."""


from pathlib import Path
from typing import Any

from kedro.config import MissingConfigException
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from pydantic import ValidationError
from rich import get_console

from reid_pipeline.methods import find_method, method_names
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import SharedParameters


_RESULTS = ("metrics", "history", "run_card", "report")


class Preflight:
    """Refuse a run that cannot succeed: unknown parameters, an absent device, a wrong checkpoint."""

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Check the parameters that belong to no method, and that nothing else stands in conf/."""
        try:
            given = dict(context.config_loader["parameters"])
        except MissingConfigException:
            return
        own = {name: value for name, value in given.items() if name not in _owners()}
        try:
            SharedParameters.model_validate(own)
        except ValidationError as error:
            raise UserError(f"conf/ or --params: {error}") from error

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Check the device, and that the checkpoint of each method loads into its backbone."""
        inputs = pipeline.inputs()
        if "params:compute" in inputs:
            from reid_pipeline.engine.runtime import resolve_runtime

            resolve_runtime(catalog.load("params:compute"))
        for name in method_names():
            if f"params:{name}" in inputs:
                find_method(name).build(catalog.load(f"params:{name}"))


class RunSummary:
    """End a run by saying what it measured and wrote, and tidy up what only a killed run needs."""

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Print the table and the paths; remove the resumable state of finished trainings."""
        names = pipeline.datasets()
        for name in sorted(names):
            if name.endswith(".training_state"):
                catalog.get(name).discard()  # type: ignore[union-attr]
        measured = [name for name in sorted(names) if name.endswith("metrics")]
        if measured:
            from reid_pipeline.reporting.tables import text_table

            console = get_console()
            table = text_table([catalog.load(name) for name in measured])
            console.print(f"\n{table}\n", markup=False, highlight=False)
        _print_paths(names, pipeline.all_outputs(), catalog)


def _print_paths(names: set[str], written: set[str], catalog: CatalogProtocol) -> None:
    console = get_console()
    for name in sorted(names & written):
        path = getattr(catalog.get(name), "_filepath", None)
        if path is not None and (name.split(".")[-1] in _RESULTS or "." not in name):
            shown = Path(str(path))
            if shown.is_relative_to(Path.cwd()):
                shown = shown.relative_to(Path.cwd())
            console.print(f"  wrote {name:<32} {shown}", markup=False, highlight=False, soft_wrap=True)


def _owners() -> set[str]:
    """Return the top-level parameter names that have a model of their own."""
    return {*method_names(), "pretrain_demo_clip"}
