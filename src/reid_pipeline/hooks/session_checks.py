"""Checks of the session itself, before parameters are looked at: the catalog's entries, the runner, the process."""

import multiprocessing
from typing import Any

import click
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogConfigResolver, DataCatalog, DatasetError
from kedro.pipeline import Pipeline

from reid_pipeline.machine_faults import machine_fault_text
from reid_pipeline.schema.errors import UserError, first_few, nearest


class ProjectPath:
    """Give the config loader the project's folder, before configuration is read: conf/ may lie elsewhere."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: Any) -> None:
        """Let the loader find a study's results where the catalog writes them."""
        context.config_loader.project_path = context.project_path


class CatalogEntries:
    """Refuse versions of what has none, and entries of the run whose dataset cannot be made."""

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Compare the command line's `--load-versions` with the catalog, before Kedro makes it."""
        self._loader = context.config_loader
        command = click.get_current_context(silent=True)
        if wanted := command and command.params.get("load_versions"):
            entries = self._loader["catalog"]
            versions = [name for name, found in entries.items() if found.get("versioned")]
            bare = {name: {**found, "credentials": None} for name, found in entries.items()}
            resolver = CatalogConfigResolver(bare, None, DataCatalog.default_runtime_patterns)
            for name in wanted:
                if not resolver.resolve_pattern(name).get("versioned"):
                    what = "has no versions" if resolver.resolve_pattern(name) else "is no entry of the catalog"
                    raise UserError(
                        f"--load-versions={name}:{wanted[name]}: {name} {what}.{nearest(name, versions)} There are"
                        f" versions of: {first_few(versions, 10) or 'nothing'}."
                    )

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Make each dataset that the nodes read and write."""
        for name in sorted(pipeline.datasets()):
            try:
                catalog.get(name)
            except DatasetError as error:
                if isinstance(error.__cause__, ImportError) or machine_fault_text(error):
                    raise  # the entry is right
                written = catalog.config_resolver.match_dataset_pattern(name) or name
                reason = " ".join(str(error.__cause__ or error).split("Hint:")[0].split()).removesuffix(".")
                place = self._loader.place("catalog", written)
                raise UserError(f"{place}: entry {name}: {reason}. Correct the entry.") from error


class SessionChecks:
    """Refuse what a session in Python can ask for; the command line has been checked before."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Look at the runner, and at the process."""
        if "ParallelRunner" in str(run_params.get("runner")):
            raise UserError(
                "ParallelRunner hands nodes to other processes, and those of this project cannot be handed over. Give"
                " SequentialRunner, which is the default, or ThreadRunner."
            )
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            raise UserError(
                "This script runs again in every process that it starts, and begins the run anew there. Put what it"
                ' does below a line: if __name__ == "__main__":'
            )
