"""Wiring of a method's pipeline."""

from kedro.pipeline import Node, Pipeline, node, pipeline

from reid_pipeline.engine.stage import Method
from reid_pipeline.pipelines.floor import FLOOR
from reid_pipeline.pipelines.method import nodes

SHARED = {"split_table", "galleries", "raw_images", "image_cache", "run_environment"}
SHARED_PARAMETERS = {"benchmark", "seed", "compute", "ingestion", "splits", "evaluation", "report", "cells"}


def create_pipeline(method: Method) -> Pipeline:
    """Return split table -> [train ->] embedder -> embeddings -> metrics -> report.

    All lies in the method's namespace but the floor's metrics, `floor_metrics`, which every other
    method's report reads.
    """
    is_floor = method.name == FLOOR
    training = _training_nodes(method) if method.stage_names else [_build_node(method)]
    return pipeline(
        [*training, *_result_nodes(method)],
        namespace=method.name,
        inputs=SHARED if is_floor else SHARED | {"floor_metrics"},
        outputs={"metrics": "floor_metrics"} if is_floor else None,
        parameters={f"params:{name}" for name in SHARED_PARAMETERS | {method.name}},
    )


def _build_node(method: Method) -> Node:
    inputs = [f"params:{method.name}", "split_table", "params:seed"]
    return node(nodes.build_node(method), inputs, ["embedder", "history"], name="build")


def _training_nodes(method: Method) -> list[Node]:
    """Return two nodes for each stage, its training and what is kept of it, and the export of the last."""
    parameters = f"params:{method.name}"
    made: list[Node] = []
    several = len(method.stage_names) > 1
    earlier: dict[str, str] = {}
    for stage in method.stage_names:
        history = f"{stage}_history" if several else "history"
        inputs = {
            "parameters": parameters,
            "split_table": "split_table",
            "raw_images": "raw_images",
            "image_cache": "image_cache",
            "resume_point": f"{stage}_resume_point",
            "seed": "params:seed",
            "compute": "params:compute",
        }
        outputs = [f"{stage}_state", history]
        made += [
            node(nodes.train_node(method, stage), inputs | earlier, outputs, name=f"train_{stage}"),
            node(nodes.keep, f"{stage}_state", f"{stage}_checkpoint", name=f"keep_{stage}"),
        ]
        earlier = {"earlier": f"{stage}_checkpoint"}
    if several:
        histories = [f"{stage}_history" for stage in method.stage_names]
        made.append(node(nodes.join_histories, histories, "history", name="join_histories"))
    exported = [parameters, earlier["earlier"]]
    return [*made, node(nodes.export_node(method), exported, "embedder", name="export")]


def _result_nodes(method: Method) -> list[Node]:
    return [
        node(
            nodes.extract,
            [
                "embedder",
                "split_table",
                "galleries",
                "raw_images",
                "image_cache",
                "params:compute",
                "params:evaluation",
            ],
            "embeddings",
            name="extract",
        ),
        node(
            nodes.evaluate_node(method),
            [
                "embeddings",
                "split_table",
                "galleries",
                "params:evaluation",
                "params:benchmark",
                "params:seed",
                "params:cells",
            ],
            ["metrics", "breakdown"],
            name="evaluate",
        ),
        node(
            nodes.run_card_node(method),
            {
                "parameters": f"params:{method.name}",
                "compute": "params:compute",
                "ingestion": "params:ingestion",
                "splits": "params:splits",
                "evaluation": "params:evaluation",
                "split_table": "split_table",
                "metrics": "metrics",
                "history": "history",
                "embedder": "embedder",
                "run_environment": "run_environment",
                "cells": "params:cells",
            },
            ["run_card", "recorded_metrics", "recorded_history", "recorded_run_card"],
            name="run_card",
        ),
        node(
            nodes.report_node(method),
            {
                "metrics": "metrics",
                "floor_metrics": "metrics" if method.name == FLOOR else "floor_metrics",
                "history": "history",
                "run_card": "run_card",
                "breakdown": "breakdown",
                "embeddings": "embeddings",
                "split_table": "split_table",
                "galleries": "galleries",
                "raw_images": "raw_images",
                "evaluation": "params:evaluation",
                "report": "params:report",
            },
            ["report", "curves"],
            name="report",
        ),
    ]
