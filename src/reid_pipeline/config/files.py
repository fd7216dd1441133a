"""YAML as conf/ has it: the same for its files, for overlays, for `--config` files and for values of `--params`.

Words are read as OmegaConf reads them: `1e-3` is a number, and a date is text.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf._utils import get_yaml_loader

from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parsing import ParsingError, parse_json, parse_yaml
from reid_pipeline.schema.regular_files import read_regular

SUFFIXES = (".yml", ".yaml", ".json")
_LOADER = get_yaml_loader()
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_MERGE_MARK = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)
_HINTS = {
    "'\\t'": "Write blanks, not tabs.",
    "mapping values": "Check the indent of this line and of the one above; a text with a colon stands in quotes.",
    "expected <block end>": "Check the indent of this line and of those above, and that brackets and quotes close.",
    "expected ',' or": "Check that what is opened above is closed.",
    "end of stream": "Check that brackets and quotes close.",
    "second time": "Leave one of them.",
}


def parse_conf(text: str) -> Any:
    """Return the value of a YAML text; raises `ParsingError`."""
    return parse_yaml(text, _LOADER.yaml_implicit_resolvers)


def shown(path: Path) -> str:
    """Return a path as the user would type it here."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def read_conf_file(path: Path) -> dict[str, Any]:
    """Return what a YAML or JSON file maps names to; an empty file maps none.

    Raises:
        UserError: names file, line and what is wrong there.
    """
    text = _text_of(path)
    parse, kind = (parse_json, "JSON") if path.suffix == ".json" and text.strip() else (parse_conf, "YAML")
    try:
        value = parse(text)
    except ParsingError as error:
        if _MERGE_MARK.search(text):
            raise UserError(f"{shown(path)} holds the marks of an unfinished merge (<<<<<<<). Resolve it.") from error
        hint = next((hint for words, hint in _HINTS.items() if words in str(error)), "Correct it.")
        raise UserError(f"{shown(path)} cannot be read as {kind}: {error}. {hint}") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        kind = "a list" if isinstance(value, list) else f"{value!r:.40}"
        raise UserError(f"{shown(path)} holds {kind}, and must map names to values, a line each: <name>: <value>.")
    if any(not isinstance(key, str) for key in _keys(value)):
        raise UserError(f"{shown(path)}{_no_name(text)}")
    return value


def line_of(path: Path, names: Sequence[str]) -> int | None:
    """Return the line of a file, counted from 1, where the value of these nested names begins; None without one."""
    node: Any = yaml.compose(_text_of(path), Loader=_LOADER)
    line = None
    for name in names:
        if isinstance(node, yaml.MappingNode):
            key, node = next(((key, value) for key, value in node.value if key.value == name), (None, None))
        elif isinstance(node, yaml.SequenceNode) and name.isdigit() and int(name) < len(node.value):
            key = node = node.value[int(name)]
        else:
            return None
        if key is None:
            return None
        line = key.start_mark.line + 1
    return line


def _text_of(path: Path) -> str:
    try:
        data = read_regular(path)
    except OSError as error:
        gone = path.is_symlink() and not path.exists()
        reason = f"it is a link to {path.readlink()}, which is not there" if gone else error.strerror or str(error)
        raise UserError(
            f"{shown(path)} cannot be read: {reason[0].lower()}{reason[1:]}. Put a file there that you may read, or"
            " take it away."
        ) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = "it is UTF-16" if data.startswith(_UTF_16) else f"line {line}: byte {data[error.start]:#x} is not UTF-8"
        raise UserError(f"{shown(path)} cannot be read: {what}. Save it as UTF-8.") from error


def _keys(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _keys(each)


def _no_name(text: str) -> str:
    """Return where the first key stands that YAML does not read as text, and what to do."""
    found = [yaml.compose(text, Loader=_LOADER)]
    for node in found:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.tag not in {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}:
                    word = key.value if isinstance(key, yaml.ScalarNode) else "here"
                    return (
                        f", line {key.start_mark.line + 1}: the name {word} is no text to YAML, which reads on, yes, no"
                        f' and numbers as values. Put it in quotes: "{word}".'
                    )
                found.append(value)
        elif isinstance(node, yaml.SequenceNode):
            found += node.value
    return " has a name that is no text. Put it in quotes."
