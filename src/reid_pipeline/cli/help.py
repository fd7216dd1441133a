"""What `kedro run --help` says of this project: pipelines, environments, and parameters with a line each."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click

from reid_pipeline.methods import find_method, method_names
from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.parameters import SharedParameters

PARAMETERS = (
    "Parameters, by name: --params seed=1,compute.device=cpu. A list stands in brackets, for the shell in quotes:"
    " --params 'backbone.image_size=[256,128]'. Their names are below."
)


def write_names(formatter: click.HelpFormatter, pipelines: Iterable[str], conf: Path) -> None:
    """Write what can be given by name."""
    methods = {name: find_method(name).description for name in method_names()}
    others = sorted(set(pipelines) - set(methods) - {"__default__"})
    with formatter.section("Pipelines (without --pipeline: all methods and the report)"):
        formatter.write_dl(list(methods.items()))
        formatter.write_text(f"also: {', '.join(others)}")
    with formatter.section("Environments"):
        formatter.write_text(", ".join(sorted({file.parent.name for file in conf.glob("*/globals.yml")} - {"base"})))
    for heading, lines in _groups():
        with formatter.section(heading):
            formatter.write_dl(lines)
    with formatter.section("Parameters of a method"):
        formatter.write_text(
            "<method>.<name>=..., with the names of conf/base/parameters_<method>.yml; docs/parameters.md"
        )


def _groups() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the shared parameters, with the descriptions of their models."""
    fields = SharedParameters.model_fields
    blocks = {
        name: kind
        for name, field in fields.items()
        if isinstance(kind := field.annotation, type) and issubclass(kind, Parameters)
    }
    alone = [(name, field.description or "") for name, field in fields.items() if name not in {*blocks, "benchmark"}]
    yield "Parameters", alone
    for name, model in blocks.items():
        described = {each: field.description or _choice(field.annotation) for each, field in model.model_fields.items()}
        lines = [(f"{name}.{each}", text) for each, text in described.items() if text]
        yield (model.__doc__ or name).splitlines()[0].removesuffix("."), lines


def _choice(kind: Any) -> str:
    return ", ".join(map(str, get_args(kind))) if get_origin(kind) is Literal else ""
