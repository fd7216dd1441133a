"""A run of Kedro in this process, started without Kedro's own command: in a project's folder, or in any other."""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import click

from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.place import CONF, has_own_conf, kedro_package, package_conf, project_folder

_PACKAGE = "reid_pipeline"
_GALLERIES = "data/07_model_output/galleries"


def run(
    pipeline: str,
    parameters: Mapping[str, Any],
    *,
    params: str = "",
    env: str | None = None,
    further: tuple[str, ...] = (),
) -> None:
    """Run a pipeline, as `reid-pipeline run` with these options does.

    Args:
        pipeline: its name.
        parameters: what the run is given.
        params: more of them, as typed.
        env: the environment.
        further: other options of the run.
    """
    from reid_pipeline.schema.typed import typed

    given = ",".join(filter(None, [typed(parameters), params]))
    words = [f"--pipeline={pipeline}", *([f"--env={env}"] if env else []), *further]
    run_words([*words, *(["--params", given] if given else [])])


def run_words(words: list[str]) -> None:
    """Run with options as they are typed; a run that was interrupted ends the command with its status."""
    defaults = run_defaults()
    status = run_command().main(args=words, prog_name="reid-pipeline run", standalone_mode=False, default_map=defaults)
    if isinstance(status, int) and status:
        raise click.exceptions.Exit(status)


def run_command() -> click.Command:
    """Return Kedro's run, with Kedro made ready for it in this folder.

    Raises:
        click.ClickException: the folder belongs to another project.
    """
    try:
        _prepare(project_folder())
    except UserError as error:
        raise click.ClickException(str(error)) from error
    from reid_pipeline.cli.command import run as command

    return command


def run_defaults() -> dict[str, str]:
    """Return options of the run that stand where none is given: the package's conf/, in a folder that has none."""
    project = project_folder()
    return {} if has_own_conf(project) else {"conf_source": str(package_conf())}


def only_gallery() -> str:
    """Return the name of the gallery that there is; empty where there is none, or several."""
    folder = project_folder() / _GALLERIES
    found = [each.name for each in folder.iterdir() if each.is_dir()] if folder.is_dir() else []
    return found[0] if len(found) == 1 else ""


def _prepare(project: Path) -> None:
    """Let Kedro know package and log; what it reads from the environment stands there before it is imported."""
    if kedro_package(project) not in {"", _PACKAGE}:
        raise UserError(
            f"{project} is the folder of another Kedro project, {kedro_package(project)}, in whose data/ nothing is to"
            " be written. Go to a folder outside of it."
        )
    os.environ.setdefault("DO_NOT_TRACK", "1")
    _name_unread_conf(project)
    if not list(Path(CONF).glob("logging.y*ml")):
        os.environ.setdefault("KEDRO_LOGGING_CONFIG", str(package_conf() / "logging.yml"))
    from kedro.framework.project import configure_project

    configure_project(_PACKAGE)


@cache
def _name_unread_conf(project: Path) -> None:
    """Say once that a conf/ of something else is not read."""
    if (project / CONF).is_dir() and not has_own_conf(project):
        click.echo(f"{CONF}/ here has no base/, and is not read: parameters are those of the package.", err=True)
