"""The console blocks of README, CONTRIBUTING and docs/, and which test executes which command of them.

A test that executes a documented command takes its words from `documented` or `documented_commands`, whose arguments
are literals: so what is executed is what stands there, and `claims` finds by reading the tests which commands that is.
"""

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from project_copy import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A console block.

    Attributes:
        document: the file, relative to the root.
        line: where it begins.
        commands: each as it stands after `$ `, in one line.
    """

    document: str
    line: int
    commands: tuple[str, ...]


def console_blocks() -> list[Block]:
    """Return all blocks, document by document from above to below."""
    return [block for document in DOCUMENTS for block in blocks_of(document.relative_to(ROOT).as_posix())]


@cache
def blocks_of(document: str) -> tuple[Block, ...]:
    """Return the blocks of one document."""
    text = (ROOT / document).read_text()
    return tuple(
        Block(
            document,
            text.count("\n", 0, found.start()) + 1,
            tuple(re.sub(r"\s*\\\n\s*", " ", command) for command in _COMMAND.findall(found[1])),
        )
        for found in _BLOCK.finditer(text)
    )


def words(command: str) -> list[str]:
    """Return the words of a command, as a shell divides them."""
    return shlex.split(command, comments=True)


def documented_commands(document: str) -> list[list[str]]:
    """Return the words of every command of a document, for a test that executes them all."""
    return [words(command) for block in blocks_of(document) for command in block.commands]


def documented(document: str, command: str) -> list[str]:
    """Return the words of a command for a test that executes it; a LookupError where it does not stand there so."""
    if not any(command in block.commands for block in blocks_of(document)):
        raise LookupError(f"No console block of {document} has: {command}")
    return words(command)


@cache
def claims() -> dict[tuple[str, str], str]:
    """Return the test file that executes a command, by document and command."""
    found = {}
    for file in sorted((ROOT / "tests").rglob("*.py")):
        text = file.read_text()
        if "documented" in text:
            for document, command in _claimed(ast.parse(text)):
                found[document, command] = file.relative_to(ROOT).as_posix()
    return found


def _claimed(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield document and command of each call of the two functions above."""
    for node in ast.walk(module):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        given = [str(each.value) for each in node.args if isinstance(each, ast.Constant)]
        if node.func.id == "documented" and len(given) == 2:
            yield given[0], given[1]
        if node.func.id == "documented_commands" and given:
            yield from ((given[0], command) for block in blocks_of(given[0]) for command in block.commands)
