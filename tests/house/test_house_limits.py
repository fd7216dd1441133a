"""The limits that ruff has no rule for: lines of a function, lines of a module, one form of docstrings, one English."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
from project_copy import ROOT

FUNCTION, MODULE = 40, 300
FILES = sorted(file for folder in ("src", "dvc", "bench") for file in (ROOT / folder).rglob("*.py"))
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
RETIRED = re.compile(
    r"told|said|chosen|kept|settles?|settled|lots?|shelf|shelves|mistakes?|everything|halves|litter", re.IGNORECASE
)
NAMED = pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())


def functions(text: str) -> Iterator[tuple[str, int]]:
    """Each function and its lines, the docstring not counted."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            first = node.body[0]
            if ast.get_docstring(node) is not None:
                lines -= (first.end_lineno or 0) - first.lineno + 1
            yield node.name, lines


def docstrings(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, DOCUMENTED) and (found := ast.get_docstring(node)):
            yield found


def words(text: str) -> Iterator[tuple[int, str]]:
    """Each word of names, strings and comments, with its line."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NAME, tokenize.STRING, tokenize.COMMENT):
            for word in re.findall(r"[A-Z]?[a-z]+", token.string):
                yield token.start[0], word


@NAMED
def test_functions_and_modules_are_short(file: Path) -> None:
    text = file.read_text()
    assert {name: lines for name, lines in functions(text) if lines > FUNCTION} == {}
    assert len(text.splitlines()) <= MODULE


@NAMED
def test_docstrings_have_one_form(file: Path) -> None:
    for found in docstrings(file.read_text()):
        assert "``" not in found, "names stand between single backticks"
        assert re.search(r"^ *(:param|:returns?|Parameters\n *-{3,})", found, re.MULTILINE) is None
        for capital in re.findall(r"^(?:Returns|Yields):\n +([A-Z][a-z]+ )", found, re.MULTILINE):
            assert capital.strip() in {"None", "True", "False"}, "an entry begins with a small letter"


@NAMED
def test_words_are_those_of_the_field(file: Path) -> None:
    """CONTRIBUTING's glossary has the words to use instead."""
    found = [(line, word) for line, word in words(file.read_text()) if RETIRED.fullmatch(word)]
    assert found == []


def test_the_checks_see_what_they_are_for() -> None:
    text = 'def long():\n    """One.\n\n    Two.\n    """\n' + "    x = 1\n" * 41 + "said = 'Shelf'  # kept\n"
    assert list(functions(text)) == [("long", 42)]
    assert [word for _, word in words(text) if RETIRED.fullmatch(word)] == ["said", "Shelf", "kept"]
