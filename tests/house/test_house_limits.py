"""The limits that ruff has no rule for: lines of a function, lines of a module, one form of docstrings, one English."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache

from project_copy import ROOT

FUNCTION, MODULE = 40, 300
FILES = sorted(file for folder in ("src", "dvc", "bench") for file in (ROOT / folder).rglob("*.py"))
WORD = re.compile(r"[A-Z]?[a-z]+")
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
RETIRED = re.compile(
    r"told|said|chosen|kept|settles?|settled|lots?|shelf|shelves|mistakes?|everything|halves|litter", re.IGNORECASE
)


@cache
def nodes(text: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(text)))


def functions(text: str) -> Iterator[tuple[str, int]]:
    """Each function and its lines, the docstring not counted."""
    for node in nodes(text):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            first = node.body[0]
            if ast.get_docstring(node) is not None:
                lines -= (first.end_lineno or 0) - first.lineno + 1
            yield node.name, lines


def docstrings(text: str) -> Iterator[str]:
    for node in nodes(text):
        if isinstance(node, DOCUMENTED) and (found := ast.get_docstring(node)):
            yield found


def words(text: str) -> Iterator[tuple[int, str]]:
    """Each word of names, strings and comments, with its line, of a text that has a retired word somewhere."""
    if not any(map(RETIRED.fullmatch, WORD.findall(text))):
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NAME, tokenize.STRING, tokenize.COMMENT):
            for word in WORD.findall(token.string):
                yield token.start[0], word


def paths_and_texts() -> Iterator[tuple[str, str]]:
    for file in FILES:
        yield file.relative_to(ROOT).as_posix(), file.read_text()


def test_functions_and_modules_are_short() -> None:
    found = []
    for path, text in paths_and_texts():
        found += [(path, name, lines) for name, lines in functions(text) if lines > FUNCTION]
        found += [(path, "", lines)] if (lines := len(text.splitlines())) > MODULE else []
    assert found == []


def test_docstrings_have_one_form() -> None:
    """Names stand between single backticks, sections are Google's, an entry begins with a small letter."""
    found = []
    for path, text in paths_and_texts():
        for each in docstrings(text):
            foreign = re.findall(r"``|^ *(?::param|:returns?|Parameters\n *-{3,})", each, re.MULTILINE)
            capitals = {
                name.strip() for name in re.findall(r"^(?:Returns|Yields):\n +([A-Z][a-z]+ )", each, re.MULTILINE)
            }
            found += [(path, word) for word in [*foreign, *(capitals - {"None", "True", "False"})]]
    assert found == []


def test_words_are_those_of_the_field() -> None:
    """CONTRIBUTING's glossary has the words to use instead."""
    found = []
    for path, text in paths_and_texts():
        found += [(path, line, word) for line, word in words(text) if RETIRED.fullmatch(word)]
    assert found == []


def test_the_checks_see_what_they_are_for() -> None:
    text = 'def long():\n    """One.\n\n    Two.\n    """\n' + "    x = 1\n" * 41 + "said = 'Shelf'  # kept\n"
    assert list(functions(text)) == [("long", 42)]
    assert [word for _, word in words(text) if RETIRED.fullmatch(word)] == ["said", "Shelf", "kept"]
