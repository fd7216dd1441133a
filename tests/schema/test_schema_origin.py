"""Origins: what is refused, what is warned of, and what is neither."""

import logging
import re
from typing import Any

import pytest

from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import NEEDS, Origin, inherited_label_use, mismatches, require_match, warn_of_rounding

PARAMETERS = {"pcl": {"plan": {"epochs": 3}}, "evaluation": {"splits": "test", "batch_size": 256}}
ANCESTORS = ("embedder", "embeddings", "metrics", "checkpoint")
ALL: dict[str, Any] = {
    "made_by": "pcl.evaluate",
    "benchmark": "market1501",
    "method": "pcl",
    "variant": "",
    "seed": 0,
    "data": "a" * 64,
    "galleries": "b" * 64,
    "parameters": PARAMETERS,
    "weights": "c" * 64,
    "made_from": dict.fromkeys(ANCESTORS, "d" * 64),
    "code": "1",
    "device": "cpu",
    "threads": 2,
    "file": "data/x",
}
OF_ANOTHER_RUN: dict[str, tuple[Any, ...]] = {
    "benchmark": ("msmt17",),
    "method": ("baseline",),
    "seed": (1,),
    "data": ("f" * 64,),
    "galleries": ("f" * 64,),
    "weights": ("f" * 64, "random"),
    "parameters": (
        {**PARAMETERS, "pcl": {"plan": {"epochs": 4}}},
        {**PARAMETERS, "evaluation": {"splits": "dev", "batch_size": 256}},
    ),
    "parameters.evaluation": ({**PARAMETERS, "evaluation": {"splits": "dev", "batch_size": 256}},),
    **{f"made_from.{name}": ({**ALL["made_from"], name: "f" * 64},) for name in ANCESTORS},
}
DECLARED = [
    (consumer, artefact, field)
    for consumer, artefacts in NEEDS.items()
    for artefact, fields in artefacts.items()
    for field in fields
]


@pytest.mark.parametrize(("consumer", "artefact", "field"), DECLARED)
def test_an_artefact_of_another_run_is_refused_wherever_its_consumer_declares_it(
    consumer: str, artefact: str, field: str
) -> None:
    present = Origin(**{**ALL, "made_by": f"pcl.{consumer}"})
    require_match(consumer, artefact, Origin(**ALL), present)
    for value in OF_ANOTHER_RUN[field]:
        other = Origin(**{**ALL, field.split(".")[0]: value})
        with pytest.raises(UserError) as caught:
            require_match(consumer, artefact, other, present)
        text = str(caught.value)
        assert text.startswith(f"data/x, the {artefact} that pcl.{consumer} reads, was not made by this run: ")
        assert re.search(rf"{re.escape(field)}\S* was .+ and is ", text)
        assert "pcl.evaluate made it. Make it anew: run the" in text


@pytest.mark.parametrize(("consumer", "artefact"), sorted({(c, a) for c, a, _ in DECLARED}))
def test_what_a_consumer_does_not_declare_is_let_through(consumer: str, artefact: str) -> None:
    declared = {field for c, a, field in DECLARED if (c, a) == (consumer, artefact)}
    free = {"variant": "x", "code": "2", "device": "cuda", "threads": 1, "label_use": "all"}
    free |= {name: "f" * 64 for name in ("galleries", "weights") if name not in declared}
    require_match(consumer, artefact, Origin(**{**ALL, **free}), Origin(**ALL))


def test_both_sides_of_every_difference_are_named() -> None:
    old = Origin(**{**ALL, "seed": 1, "parameters": {"pcl": {"plan": {"epochs": 9}}, "unknown": 1}})
    new = Origin(**{**ALL, "parameters": {"pcl": {"plan": {"epochs": 3}, "added": 2}}})
    found = list(mismatches(old, new, ("seed", "parameters", "data")))
    assert found == [("seed", 1, 0), ("parameters.pcl.plan.epochs", 9, 3)]  # what both sides name


def test_without_an_origin_nothing_is_known() -> None:
    with pytest.raises(UserError, match=r"embedder that pcl\.extract reads does not say what it was made from"):
        require_match("extract", "embedder", None, Origin(**{**ALL, "made_by": "pcl.extract"}))


def test_the_fingerprint_is_of_what_decides() -> None:
    first = Origin(**ALL).fingerprint
    for name, values in OF_ANOTHER_RUN.items():
        if name in {"galleries"}:
            continue
        assert Origin(**{**ALL, name.split(".")[0]: values[0]}).fingerprint != first, name
    for name, value in (("code", "2"), ("device", "cuda"), ("threads", 9), ("made_by", "x"), ("file", "y")):
        assert Origin(**{**ALL, name: value}).fingerprint == first, name


def test_rounding_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("a")
    warn_of_rounding(Origin(**ALL), Origin(**ALL), log)
    warn_of_rounding(None, Origin(**ALL), log)
    assert not caplog.messages
    warn_of_rounding(Origin(**ALL), Origin(**{**ALL, "threads": 4, "code": "2"}), log)
    says = "Code was 1 and is 2; threads was 2 and is 4: bits may differ from those of an unbroken run."
    assert caplog.messages == [says]


def test_the_file_is_not_stored() -> None:
    assert "file" not in Origin(**ALL).model_dump()


@pytest.mark.parametrize(
    ("own", "started_from", "found"),
    [
        ("none", None, "none"),
        ("none", "none", "none"),
        ("none", "all", "source"),
        ("none", "source", "source"),
        ("none", "partial", "partial"),
        ("all", "none", "all"),
        ("all", "source", "all"),
        ("partial", "all", "partial"),
    ],
)
def test_labels_that_were_used_once_stay_used(own, started_from, found) -> None:
    assert inherited_label_use(own, started_from) == found


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"weights": "f" * 64}, "kedro run --pipeline=pcl"),
        ({"parameters": {**PARAMETERS, "pcl": {"plan": {"epochs": 4}}}}, "kedro run --pipeline=pcl"),
        ({"parameters": {**PARAMETERS, "evaluation": {"splits": "test", "batch_size": 8}}}, "--from-nodes=pcl.extract"),
        ({"made_from": {**ALL["made_from"], "embedder": "f" * 64}}, "--from-nodes=pcl.evaluate"),
    ],
)
def test_the_remedy_is_the_first_node_that_depends_on_what_differs(change: Any, remedy: str) -> None:
    with pytest.raises(UserError, match=re.escape(remedy)):
        require_match("run_card", "metrics", Origin(**{**ALL, **change}), Origin(**ALL))


def test_results_of_before_tracklets_and_open_set_count_as_with_neither_given() -> None:
    earlier = Origin(**ALL)
    later = {"tracklets": "none", "open_set": {"draws": 5, "left_out": 0.5}}
    present = earlier.replace(parameters={**PARAMETERS, "evaluation": {**PARAMETERS["evaluation"], **later}})
    require_match("report", "metrics", earlier, present)
    pooled = {**PARAMETERS, "evaluation": {**PARAMETERS["evaluation"], "tracklets": "mean"}}
    with pytest.raises(UserError, match=r"evaluation\.tracklets was 'none' and is 'mean'.* from node pcl\.evaluate"):
        require_match("report", "metrics", earlier, earlier.replace(parameters=pooled))
