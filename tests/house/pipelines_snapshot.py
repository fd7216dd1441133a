"""All registered pipelines as text. When a change of them is meant: python tests/house/pipelines_snapshot.py"""

from collections.abc import Iterable
from pathlib import Path

from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project
from kedro.pipeline.node import Node

FILE = Path(__file__).with_name("pipelines.txt")
METHODS = ("baseline", "clip_reid", "pcl", "svll_reid", "unsupervised_pcl", "zero_shot")
"""A further method brings its module and its parameters, and no line here."""


def snapshot(methods: Iterable[str] = METHODS) -> str:
    """Return each pipeline with its nodes in their order, and each node with its inputs and outputs.

    Args:
        methods: those whose nodes are listed; of others nothing is.
    """
    bootstrap_project(FILE.parents[2])
    others = _namespaces(pipelines["__default__"].nodes) - set(methods)
    listed = {
        name: [node for node in pipelines[name].nodes if _namespace(node) not in others]
        for name in sorted(set(pipelines) - others)
    }
    nodes = {node.name: node for pipeline in listed.values() for node in pipeline}
    lines = []
    for name, pipeline in listed.items():
        lines += [f"pipeline {name}", *(f"  {node.name}" for node in pipeline), ""]
    for name, node in sorted(nodes.items()):
        lines += [
            f"node {name}",
            *(f"  <- {each}" for each in node.inputs),
            *(f"  -> {each}" for each in node.outputs),
            "",
        ]
    return "\n".join(lines)


def _namespace(node: Node) -> str:
    return (node.namespace or "").partition(".")[0]


def _namespaces(nodes: Iterable[Node]) -> set[str]:
    return {_namespace(node) for node in nodes} - {""}


if __name__ == "__main__":
    FILE.write_text(snapshot())
