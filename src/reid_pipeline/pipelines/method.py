"""Split table to report, for any method: one namespace each."""

import inspect
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any, cast

from kedro.pipeline import Node, Pipeline, node, pipeline

from reid_pipeline.engine.stage import Method
from reid_pipeline.pipelines.cell_nodes import CellNodes
from reid_pipeline.pipelines.cluster_nodes import ClusterNodes, store_labels
from reid_pipeline.pipelines.explain_nodes import ExplainNodes
from reid_pipeline.pipelines.method_nodes import MethodNodes, join_histories, keep
from reid_pipeline.schema.addresses import ZERO_SHOT

SHARED = {
    "split_table", "galleries", "raw_images", "image_cache", "known_image_stamps", "run_environment", "initial_model"
}  # fmt: skip
SHARED_PARAMETERS = {"cells", "compute", "ingestion", "splits", "evaluation", "clusters", "report"}
RENAMED = {"image_stamps": "known_image_stamps", "cluster_table": "clusters"}
"""Datasets that nodes call otherwise."""
_SHARED_RESULTS = ("embedder", "embeddings", "metrics", "breakdown", "cluster_facts")
ZERO_SHOT_RESULTS = {name: f"zero_shot_{name}" for name in _SHARED_RESULTS}


def create_pipeline(method: Method) -> Pipeline:
    """Return split table -> [train ->] embedder -> embeddings -> metrics -> report.

    All lies in the method's namespace but zero_shot's model, metrics, breakdown and clusters, which every other method
    is compared with.
    """
    is_zero_shot = method.name == ZERO_SHOT
    return pipeline(
        [*_training_nodes(method), *_result_nodes(method)],
        namespace=method.name,
        inputs=SHARED if is_zero_shot else SHARED | set(ZERO_SHOT_RESULTS.values()),
        outputs=ZERO_SHOT_RESULTS if is_zero_shot else None,
        parameters={f"params:{name}" for name in SHARED_PARAMETERS | {method.name}},
    )


def _node(function: Callable[..., Any], outputs: str | list[str], name: str, **named: str) -> Node:
    """Return a node whose arguments are called like their datasets and blocks of parameters, but for those `named`.

    An argument with a default is left out unless it is named. Kedro validates `parameters` with the method's model
    before a run, for which the function is copied.
    """
    bound = cast("MethodType", function)
    nodes, plain = cast("CellNodes", bound.__self__), cast("FunctionType", bound.__func__)
    copied = FunctionType(plain.__code__, plain.__globals__, plain.__name__, plain.__defaults__)
    copied.__annotations__ = {**plain.__annotations__, "parameters": nodes.method.params}
    copied.__doc__ = plain.__doc__
    blocks = {block: f"params:{block}" for block in SHARED_PARAMETERS}
    datasets = blocks | {"parameters": f"params:{nodes.method.name}", **RENAMED} | named
    arguments = inspect.signature(function).parameters.values()
    needed = [each.name for each in arguments if each.default is each.empty or each.name in named]
    inputs = {argument: datasets.get(argument, argument) for argument in needed}
    return node(MethodType(copied, nodes), inputs, outputs, name=name)


def _training_nodes(method: Method) -> list[Node]:
    """Return two nodes for each stage, its training and what is stored of it, and the export of the last."""
    stages = method.stage_names
    if not stages:
        return [_node(MethodNodes(method).build, ["embedder", "history"], "build")]
    histories = [f"{stage}_history" for stage in stages] if len(stages) > 1 else ["history"]
    made: list[Node] = []
    earlier: dict[str, str] = {}
    for stage, history in zip(stages, histories, strict=True):
        named = {"resume_point": f"{stage}_resume_point", "worker_files": f"{stage}_worker_files", **earlier}
        made += [
            _node(MethodNodes(method, stage).train, [f"{stage}_state", history], f"train_{stage}", **named),
            node(keep, f"{stage}_state", f"{stage}_checkpoint", name=f"keep_{stage}"),
        ]
        earlier = {"earlier": f"{stage}_checkpoint"}
    if len(stages) > 1:
        made.append(node(join_histories, histories, "history", name="join_histories"))
    if method.clusters:
        made.append(node(store_labels, [f"{stages[-1]}_state", "split_table"], "pseudo_labels", name="store_labels"))
    return [*made, _node(MethodNodes(method).export, "embedder", "export", checkpoint=earlier["earlier"])]


def _result_nodes(method: Method) -> list[Node]:
    nodes = MethodNodes(method)
    labels = {"pseudo_labels": "pseudo_labels"} if method.clusters else {}
    noted = {"history": "history"} if method.stage_names else {}
    before = ("zero_shot_embedder", "zero_shot_embeddings")
    explained = {} if method.name == ZERO_SHOT else {name: name for name in before}
    if method.reads_text:
        explained |= {"checkpoint": f"{method.stage_names[-1]}_checkpoint", "initial_model": "initial_model"}
    recorded = ["run_card", "recorded_metrics", "recorded_history", "recorded_run_card"]
    made = [
        _node(nodes.extract, "embeddings", "extract"),
        _node(ClusterNodes(method).group, ["clusters", "clusters_csv", "cluster_facts"], "group", **labels),
        _node(nodes.evaluate, ["metrics", "breakdown"], "evaluate", **noted),
        _node(nodes.run_card, recorded, "run_card"),
        _node(ExplainNodes(method).explain, "explanations", "explain", **explained),
    ]
    if method.name == ZERO_SHOT:
        return [*made, _node(nodes.make_report, ["report", "curves"], "report")]
    compared = {name: name for name in ("zero_shot_metrics", "zero_shot_cluster_facts", "differences")}
    return [
        *made,
        _node(nodes.make_report, ["report", "curves"], "report", **compared),
        _node(nodes.compare_with_zero_shot, "differences", "compare_with_zero_shot"),
    ]
