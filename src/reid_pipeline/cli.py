"""The project's `kedro run`: Kedro's own, with user errors answered in one message."""

import copy
import re
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import Any, cast

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import _split_params as kedro_parameters

from reid_pipeline.interrupts import orderly_end
from reid_pipeline.schema.layers import RAW_ROOT, TEXT
from reid_pipeline.user_errors import user_error_text

_PARAMETER = re.compile(r"[A-Za-z_][\w.]*")  # a parameter's name, and no folder with `=` in it


def split_parameters(context: click.Context, option: click.Parameter, value: Any) -> Any:
    """Return `--params` as Kedro reads them, but what names something as text: `2024_10`, `007`, `on`, `~`.

    The mapping of a `--config` file stays as it is. A comma in such a text, where the next parameter would begin,
    is refused; but `raw_root` goes on to the next `<name>=`, as any folder may be named.
    """
    if isinstance(value, dict):
        return value
    named: dict[str, str] = {}
    others: list[str] = []
    last = ""
    for typed in filter(str.strip, value.split(",")):
        item = typed.strip()
        name, equals, text = (part.strip() for part in item.partition("="))
        if last == RAW_ROOT and not (equals and _PARAMETER.fullmatch(name)):
            named[last] += f",{typed}".rstrip()
            continue
        if equals:
            last = name
        elif last in TEXT:
            context.fail(
                f"`{item}` comes after a comma, and is no <name>=<value>. If it belongs to"
                f" {last}={named[last]}: a comma cannot be given here. Write a file, such as run.yml, that"
                f' holds run: {{params: {{{last}: "{named[last]},{item}"}}}}, and give --config=run.yml.'
            )
        if name in TEXT and equals:
            named[name] = text
        else:
            others.append(item)
    return {**kedro_parameters(context, option, ",".join(others)), **named}


def _options() -> list[click.Parameter]:
    """Return Kedro's options, of which `--params` reads names as text."""
    options = [copy.copy(option) for option in kedro_run.params]
    for option in options:
        if option.name == "params":
            option.callback = split_parameters
    return options


@click.group(name="reid_pipeline")
def cli() -> None:
    """Commands of the project."""


@cli.command(name="run", params=_options(), help="Run a pipeline, by --pipeline or --pipelines.")
@orderly_end()
def run(**options: Any) -> Any:
    """Call Kedro's run; `--pipeline` and `--pipelines` are the same, and user errors print no traceback."""
    if options["pipeline"] and not options["pipelines"]:
        options["pipelines"] = [options["pipeline"]]
        options["pipeline"] = None
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # of an encoding, it may be, that lacks letters of names and of bars
            stream.reconfigure(errors="backslashreplace")
    try:
        return cast("Callable[..., Any]", kedro_run.callback)(**options)
    except Exception as error:
        text = user_error_text(error)
        if text is None:
            raise
        raise click.ClickException(text) from error
