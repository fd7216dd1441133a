"""Pipelines of a gallery: enrol, search, identify, and what puts it right.

A node that changes a gallery reads `gallery` and returns a change as `changed_gallery`; saving it carries it out
(`io.gallery`). What a run did is said in `gallery_notes`, which the terminal prints and no file holds.
"""

import shlex
from collections.abc import Mapping
from typing import Any

from kedro.pipeline import Node, Pipeline, node, pipeline

from reid_pipeline.pipelines import gallery_nodes as nodes
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.typed import typed

ENROL = "enrol"
"""The one that makes a gallery where there is none."""
_CHANGES = {
    "merge": (nodes.merge, []),
    "undo": (nodes.undo, []),
    "rename": (nodes.rename, []),
    "forget": (nodes.forget, []),
    "calibrate": (nodes.calibrate, ["params:calibrate"]),
}
"""Pipelines of one change, by name: the node, and what it reads beside gallery and parameters."""
_NEEDED: Mapping[str, Mapping[str, str]] = {
    ENROL: {},
    "search": {},
    "identify": {"images": "<folder, list, table or file>"},
    "merge": {"identity": "<one name>", "into": "<the other>"},
    "rename": {"identity": "<name>", "to": "<new name>"},
    "reembed": {"model": "<cell or file>"},
}
"""What each of them must be given, and how."""
_ONE_OF: Mapping[str, Mapping[str, str]] = {
    ENROL: {"images": "<folder, list, table or file>", "clusters_of": "<cell or clusters.csv>"},
    "search": {"images": "<folder, list, table or file>", "text": "<words>"},
    "forget": {"identity": "<name>", "camera": "<camera>", "before": "<date>"},
}
"""Of which they must be given at least one."""
_NEXT = {ENROL: "calibrate", "calibrate": "identify"}


def require_given(name: str, parameters: Mapping[str, Any]) -> None:
    """Refuse a run of the pipeline `name` that lacks a parameter, before any work.

    Raises:
        UserError: names what is missing, and how it is given.
    """
    start = f"kedro run --pipeline={name} --params gallery={parameters.get('gallery') or '<name>'}"
    needed, one_of = _NEEDED.get(name, {}), _ONE_OF.get(name, {})
    missing = [each for each in needed if parameters.get(each) in (None, "")]
    if missing:
        whole = ",".join(f"{each}={example}" for each, example in needed.items())
        raise UserError(f"{name} needs {' and '.join(missing)}. Give them: {start},{whole}.")
    if one_of and all(parameters.get(each) in (None, "") for each in one_of):
        ways = ", or ".join(f"{each}={example}" for each, example in one_of.items())
        raise UserError(f"{name} needs one of {', '.join(one_of)}: {start}, and {ways}.")
    if name == "search" and parameters.get("images") and parameters.get("text"):
        raise UserError("search is given images and text. Give one of them: pictures to ask by, or words.")
    if name == "calibrate" and (parameters.get("calibrate") or {}).get("false_alarm") is None:
        raise UserError(
            "How often may identify take somebody new for a known one? Give calibrate.false_alarm, a share:"
            f" {start},calibrate.false_alarm=0.1 is one newcomer in ten, and needs 19 identities; 0.01 needs 199."
        )


def next_of_gallery(name: str, given: Mapping[str, Any]) -> str:
    """Return the command that comes after the pipeline `name` of a gallery; empty where nothing does."""
    following = _NEXT.get(name)
    if following is None or "gallery" not in given:
        return ""
    params = {key: given[key] for key in ("gallery",)}
    rest = {"calibrate": ",calibrate.false_alarm=0.1", "identify": ",images=<pictures to ask about>"}[following]
    return f"kedro run --pipeline={following} --params {shlex.quote(typed(params) + rest)}"


def create_pipelines() -> dict[str, Pipeline]:
    """Return the pipelines of a gallery, by name."""
    changes = {
        name: pipeline([_change(name, function, read), _describe()]) for name, (function, read) in _CHANGES.items()
    }
    return {ENROL: _enrol(), "search": _search(), "identify": _identify(), "reembed": _reembed(), **changes}


def _change(name: str, function: Any, read: list[str]) -> Node:
    return node(function, ["gallery", "parameters", *read], "changed_gallery", name=name)


def _describe() -> Node:
    written = ["gallery_page", "gallery_identities", "gallery_notes"]
    return node(nodes.describe, ["changed_gallery", "parameters"], written, name="describe_gallery")


def _enrol() -> Pipeline:
    read = ["gallery", "parameters", "params:enrol", "params:compute", "params:ingestion"]
    return pipeline(
        [
            node(nodes.embed_enrolled, read, "enrolled_images", name="embed_enrolled"),
            node(nodes.enrol, ["gallery", "enrolled_images", "params:enrol"], "changed_gallery", name=ENROL),
            _describe(),
        ]
    )


def _reembed() -> Pipeline:
    read = ["gallery", "parameters", "params:compute"]
    return pipeline([node(nodes.reembed, read, "changed_gallery", name="reembed"), _describe()])


def _search() -> Pipeline:
    read = ["gallery", "probes", "parameters", "params:search", "params:filter"]
    written = ["search_table", "search_csv", "search_page", "gallery_notes"]
    return pipeline([_probes(nodes.embed_probes_or_words), node(nodes.search, read, written, name="search")])


def _identify() -> Pipeline:
    read = ["gallery", "probes", "parameters", "params:identify", "params:filter"]
    written = ["identify_table", "identify_csv", "identify_page", "gallery_notes"]
    return pipeline([_probes(nodes.embed_probes), node(nodes.identify, read, written, name="identify")])


def _probes(function: Any) -> Node:
    read = ["gallery", "parameters", "params:compute", "params:ingestion"]
    return node(function, read, "probes", name="embed_probes")
