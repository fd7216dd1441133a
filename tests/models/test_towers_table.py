"""docs/towers.md is what building every tower gives."""

import re

import pytest
import towers_table
from matrices import WHOLE
from tower_examples import shipped_names

from reid_pipeline.models.towers import tower_kinds

ROW = re.compile(r"^\| (\S+) \| ([^|]+?) \| \d+ x \d+ \| .* \| (\d+) \|$")


def smallest_of_each_kind(page: list[str]) -> list[str]:
    """The name with the shortest embedding of each kind, in the page's order."""
    rows = [found for line in page if (found := ROW.match(line))]
    assert len(rows) > 100
    return [min((row for row in rows if row[2] == kind), key=lambda row: int(row[3]))[1] for kind in
            dict.fromkeys(row[2] for row in rows)]  # fmt: skip


@pytest.mark.slow
def test_the_page_is_what_building_towers_gives() -> None:
    """All of them by bench/matrices.py."""
    found = towers_table.PAGE.read_text(encoding="utf-8").splitlines()
    names = shipped_names() if WHOLE else sorted(smallest_of_each_kind(found), key=shipped_names().index)
    wanted = towers_table.page(names).splitlines()
    left_out = set() if WHOLE else {*shipped_names()} - {*names}
    found = [line for line in found if line.split(" | ")[0].removeprefix("| ") not in left_out]
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
