"""The project's `kedro run`: Kedro's own, with the user's mistakes answered in one message."""

from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run

from reid_pipeline.mistakes import mistake_in


@click.group(name="reid_pipeline")
def cli() -> None:
    """Commands of the project."""


@cli.command(name="run", params=kedro_run.params, help="Run a pipeline, by --pipeline or --pipelines.")
def run(**options: Any) -> Any:
    """Call Kedro's run; `--pipeline` and `--pipelines` are the same, and mistakes print no traceback."""
    if options["pipeline"] and not options["pipelines"]:
        options["pipelines"] = [options["pipeline"]]
        options["pipeline"] = None
    try:
        return kedro_run.callback(**options)  # type: ignore[misc]
    except Exception as error:
        mistake = mistake_in(error)
        if mistake is None:
            raise
        raise click.ClickException(mistake) from error
