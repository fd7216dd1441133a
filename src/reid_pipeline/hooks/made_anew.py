"""What to type when a file that a run reads is missing or damaged: the node that makes it, and the command."""

import inspect
import os
import shlex
from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import DataCatalog, DatasetError
from kedro.pipeline import Node
from kedro.validation import DataValidationError

from reid_pipeline.io.base import UnreadableFile
from reid_pipeline.io.entries import file_of
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.typed import typed


class MadeAnew:
    """End a run that met a missing or damaged file with how that file is made anew."""

    @hook_impl(wrapper=True)
    def on_pipeline_error(
        self, error: Exception, run_params: dict[str, Any], catalog: DataCatalog
    ) -> Generator[None, Any, Any]:
        """Name the node and the command, after the other hooks have done their part."""
        result = yield
        if found := _unreadable(error, catalog):
            file, fault = found
            asked = [name for name in run_params.get("pipeline_names") or () if name != "__default__"]
            pipeline, makers = _makers(file, catalog, asked)
            if makers:
                raise UserError(f"{fault} {_remedy(file, pipeline, makers, run_params)}") from error
        return result


def _unreadable(error: BaseException | None, catalog: DataCatalog) -> tuple[Path, str] | None:
    """Return the file that an error, or what caused it, is about, and what is wrong with it."""
    while error is not None:
        if isinstance(error, UnreadableFile):
            return error.file, error.fault
        if isinstance(error, DataValidationError) and error.mode == "load":
            file = file_of(catalog.get(error.dataset_name or "")) or Path()
            return file, f"{file} is no table as this version makes it: {_checks(error)}."
        error = error.__cause__ or error.__context__
    return None


def _checks(error: DataValidationError) -> str:
    """Return the first few rules that a table breaks."""
    return first_few(
        [
            f"{each.column}: {each.check or each.message} ({first_few(each.failure_examples, 3)})"
            for each in error.failures
        ],
        3,
    )


def _makers(file: Path, catalog: DataCatalog, asked: Sequence[str]) -> tuple[str, list[Node]]:
    """Return a pipeline and its nodes that make `file` and what they lack themselves; none for another file.

    It is the one that was asked for, or the smallest.
    """
    place = os.path.abspath(file)  # noqa: PTH100 - not where links lead
    for pipeline in sorted(pipelines, key=lambda name: (name not in asked, len(pipelines[name].nodes))):
        nodes = {output: node for node in pipelines[pipeline].nodes for output in node.outputs}
        for name, node in nodes.items():
            own = file_of(catalog.get(name))
            if own and os.path.abspath(own) == place:  # noqa: PTH100
                return pipeline, list(dict.fromkeys(_with_sources(node, nodes, catalog)))
    return "", []


def _with_sources(node: Node, nodes: Mapping[str, Node], catalog: DataCatalog) -> Iterable[Node]:
    for name in node.inputs:
        if name in nodes and not _exists(name, catalog):
            yield from _with_sources(nodes[name], nodes, catalog)
    yield node


def _exists(name: str, catalog: DataCatalog) -> bool:
    try:
        return bool(catalog.exists(name))
    except DatasetError:  # in a folder that cannot be entered
        return False


def _remedy(file: Path, pipeline: str, makers: list[Node], run_params: Mapping[str, Any]) -> str:
    """Return which node makes a file, and the command that runs it as the present run was started."""
    trainings = [node.name for node in makers if inspect.isgeneratorfunction(node.func)]
    # What a training has made decides what comes after; anything else comes out as it was.
    nodes = f"--from-nodes={trainings[0]}" if trainings else f"--nodes={','.join(node.name for node in makers)}"
    command = ["kedro run", f"--pipeline={pipeline}", nodes]
    if environment := run_params.get("env"):
        command.append(f"--env={environment}")
    if given := typed(run_params.get("runtime_params") or {}):
        command.append(f"--params={shlex.quote(given)}")
    first = f"Move the folder {file.name} away. " if file.is_dir() else ""
    return f"{first}It is made anew by the node {makers[-1].name}: {' '.join(command)}. Then give your command again."
