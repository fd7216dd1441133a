"""Which files of the two packages some code needs: what it imports, and the data files that this code names.

Imports are followed name by name. A package that hands on names of its modules stands for the names that are
taken from it, not for all that it could hand on: whoever takes `nt_xent_loss` from `reid_pipeline.losses` needs
`losses/self_supervised.py`, and nothing of the triplet loss.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
PACKAGE, DRAWINGS = "reid_pipeline", "reid_drawings"
WITHOUT_EFFECT = (f"{PACKAGE}.engine.progress", f"{PACKAGE}.io.index_page")
"""The bar on the console decides on no result, and the index of all pages is none; nor does the package's own
`__init__.py`, the version."""
WHOLE = (f"{PACKAGE}.clustering.kinds", f"{PACKAGE}.models.towers")
"""Packages that import all of their modules, by what lies there; of methods and readers a step has one."""


@cache
def modules() -> dict[str, Path]:
    """Return the file of every module, by dotted name; a package's is its `__init__.py`."""
    found = {}
    for file in sorted(file for package in (PACKAGE, DRAWINGS) for file in (SOURCE / package).rglob("*.py")):
        parts = file.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def needed_files(*roots: str, without: Iterable[str] = ()) -> list[Path]:
    """Return the files that modules need, in order.

    Args:
        roots: modules of reid_pipeline, without its name: "methods.pcl".
        without: packages or modules, by their whole names, that are left out with all that only they need.

    Raises:
        KeyError: there is no such module.
    """
    left_out = tuple(f"{name}." for name in (*WITHOUT_EFFECT, *without))
    code = [modules()[name] for name in _imported_by({f"{PACKAGE}.{root}" for root in roots}, left_out)]
    return sorted({*code, *_data_of(code)})


def _imported_by(roots: set[str], left_out: tuple[str, ...]) -> set[str]:
    seen: set[str] = set()
    waiting = set(roots)
    while waiting:
        seen.add(name := waiting.pop())
        found = {each for each in _direct(name) if not f"{each}.".startswith(left_out)}
        waiting |= found - seen - {PACKAGE}
    return seen


@cache
def _direct(module: str) -> frozenset[str]:
    """Return what a module imports, but for names that it only hands on and what only type checkers read."""
    handed_on = _handed_on(module)
    taken = {
        home
        for source, name in _imports(module, typing=False)
        if name not in handed_on
        for home in _homes(source, name)
    }
    if module in WHOLE:
        taken |= {name for name in modules() if name.startswith(f"{module}.")}
    return frozenset(taken)


def _homes(source: str, name: str) -> set[str]:
    """Return the modules that `from source import name` takes something from."""
    if f"{source}.{name}" in modules():
        return {f"{source}.{name}"}
    if source not in modules():
        return set()
    if name in _handed_on(source):
        for home, handed in _imports(source, typing=True):
            if handed == name:
                return {source, *_homes(home, name)}
    return {source}


@cache
def _handed_on(module: str) -> frozenset[str]:
    """Return the names that a package hands on, in `__all__` or imported `as` themselves; of other modules none."""
    if modules()[module].name != "__init__.py":
        return frozenset()
    names = set()
    for node in _tree(module).body:
        if isinstance(node, ast.Assign) and [ast.unparse(each) for each in node.targets] == ["__all__"]:
            names |= set(ast.literal_eval(node.value))
        if isinstance(node, ast.ImportFrom):
            names |= {alias.name for alias in node.names if alias.asname == alias.name}
    return frozenset(names)


@cache
def _imports(module: str, *, typing: bool) -> tuple[tuple[str, str], ...]:
    """Return (module, name) of all import statements, those for type checkers only if asked for."""
    return tuple(
        (node.module, alias.name) if isinstance(node, ast.ImportFrom) else (alias.name, "")
        for node in _statements(_tree(module), typing=typing)
        if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and node.module)
        for alias in node.names
    )


def _statements(node: ast.AST, *, typing: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if typing or not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from _statements(child, typing=typing)


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def _data_of(code: list[Path]) -> set[Path]:
    """Return the data files that the code needs; they may name others of their own folder (templates)."""
    found: set[Path] = set()
    waiting = list(code)
    while waiting:
        named = {file for file in _data_files() if waiting[-1] in _readers(file)} - found
        waiting = [*waiting[:-1], *named]
        found |= named
    return found


@cache
def _data_files() -> tuple[Path, ...]:
    return tuple(
        file
        for file in sorted((SOURCE / PACKAGE).rglob("*"))
        if file.is_file() and file.suffix not in {".py", ".pyc"} and not file.name.startswith(".")
    )


@cache
def _readers(data: Path) -> frozenset[Path]:
    """Return the files of a data file's room that name it or, where none does, its folder."""
    room = SOURCE.joinpath(*data.relative_to(SOURCE).parts[:2])
    texts = {
        file: file.read_text(encoding="utf-8")
        for file in sorted(room.rglob("*"))
        if file.suffix in {".py", ".j2"} and file != data
    }
    for name in (data.name, data.parent.name):
        quoted = re.compile(rf"""["']{re.escape(name)}["']""")
        if found := frozenset(file for file, text in texts.items() if quoted.search(text)):
            return found
    return frozenset()
