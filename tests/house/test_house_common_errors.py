"""docs/common_errors.md quotes messages of the code, word by word."""

import ast
import re
from functools import cache

import pytest
from project_copy import ROOT

PAGE = (ROOT / "docs/common_errors.md").read_text()
QUOTED = re.findall(r"^> (.+)$", PAGE, re.MULTILINE)
SLOT = "\0"


@cache
def texts() -> tuple[str, ...]:
    """Return every text in src, with a sign for each value that is put into it."""
    found = set()
    for file in (ROOT / "src/reid_pipeline").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                found.add("".join(part.value if isinstance(part, ast.Constant) else SLOT for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return tuple(found)


def holds(text: str, quoted: str) -> bool:
    """Return whether a text has the words between the places that are left open, in their order."""
    place = 0
    for words in re.split(r"`?<[^<>]*>`?", quoted):
        place = text.find(words, place)
        if place < 0:
            return False
        place += len(words)
    return True


@pytest.mark.slow
@pytest.mark.parametrize("quoted", QUOTED)
def test_the_code_says_so(quoted: str) -> None:
    words = re.sub(r"`?<[^<>]*>`?", "", quoted)
    assert len(words.split()) > 2, "words enough to be found by"
    assert any(holds(text, quoted) for text in texts()), quoted


def test_a_message_that_is_not_the_codes_is_found() -> None:
    assert len(QUOTED) > 20
    assert not any(holds(text, "the disk `<name>` is fuller") for text in texts())


def test_each_has_its_cause_and_remedy() -> None:
    after = re.split(r"^> .+\n", PAGE, flags=re.MULTILINE)[1:]
    assert all(len(text.partition("\n## ")[0].split()) > 8 for text in after)
