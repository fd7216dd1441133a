"""docs/towers.md is what building every tower gives."""

import re

import pytest
import towers_table
from tower_examples import shipped_names

from reid_pipeline.models.towers import tower_kinds


@pytest.mark.slow
def test_the_page_is_what_building_every_tower_gives() -> None:
    wanted, found = (
        towers_table.page(shipped_names()).splitlines(),
        towers_table.PAGE.read_text(encoding="utf-8").splitlines(),
    )
    differing = [f"{a!r} is written, {b!r} is built" for a, b in zip(found, wanted, strict=False) if a != b]
    assert differing == []
    assert len(found) == len(wanted), "Run python tests/models/towers_table.py."


def test_every_name_and_every_kind_is_on_the_page() -> None:
    page = towers_table.PAGE.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\S+) \| ([^|]+?) \| \d+ x \d+ \|", page, re.MULTILINE))
    refused = re.findall(r"^\| (\S+) \| refused: ", page, re.MULTILINE)
    assert sorted([*rows, *refused]) == shipped_names()
    kinds = {kind.KIND for kind in tower_kinds()}
    assert set(rows.values()) <= kinds
    section = page.partition("## Kinds")[2].partition("## Networks")[0]
    described = {line.split(" | ")[0][2:] for line in section.splitlines() if line.startswith("| ")}
    assert described == {*kinds, "kind"}
