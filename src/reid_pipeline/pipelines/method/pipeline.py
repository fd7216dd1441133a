"""Wiring of a method's pipeline."""

from kedro.pipeline import Node, Pipeline, node, pipeline

from reid_pipeline.engine.stage import Method
from reid_pipeline.pipelines.method import nodes
from reid_pipeline.schema.addresses import ZERO_SHOT

SHARED = {"split_table", "galleries", "raw_images", "image_cache", "known_image_stamps", "run_environment"}
SHARED_PARAMETERS = {"cells", "compute", "ingestion", "splits", "evaluation", "report"}
ZERO_SHOT_RESULTS = {"zero_shot_metrics", "zero_shot_breakdown"}

Inputs = dict[str, str]


def create_pipeline(method: Method) -> Pipeline:
    """Return split table -> [train ->] embedder -> embeddings -> metrics -> report.

    All lies in the method's namespace but zero_shot's metrics and breakdown, which every other method is
    compared with.
    """
    is_zero_shot = method.name == ZERO_SHOT
    training = _training_nodes(method) if method.stage_names else [_build_node(method)]
    return pipeline(
        [*training, *_result_nodes(method), *([] if is_zero_shot else [_compare_node(method)])],
        namespace=method.name,
        inputs=SHARED if is_zero_shot else SHARED | ZERO_SHOT_RESULTS,
        outputs={"metrics": "zero_shot_metrics", "breakdown": "zero_shot_breakdown"} if is_zero_shot else None,
        parameters={f"params:{name}" for name in SHARED_PARAMETERS | {method.name}},
    )


def _read(method: Method, *datasets: str, **named: str) -> Inputs:
    """Return the inputs of a node by argument: the method's parameters, cells, split table, and others.

    A dataset or block of parameters has the argument of its own name; `named` are those that have another.
    """
    blocks = SHARED_PARAMETERS | {method.name}
    given = {name: f"params:{name}" if name in blocks else name for name in datasets}
    common = {"parameters": f"params:{method.name}", "cells": "params:cells", "split_table": "split_table"}
    return {**common, **given, **named}


def _build_node(method: Method) -> Node:
    return node(nodes.build_node(method), _read(method), ["embedder", "history"], name="build")


def _training_nodes(method: Method) -> list[Node]:
    """Return two nodes for each stage, its training and what is kept of it, and the export of the last."""
    made: list[Node] = []
    several = len(method.stage_names) > 1
    earlier: Inputs = {}
    for stage in method.stage_names:
        history = f"{stage}_history" if several else "history"
        inputs = _read(
            method,
            *("raw_images", "image_cache", "compute"),
            image_stamps="known_image_stamps",
            resume_point=f"{stage}_resume_point",
            **earlier,
        )
        train = nodes.train_node(method, stage)
        made += [
            node(train, inputs, [f"{stage}_state", history], name=f"train_{stage}"),
            node(nodes.keep, f"{stage}_state", f"{stage}_checkpoint", name=f"keep_{stage}"),
        ]
        earlier = {"earlier": f"{stage}_checkpoint"}
    if several:
        histories = [f"{stage}_history" for stage in method.stage_names]
        made.append(node(nodes.join_histories, histories, "history", name="join_histories"))
    exported = _read(method, "compute", checkpoint=earlier["earlier"])
    return [*made, node(nodes.export_node(method), exported, "embedder", name="export")]


def _result_nodes(method: Method) -> list[Node]:
    compared = () if method.name == ZERO_SHOT else ("zero_shot_metrics", "differences")
    return [
        node(
            nodes.extract_node(method),
            _read(
                method,
                *("embedder", "galleries", "raw_images", "image_cache", "compute", "evaluation"),
                image_stamps="known_image_stamps",
            ),
            "embeddings",
            name="extract",
        ),
        node(
            nodes.evaluate_node(method),
            _read(method, "embeddings", "galleries", "evaluation"),
            ["metrics", "breakdown"],
            name="evaluate",
        ),
        node(
            nodes.run_card_node(method),
            _read(
                method,
                *("galleries", "compute", "ingestion", "splits", "evaluation"),
                *("metrics", "history", "embedder", "run_environment"),
            ),
            ["run_card", "recorded_metrics", "recorded_history", "recorded_run_card"],
            name="run_card",
        ),
        node(
            nodes.report_node(method),
            _read(
                method,
                *("metrics", "history", "run_card", "breakdown", "embeddings"),
                *("galleries", "raw_images", "evaluation", "report", *compared),
            ),
            ["report", "curves"],
            name="report",
        ),
    ]


def _compare_node(method: Method) -> Node:
    return node(
        nodes.compare_node(method),
        _read(method, "metrics", "breakdown", "zero_shot_metrics", "zero_shot_breakdown", "galleries", "evaluation"),
        "differences",
        name="compare_with_zero_shot",
    )
