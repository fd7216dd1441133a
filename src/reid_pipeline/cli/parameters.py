"""What `--params` gives: `name=value` pairs with a comma between them, each value read as YAML."""

import re
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import Any

from reid_pipeline.config.files import parse_conf
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.layers import TEXT
from reid_pipeline.schema.nested import leaves, merged, nested
from reid_pipeline.schema.parsing import ParsingError

_NAME = re.compile(r"[^\s.=,\[\]{}'\":]+(\.[^\s.=,\[\]{}'\":]+)*")
_NEXT = re.compile(r",\s*(?P<name>[^\W\d]\w*)(\.[\w.-]+)?\s*=")
_CLOSES = {"[": "]", "{": "}"}
_FORM = "--params takes <name>=<value>,<name>=<value>"


def given_parameters(text: str, known: Collection[str]) -> dict[str, Any]:
    """Return the parameters of a text such as `seed=1,compute.device=cpu,backbone.image_size=[32,16]`.

    A value in brackets or quotes may hold commas. What names something (`layers.TEXT`) is text as typed: it goes on
    until a comma that a parameter follows, whose first name is, or nearly is, one of `known`.

    Raises:
        UserError: names the part that cannot be read, and says how it is given.
    """
    result: dict[str, Any] = {}
    typed: dict[str, str] = {}
    for name, value in _pairs(text, known):
        read = _unquoted(value) if name in TEXT else _value(name, value)
        for leaf, _ in leaves({name: read}):
            for other, before in typed.items():
                if f"{leaf}.".startswith(f"{other}.") or f"{other}.".startswith(f"{leaf}."):
                    raise UserError(f"--params gives {leaf} twice: {before} and {name}={value}. Leave one of them.")
        typed |= {leaf: f"{name}={value}" for leaf, _ in leaves({name: read})}
        result = merged(result, nested({name: read}))
    return result


def _pairs(text: str, known: Collection[str]) -> Iterator[tuple[str, str]]:
    rest, last = text.lstrip(", \t\n"), ""
    while rest:
        name, equals, after = rest.partition("=")
        name = name.strip()
        if not equals or "," in name:
            raise UserError(_no_pair(rest.partition(",")[0].strip(), last))
        if not _NAME.fullmatch(name):
            raise UserError(f"{_FORM}, and {name!r} before the = is no parameter's name, such as compute.device.")
        end = _end_of_text(after, known) if name in TEXT else _end(name, after)
        yield name, after[:end].strip()
        last = f"{name}={after[:end].strip()}"
        rest = after[end:].lstrip(", \t\n")


def _no_pair(item: str, last: str) -> str:
    name, _, value = last.partition("=")
    if value == "0" and item.isdigit():
        point = f"{name}={value}.{item}"
        return f"{_FORM}, and `{item}`, after {last}, is none. Write {point}, or a list {name}=[{value},{item}]."
    if last:
        return (
            f"{_FORM}, and `{item}`, after the comma behind {last}, is none. If it belongs to {name}: a list stands in"
            f" brackets, {name}=[{value.lstrip('(')},{item.rstrip(')')}], and a text with commas in quotes,"
            f" {name}='\"{value},{item}\"'."
        )
    colon = f" Write {item.replace(':', '=', 1)}." if ":" in item else ""
    return f"{_FORM}, and `{item}` is none.{colon}"


def _end(name: str, text: str) -> int:
    """Return where a value ends: at a comma outside of the brackets or quotes that it begins with."""
    if text.lstrip()[:1] not in {"[", "{", '"', "'"}:
        return text.find(",") if "," in text else len(text)
    open_, quote, before = [], "", "["
    for place, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote and (quote == "'" or before != "\\") else quote
        elif sign in "\"'" and before in "[{,:'":  # a quote within single quotes is doubled
            quote = sign
        elif sign in _CLOSES:
            open_.append(_CLOSES[sign])
        elif open_ and sign == open_[-1]:
            open_.pop()
        elif sign == "," and not open_:
            return place
        before = before if sign.isspace() else sign
    if quote or open_:
        what, example = ("a quote", '"a text"') if quote else ("a bracket", "[1, 2]")
        raise UserError(
            f"--params {name}={_short(text)} opens {what} that it does not close. The shell may have cut it; put all in"
            f" quotes: --params '{name}={example}'."
        )
    return len(text)


def _end_of_text(text: str, known: Collection[str]) -> int:
    bare = text.lstrip()
    begin = len(text) - len(bare)
    if bare[:1] in {'"', "'"} and (end := bare.find(bare[0], 1)) > 0 and re.match(r"\s*(,|$)", bare[end + 1 :]):
        return begin + end + 1
    for match in _NEXT.finditer(text):
        if get_close_matches(match["name"], known, 1, 0.75):
            return match.start()
    return len(text.rstrip(", \t\n"))


def _short(text: str) -> str:
    return text.strip() if len(text) < 100 else f"{text.strip()[:100]}..."


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] in "\"'" and text[-1] == text[0] else text


def _value(name: str, text: str) -> Any:
    try:
        return parse_conf(text)
    except ParsingError as error:
        raise UserError(
            f"--params {name}={_short(text)} cannot be read as YAML: {str(error).removeprefix('line 1, ')}. A text with"
            f" such signs stands in quotes: --params '{name}=\"<text>\"'."
        ) from error
