"""The registered pipelines and their nodes are those written down: others build on their names."""

from difflib import unified_diff

from pipelines_snapshot import FILE, METHODS, snapshot

from reid_pipeline.methods import method_names


def test_pipelines_and_nodes_are_as_written_down() -> None:
    difference = "\n".join(unified_diff(FILE.read_text().splitlines(), snapshot().splitlines(), lineterm=""))
    assert difference == "", f"{difference}\nIf this is meant: python tests/house/pipelines_snapshot.py"


def test_a_method_that_is_not_listed_needs_no_line() -> None:
    assert set(METHODS) <= set(method_names())
    fewer = snapshot(METHODS[1:])
    assert METHODS[0] not in fewer
    assert all(f"pipeline {name}\n" in fewer for name in ("ingestion", "report", *METHODS[1:]))
