"""Documented commands, checked without running them: by the project's own schema, or on a list with a reason.

`kedro run` is read by the project's own command line: pipeline, nodes, environment, and every parameter with its value,
against conf/ as it is. Other programs of the project must know the words that they are given.
"""

import importlib
import json
import re
import tomllib
from collections.abc import Callable
from functools import cache
from itertools import dropwhile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from console_blocks import Block, claims, words
from project_copy import ROOT

from reid_pipeline.models.pretrained import DEMO_WEIGHTS

# What is neither the project's nor parsed, by how it begins, with the reason.
LISTED = {
    "python3 -m venv": "makes an environment, of the reader's own Python",
    ". .venv/bin/activate": "is of the reader's shell",
    "pip install": "installs from a package index",
    "ln -s /where/": "links a collection that the reader has",
    "mv /where/": "moves a collection that the reader has",
    "cp data/": "copies a result, to be edited by hand",
    "git ": "is git's, on the reader's repository",
    "sed ": "prints a part of a file",
    "head ": "prints a part of a file",
    "grep ": "prints a part of a file",
    "sha256sum ": "compares files with a list",
    "docker ": "needs a container engine",
}
_ASSIGNED = re.compile(r"[A-Z_]+=")
# Parameters that name files of the reader, which nobody can look up here.
_FILES = {"labels_from", "tuned", "checkpoint"}


class UncheckedError(AssertionError):
    """A documented command that is wrong, or that nothing checks."""


def kind_of(block: Block) -> str:
    """Return how a block is checked: `executed` in all its commands, `listed` where one is listed, or `parsed`."""
    kinds = {check(block.document, command) for command in block.commands}
    if kinds == {"executed"}:
        return "executed"
    return "listed" if "listed" in kinds else "parsed"


def check(document: str, command: str) -> str:
    """Return `executed`, `parsed` or `listed`; an UncheckedError says what is wrong with a command."""
    if (document, command) in claims():
        return "executed"
    if any(command.startswith(beginning) for beginning in LISTED):
        return "listed"
    for part in command.split(" && "):
        name, *rest = dropwhile(_ASSIGNED.match, words(part))
        checks: dict[str, Callable[[list[str]], None]] = {
            "kedro": _kedro, "make": _make, "dvc": _dvc, ".venv/bin/python": _program, "python": _program,
            "reid-pipeline": _installed,
        }  # fmt: skip
        if name not in checks:
            raise UncheckedError(
                f"{document}: `{command}`: no test executes it (tests/console_blocks.py says how one claims it),"
                f" nothing parses {name}, and LISTED in tests/command_checks.py does not name it."
            )
        try:
            checks[name](rest)
        except (ValueError, click.ClickException, SystemExit, LookupError) as error:
            raise UncheckedError(f"{document}: `{command}`: {error}") from error
    return "parsed"


def _kedro(given: list[str]) -> None:
    """Read the options of `kedro run`; of Kedro's other commands the name and the options."""
    if given[0] != "run":
        _find(_kedro_commands(), given)
        return
    if given == ["run", "--help"]:
        return
    from kedro.framework.project import pipelines

    from reid_pipeline.cli.command import run
    from reid_pipeline.cli.options import require_possible

    options = dict(run.make_context("run", given[1:]).params)
    options["pipelines"] = options["pipelines"] or [options["pipeline"]] * bool(options["pipeline"])
    if options["pipelines"] not in (["batch_centres"], []):  # CONTRIBUTING's first method, which is added there
        require_possible(options, pipelines)
    if options["env"] != "corridor":  # CONTRIBUTING's first reader
        require_parameters(options["env"] or "synthetic", json.dumps(options["params"]))


@cache
def require_parameters(environment: str, given: str) -> None:
    """Refuse an environment, a parameter or a value that the project does not know; the reader's files are supposed."""
    from kedro.framework.project import settings

    from reid_pipeline.config.loader import LayeredConfigLoader
    from reid_pipeline.hooks.preflight import Preflight

    supposed = _with_files(json.loads(given))
    if str(supposed.get("overlay", "")).endswith(".json"):
        del supposed["overlay"]
    for name in _FILES & set(supposed):
        del supposed[name]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("reid_pipeline.config.checked_loader.read_conf_file", _read_once)
        loader = LayeredConfigLoader(str(ROOT / "conf"), environment, supposed, **settings.CONFIG_LOADER_ARGS)
        Preflight().after_context_created(SimpleNamespace(config_loader=loader))


@cache
def _read_once(file: Path) -> dict[str, Any]:
    from reid_pipeline.config.files import read_conf_file

    return read_conf_file(file)


def _with_files(given: dict[str, Any]) -> dict[str, Any]:
    """Return parameters whose `pretrained` is a file that is there, in the place of one that the reader has."""
    found = {name: _with_files(value) if isinstance(value, dict) else value for name, value in given.items()}
    if re.search(r"[/.]", str(found.get("pretrained", ""))):
        found["pretrained"] = str(DEMO_WEIGHTS)
    return found


@cache
def _kedro_commands() -> click.Command:
    from kedro.framework.cli.cli import KedroCLI

    return KedroCLI(project_path=ROOT)


def _find(command: click.Command, given: list[str]) -> None:
    """Read words as a group of commands does, down to the last command's options."""
    name, rest = "", given
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name, found, rest = command.resolve_command(click.Context(command), rest)
        if found is None:
            raise LookupError(f"there is no command {name}")
        command = found
    command.make_context(name, list(rest))


def _installed(given: list[str]) -> None:
    """Read the words as the command that pyproject.toml installs does."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"].get("scripts", {})
    if "reid-pipeline" not in scripts:
        raise LookupError("pyproject.toml installs no such command")
    if given[:1] == ["run"]:
        _kedro(given)
    else:
        _find(importlib.import_module("reid_pipeline.cli.program").program, given)


def _make(given: list[str]) -> None:
    """Find the target and the variables in the Makefile."""
    text = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    for word in given:
        name, is_variable, _ = word.partition("=")
        if is_variable and not re.search(rf"^{name} [:?]?=|\$\({name}\)", text, re.MULTILINE):
            raise LookupError(f"the Makefile reads no variable {name}")
        if not is_variable and word not in phony.split():
            raise LookupError(f"the Makefile has no target {word}")


def _dvc(given: list[str]) -> None:
    """Read the words as DVC does."""
    from dvc.cli import DvcParserError
    from dvc.cli.parser import get_main_parser

    try:
        get_main_parser().parse_args(given)
    except DvcParserError as error:
        raise LookupError(f"DVC does not know {given}") from error


def _program(given: list[str]) -> None:
    """Find the program, and its options in its text."""
    text = (ROOT / given[0]).read_text() if (ROOT / given[0]).is_file() else None
    if text is None:
        raise LookupError(f"there is no {given[0]}")
    for option in (word.partition("=")[0] for word in given[1:] if word.startswith("--")):
        if f'"{option}"' not in text:
            raise LookupError(f"{given[0]} has no option {option}")
