"""The project's `kedro run`: Kedro's own, with user errors answered in one message."""

import copy
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
from typing import Any, cast

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import KedroCliError
from kedro.framework.project import pipelines, settings

from reid_pipeline.cli.help import PARAMETERS, write_names
from reid_pipeline.cli.options import require_possible
from reid_pipeline.cli.parameters import given_parameters
from reid_pipeline.config.files import read_conf_file, shown
from reid_pipeline.hooks.interrupts import orderly_end
from reid_pipeline.methods import method_names
from reid_pipeline.schema.errors import UserError, first_few, nearest
from reid_pipeline.schema.parameters import SharedParameters
from reid_pipeline.user_errors import user_error_text


def _parameters(_context: click.Context, _option: click.Parameter, value: Any) -> dict[str, Any]:
    """Return `--params`; the mapping of a `--config` file is as it is."""
    if isinstance(value, dict):
        return value
    return given_parameters(value, [*SharedParameters.model_fields, *method_names(), "tuning", "pretrain_demo_clip"])


def _config(context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Take the options that a file holds under `run`; those on the command line win."""
    if not value:
        return value
    file = Path(value)
    content = read_conf_file(file)
    given = content.get("run")
    if not isinstance(given, dict):
        raise UserError(
            f"{shown(file)} must hold run: and, below it, options such as env: and params:. It holds"
            f" {first_few(sorted(content)) or 'nothing'}{', without options' if 'run' in content else ''}."
        )
    names = [str(option.name) for option in context.command.params if option.name not in {"config", "help"}]
    for name in given:
        if name not in names:
            raise UserError(f"{shown(file)}: run: {name}: there is no such option.{nearest(name, names)}")
    lists = {name: ",".join(map(str, each)) for name, each in given.items() if isinstance(each, list)}
    context.default_map = {**(context.default_map or {}), **given, **lists}
    return value


def _environment_help() -> str:
    return f"Environment, a folder of conf/. Defaults to {settings.CONFIG_LOADER_ARGS['default_run_env']}."


_CALLBACKS = {"params": _parameters, "config": _config}
_HELP: dict[str, Callable[[], str]] = {
    "pipeline": lambda: "The pipeline to run, by its name below; without it all methods and the report.",
    "pipelines": lambda: "Several of them, with commas.",
    "from_inputs": lambda: "Begin at the nodes that need these datasets.",
    "to_outputs": lambda: "End at these datasets.",
    "load_versions": lambda: "Versions of datasets to load: <dataset>:<version>.",
    "params": lambda: PARAMETERS,
    "env": _environment_help,
    "runner": lambda: "How nodes are run: SequentialRunner, which is the default, or ThreadRunner.",
    "is_async": lambda: "Load and save with threads; not for trainings.",
    "only_missing_outputs": lambda: "Run only nodes whose outputs are missing; refused where parameters differ.",
}


def _options() -> list[click.Parameter]:
    """Return Kedro's options, of which two are read by this project."""
    options = [copy.copy(option) for option in kedro_run.params]
    for option in options:
        option.callback = _CALLBACKS.get(str(option.name), option.callback)
    return options


@contextmanager
def _answered() -> Iterator[None]:
    """Print of a user's error its text alone."""
    try:
        yield
    except KedroCliError as error:
        raise click.ClickException(error.message) from error
    except Exception as error:
        text = user_error_text(error)
        if text is None:
            raise
        raise click.ClickException(text) from error


def _require_given_once(args: list[str]) -> None:
    """Refuse an option that is given twice, of which the last would count, and one that selects nothing."""
    given = [arg.partition("=") for arg in args if arg.startswith("--")]
    names = ["--pipeline" if name == "--pipelines" else name for name, _, _ in given]
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"{name} is given {names.count(name)} times, and only the last would count. Give all in one."
            )
    for name, equals, value in given:
        if equals and not value.strip(", ") and name != "--params":
            raise UserError(
                f"{name}= is empty: give what it selects, or leave it out. A shell's variable may be unset."
            )


class RunCommand(click.Command):
    """Kedro's run: errors in options are answered as those of the run are, and the help has the project's names."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options."""
        with _answered():
            _require_given_once(args)
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run."""
        with _answered():
            return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, and then pipelines, environments and parameters by name."""
        for option in self.params:
            if isinstance(option, click.Option) and option.name in _HELP:
                option.help = _HELP[option.name]()
        super().format_options(ctx, formatter)
        conf = ctx.lookup_default("conf_source") or settings.CONF_SOURCE
        write_names(formatter, pipelines, getattr(ctx.obj, "project_path", Path()) / conf)


@click.group(name="reid_pipeline")
def cli() -> None:
    """Commands of the project."""


@cli.command(name="package")
@click.pass_obj
def package(metadata: Any) -> None:
    """Build the wheel into dist/. conf/ is inside it, so that no archive of it lies beside, as Kedro's own has.

    No network is used: what builds is in the environment.
    """
    if find_spec("hatchling") is None:
        raise click.ClickException("The wheel is built by hatchling, which is not installed: pip install hatchling.")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", "dist"]
    status = subprocess.run(command, cwd=metadata.project_path, check=False).returncode  # noqa: S603
    if status:
        raise click.exceptions.Exit(status)


@cli.command(name="run", cls=RunCommand, params=_options(), help="Run a pipeline, by --pipeline or --pipelines.")
@orderly_end()
def run(**options: Any) -> Any:
    """Call Kedro's run; `--pipeline` and `--pipelines` are the same, and user errors print no traceback."""
    if options["pipeline"] and not options["pipelines"]:
        options["pipelines"] = [options["pipeline"]]
        options["pipeline"] = None
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # of an encoding, it may be, that lacks letters of names and of bars
            stream.reconfigure(errors="backslashreplace")
    if pipelines:
        pipelines.set_requested(options["pipelines"] or None)
        require_possible(options, pipelines)
    return cast("Callable[..., Any]", kedro_run.callback)(**options)
