"""What `kedro run` is given, compared with what there is: an unknown name is answered before anything runs."""

import inspect
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from kedro.pipeline import Pipeline
from kedro.runner import AbstractRunner, ParallelRunner
from kedro.utils import load_obj

from reid_pipeline.schema.errors import UserError, first_few, nearest


def require_possible(options: Mapping[str, Any], pipelines: Mapping[str, Pipeline]) -> None:
    """Refuse names that are not there, a selection that leaves no node, and a runner that cannot run the nodes.

    `options` are those of Kedro's run, by the names of its arguments.

    Raises:
        UserError: names the option, the nearest name, and for a node of another pipeline which.
    """
    names = options["pipelines"] or ["__default__"]
    for name in names:
        _require("--pipeline", name, list(pipelines), "pipeline")
    asked = sum((pipelines[name] for name in names), Pipeline([]))
    for option, wanted, found in (
        ("--nodes", options["node_names"], _nodes),
        ("--from-nodes", options["from_nodes"], _nodes),
        ("--to-nodes", options["to_nodes"], _nodes),
        ("--from-inputs", options["from_inputs"], Pipeline.datasets),
        ("--to-outputs", options["to_outputs"], Pipeline.datasets),
        ("--tags", options["tags"], _tags),
        ("--namespaces", options["namespaces"], _namespaces),
    ):
        for name in wanted or ():
            others = {other: found(pipelines[other]) for other in pipelines if other not in (*names, "__default__")}
            _require(option, name, found(asked), option.rpartition("-")[2].removesuffix("s"), names, others)
    _require_runner(options, _filtered(asked, options))


def _nodes(pipeline: Pipeline) -> list[str]:
    return [node.name for node in pipeline.nodes]


def _tags(pipeline: Pipeline) -> set[str]:
    return {tag for node in pipeline.nodes for tag in node.tags}


def _namespaces(pipeline: Pipeline) -> set[str]:
    parts = [str(node.namespace).split(".") for node in pipeline.nodes if node.namespace]
    return {".".join(each[: length + 1]) for each in parts for length in range(len(each))}


def _require(
    option: str,
    name: str,
    allowed: Collection[str],
    kind: str,
    names: Iterable[str] = (),
    others: Mapping[str, Collection[str]] | None = None,
) -> None:
    if name in allowed:
        return
    of = f" of the pipeline {' + '.join(names)}" if names else ""
    elsewhere = [other for other, found in (others or {}).items() if name in found]
    ending = [each for each in allowed if each.rpartition(".")[2] == name or each.startswith(f"{name}_")]
    if elsewhere:
        remedy = f" It belongs to {first_few(elsewhere)}: give --pipeline={elsewhere[0]}."
    elif ending:
        remedy = f" Did you mean {' or '.join(map(repr, ending[:3]))}?"
    else:
        remedy = nearest(name, allowed) or f" Allowed: {first_few(sorted(allowed), 14) or 'none'}."
    raise UserError(f"{option}={name}: there is no such {kind}{of}.{remedy}")


def _filtered(pipeline: Pipeline, options: Mapping[str, Any]) -> Pipeline:
    given = {
        name: options[name] for name in ("tags", "from_nodes", "to_nodes", "node_names", "from_inputs", "to_outputs")
    }
    try:
        return pipeline.filter(**given, node_namespaces=options["namespaces"])
    except ValueError as error:  # all names are there: their combination is what is left
        words = [f"--{name.replace('_', '-').replace('node-names', 'nodes')}" for name, value in given.items() if value]
        words += ["--namespaces"] if options["namespaces"] else []
        raise UserError(
            f"No node of the pipeline is selected by {' and '.join(words)} together. Give fewer of them, or names that"
            " lie on one way through the pipeline."
        ) from error


def _require_runner(options: Mapping[str, Any], pipeline: Pipeline) -> None:
    kind = _runner(options["runner"] or "SequentialRunner")
    if issubclass(kind, ParallelRunner):
        raise UserError(
            f"--runner={options['runner']} hands nodes to other processes, and those of this project cannot be handed"
            " over. Leave --runner out, or give --runner=ThreadRunner, which runs nodes side by side in one process."
        )
    given = dict(options["runner_params"] or {})
    try:
        inspect.signature(kind).bind(**given)
        kind(**given)
    except (TypeError, ValueError) as error:
        allowed = [name for name in inspect.signature(kind).parameters if name != "extra_dataset_patterns"]
        raise UserError(f"--runner-params: {kind.__name__}: {error}. Allowed: {first_few(allowed)}.") from error
    training = [node.name for node in pipeline.nodes if inspect.isgeneratorfunction(node.func)]
    if training and (options["is_async"] or given.get("is_async")) and kind.__name__ != "ThreadRunner":
        raise UserError(
            f"--async cannot run {first_few(training, 2)}: a training saves after every epoch, which is done in order."
            " Leave --async out, or give --runner=ThreadRunner."
        )


def _runner(name: str) -> type[AbstractRunner]:
    from kedro import runner

    known = [
        each for each in runner.__all__ if each.endswith("Runner") and not each.startswith(("Abstract", "Parallel"))
    ]
    try:
        kind = load_obj(name, "kedro.runner")
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"--runner={name}: there is no such runner.{nearest(name, known)} Allowed: {first_few(known)}."
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, AbstractRunner)) or inspect.isabstract(kind):
        raise UserError(f"--runner={name} is no runner. Allowed: {first_few(known)}.")
    return kind
