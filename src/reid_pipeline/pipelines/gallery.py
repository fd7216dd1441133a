"""Pipelines of a gallery: enrol, search, identify, and what puts it right.

A node that changes a gallery reads `gallery` and returns a change as `changed_gallery`; saving it carries it out
(`io.gallery`). What a run did stands in `gallery_notes`, which the terminal prints and no file holds.
"""

import shlex
from collections.abc import Callable, Mapping
from typing import Any

from kedro.pipeline import Node, Pipeline, node, pipeline

from reid_pipeline.pipelines import gallery_nodes as nodes
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.gallery_parameters import CalibrateParameters
from reid_pipeline.schema.typed import typed

_EMBEDDING = ["params:embed", "params:ingestion", "params:compute"]
ENROL = "enrol"
"""The one that makes a gallery where there is none."""
_CHANGES: Mapping[str, tuple[Callable[..., Any], list[str]]] = {
    "merge": (nodes.merge, ["parameters"]),
    "undo": (nodes.undo, []),
    "rename": (nodes.rename, ["parameters"]),
    "forget": (nodes.forget, ["parameters"]),
    "calibrate": (nodes.calibrate, ["params:calibrate"]),
    "reembed": (nodes.reembed, ["named_embedder", *_EMBEDDING]),
}
"""Pipelines of one change, by name: the node, and what it reads beside the gallery."""
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
    if name == "calibrate" and CalibrateParameters.model_validate(parameters[name]).false_alarm is None:
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
    described = ["gallery_page", "gallery_identities", "gallery_notes"]
    describe = node(nodes.describe, "changed_gallery", described, name="describe_gallery")
    changes = {
        name: pipeline([node(function, ["gallery", *read], "changed_gallery", name=name), describe])
        for name, (function, read) in _CHANGES.items()
    }
    return {ENROL: pipeline([*_enrol(), describe]), "search": _search(), "identify": _identify(), **changes}


def _enrol() -> list[Node]:
    images = ["gallery", "given_images", "run_clusters", "gallery_embedder", "params:enrol", *_EMBEDDING]
    return [
        node(nodes.embed_enrolled, images, "images_to_enrol", name="embed_enrolled"),
        node(nodes.enrol, ["images_to_enrol", "params:enrol"], "changed_gallery", name=ENROL),
    ]


def _search() -> Pipeline:
    asked = ["gallery", "given_images", "gallery_embedder", "parameters", *_EMBEDDING]
    read, written = ["gallery", "probes", "params:search", "params:filter"], _written("search")
    return pipeline(
        [
            node(nodes.embed_probes_or_words, asked, "probes", name="embed_asked"),
            node(nodes.search, read, written, name="search"),
        ]
    )


def _identify() -> Pipeline:
    asked = ["gallery", "given_images", "gallery_embedder", *_EMBEDDING]
    read, written = ["changed_gallery", "probes", "params:identify", "params:filter"], _written("identify")
    return pipeline(
        [
            node(nodes.bring_up_to_date, "gallery", "changed_gallery", name="bring_up_to_date"),
            node(nodes.embed_probes, asked, "probes", name="embed_probes"),
            node(nodes.identify, read, written, name="identify"),
        ]
    )


def _written(name: str) -> list[str]:
    return [f"{name}_table", f"{name}_csv", f"{name}_page", "gallery_notes"]
