"""A published ReID model as a cell like any other: embedder, embeddings, metrics, report, run card.

The run names the method it is of, and with it the cell that is written: `--params checkpoint=<file>,method=<name>`.
The nodes are those of `MethodNodes`, `ClusterNodes` and `ExplainNodes`; what they read of the method's parameters is
what the embedder is run with.
"""

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
from kedro.pipeline import Node, Pipeline, node, pipeline

from reid_pipeline.methods import find_method
from reid_pipeline.pipelines.cell_nodes import CellNodes
from reid_pipeline.pipelines.cluster_nodes import ClusterNodes
from reid_pipeline.pipelines.explain_nodes import ExplainNodes
from reid_pipeline.pipelines.method import RENAMED, SHARED, SHARED_PARAMETERS
from reid_pipeline.pipelines.method_nodes import MethodNodes
from reid_pipeline.schema.addresses import Cells
from reid_pipeline.schema.importing import Import, required_import
from reid_pipeline.schema.layers import IMPORT
from reid_pipeline.schema.records import EpochRecord

Record = dict[str, Any]
_REMARK = "Imported: its authors trained it, not this project."


def require_importable(parameters: Record) -> None:
    """Refuse an import that cannot succeed, before any work; `parameters` are all those in force.

    Raises:
        UserError: no method or no file is named; the file is no model of that method, or leaves something open.
    """
    from reid_pipeline.engine.importing import published_model

    if parameters.get("method") is not None:
        find_method(str(parameters["method"]))
    imported = required_import(parameters)
    published_model(imported, _own(imported, parameters))


def convert(parameters: Record, split_table: pd.DataFrame, cells: Cells) -> tuple[Any, list[EpochRecord]]:
    """Return the embedder of a published model, and an empty history."""
    from reid_pipeline.engine.importing import imported_embedder
    from reid_pipeline.evaluation.run_card import run_origin

    imported = required_import(parameters)
    own = _own(imported, parameters)
    origin = run_origin("convert", cells[imported.method], split_table, parameters={imported.method: own})
    origin = origin.replace(made_by=f"{IMPORT}.convert")
    return imported_embedder(find_method(imported.method), imported, own, split_table, origin), []


def _own(imported: Import, parameters: Record) -> Any:
    return find_method(imported.method).params.model_validate(parameters[imported.method])


def _with_embedders_parameters(name: str, kind: type[CellNodes]) -> Callable[..., Any]:
    """Return the node `name` of a method, which the run names, with the parameters that the embedder is run with."""
    function = getattr(kind, name)
    found = inspect.signature(function).parameters
    takes_embedder = "embedder" in found

    def run(parameters: Record, embedder: Any, **others: Any) -> Any:
        method = find_method(str(parameters["method"]))
        nodes = kind(replace(method, description=f"{method.description} {_REMARK}"), namespace=IMPORT)
        own = method.params.model_validate(embedder.origin.parameters[method.name])
        return getattr(nodes, name)(own, **others, **({"embedder": embedder} if takes_embedder else {}))

    named = [each for each in found.values() if each.default is each.empty and each.name not in {"self", "embedder"}]
    keyword = inspect.Parameter.KEYWORD_ONLY
    read = [*named, inspect.Parameter("embedder", keyword, annotation=Any)]
    read = [
        each.replace(kind=keyword, annotation=Any if each.name == "parameters" else each.annotation) for each in read
    ]
    # Kedro validates blocks of parameters by the annotations, and calls by the signature.
    run.__dict__["__signature__"] = inspect.Signature(read)
    run.__annotations__ = {each.name: each.annotation for each in read}
    run.__doc__ = function.__doc__
    run.__name__ = name
    return run


def _node(name: str, outputs: str | list[str], kind: type[CellNodes] = MethodNodes) -> Node:
    function = _with_embedders_parameters(name, kind)
    blocks = {block: f"params:{block}" for block in SHARED_PARAMETERS} | RENAMED
    arguments = {argument: blocks.get(argument, argument) for argument in inspect.signature(function).parameters}
    return node(function, arguments, outputs, name=name)


def create_pipeline() -> Pipeline:
    """Return split table and published checkpoint -> embedder -> embeddings -> metrics -> report; no comparison."""
    recorded = ["run_card", "recorded_metrics", "recorded_history", "recorded_run_card"]
    read = ["parameters", "split_table", "params:cells"]
    nodes = [
        node(convert, read, ["embedder", "history"], name="convert"),
        _node("extract", "embeddings"),
        _node("group", ["clusters", "clusters_csv", "cluster_facts"], ClusterNodes),
        _node("evaluate", ["metrics", "breakdown"]),
        _node("run_card", recorded),
        _node("explain", "explanations", ExplainNodes),
        _node("make_report", ["report", "curves"]),
    ]
    parameters = {"parameters", *(f"params:{name}" for name in SHARED_PARAMETERS)}
    return pipeline(nodes, namespace=IMPORT, inputs=SHARED - {"initial_model"}, parameters=parameters)
