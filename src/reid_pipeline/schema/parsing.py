"""JSON and YAML that anybody may have written: what would exhaust the parser, or who reads the result, is refused.

All JSON and YAML of this project is read through here, but for what Kedro and DVC read themselves.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import yaml

DEEPEST = 100
"""Levels of mappings and lists; the files of this project have fewer than ten."""
_MOST_NODES = 100_000  # of a YAML file, its aliases counted out: nine lines of aliases can stand for 10^9 values

# LibYAML's parser, where PyYAML has it, is ten times as fast as PyYAML's own; every run reads all of conf/.
_LIBYAML: Any = getattr(yaml, "CSafeLoader", None)
_READ_OTHERWISE = re.compile(r"[\t\ufeff!?]|[>|]#")
"""Tabs within text, byte order marks, a lone `!`, `?` in braces, `>#`: where the two differ."""


class ParsingError(ValueError):
    """The text is no JSON or YAML that can be used; the message says why and, where that is known, the line."""


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text; raises `ParsingError`."""
    too_deep = f"it is nested more than {DEEPEST} levels deep"
    try:
        value = json.loads(text)
    except RecursionError:
        raise ParsingError(too_deep) from None
    except json.JSONDecodeError as error:
        raise ParsingError(f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise ParsingError(f"byte {error.start} is no UTF-8") from error
    level = [value]
    for _ in range(DEEPEST):
        level = [below for each in level if isinstance(each, dict | list) for below in _inside(each)]
        if not level:
            return value
    raise ParsingError(too_deep)


def parse_yaml(text: str, words: Mapping[str, Any] | None = None) -> Any:
    """Return the value of a YAML text, which has one document and no doubled key; raises `ParsingError`.

    `words` replaces PyYAML's table of plain words that stand for numbers, truth values, dates and nothing.
    """
    if _LIBYAML is not None and not _READ_OTHERWISE.search(text):
        with suppress(Exception):  # what is wrong stands in the words of PyYAML's own parser
            return _value(text, words, _LIBYAML)
    try:
        return _value(text, words, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        where = _place(error.problem_mark or error.context_mark)
        raise ParsingError(f"{where}{error.problem or error.context}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ParsingError(f"line {line}: the character {chr(error.character)!r} cannot stand in YAML") from error
    except ParsingError:
        raise
    except Exception as error:  # what PyYAML makes of `!!timestamp abc`, or of a date such as 2024-13-01
        raise ParsingError(f"a value in it is none of its kind ({str(error) or type(error).__name__})") from error


def _value(text: str, words: Mapping[str, Any] | None, kind: Any) -> Any:
    _require_shallow(text, kind)
    loader = kind(text)
    loader.yaml_implicit_resolvers = dict(words or loader.yaml_implicit_resolvers)
    node = loader.get_single_node()
    if node is None:
        return None
    _check(node, {})
    return loader.construct_document(node)


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""


def _inside(value: dict[str, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


def _require_shallow(text: str, kind: Any) -> None:
    """Refuse deep nesting before PyYAML builds it: the parser itself needs no stack, and stops here."""
    depth = 0
    for event in yaml.parse(text, Loader=kind):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ParsingError(f"{_place(event.start_mark)}it is nested more than {DEEPEST} levels deep")


def _check(node: yaml.Node, counted: dict[int, int]) -> int:
    """Return the nodes that `node` stands for, a doubled key refused; 0 in `counted` marks one that is looked into."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if (found := counted.get(id(node))) is not None:
        if not found:
            raise yaml.MarkedYAMLError(problem="an alias stands within its own anchor", problem_mark=node.start_mark)
        return found
    counted[id(node)] = 0
    total = 1 + sum(_check(each, counted) for each in _children(node))
    if total > _MOST_NODES:
        problem = f"its aliases stand for more than {_MOST_NODES} values"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
    if isinstance(node, yaml.MappingNode):
        _require_each_once(node)
    counted[id(node)] = total
    return total


def _require_each_once(node: yaml.MappingNode) -> None:
    lines: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value != "<<":
            if (line := lines.get((key.tag, key.value))) is not None:
                problem = f"the key {key.value!r} stands there a second time, after line {line + 1}"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            lines[key.tag, key.value] = key.start_mark.line


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return list(node.value)
