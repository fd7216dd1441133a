"""Errors that a user can correct: messages say what was given, what is allowed, and the remedy; lists are bounded."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

_LONGEST = 200
"""Characters of a value that a message repeats."""


class UserError(ValueError):
    """An error in what the user gave; the command line prints its message alone and exits with status 1."""


def nearest(given: str, allowed: Iterable[str]) -> str:
    """Return `" Did you mean 'x'?"` for the allowed word closest to `given`, or an empty string.

    Case and separators count least: `vit-b-16` and `ViTB16` find `ViT-B-16`.
    """
    words = list(allowed)
    plain = {_plain(word): word for word in reversed(words)}
    alike = difflib.get_close_matches(given, words, n=1) or [
        plain[word] for word in difflib.get_close_matches(_plain(given), plain, n=1)
    ]
    match = plain.get(_plain(given)) or next(iter(alike), None)
    return f" Did you mean {match!r}?" if match else ""


def _plain(word: str) -> str:
    return "".join(letter for letter in word.casefold() if letter.isalnum()) or word


def printable(text: str) -> str:
    r"""Return a text in one line, with `\n`, `\x1b` and the like for what would break it or steer a terminal."""
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode()


def first_few(cases: Sequence[object], limit: int = 5) -> str:
    """Return the first `limit` cases, comma separated, and how many more there are."""
    shown = ", ".join(printable(str(case)) for case in cases[:limit])
    return shown if len(cases) <= limit else f"{shown} and {len(cases) - limit} more"


def faults(error: "ValidationError") -> Iterator[tuple[str, str, str]]:
    """Yield each fault's dotted field, what is wrong, and what was given; empty where that says nothing."""
    for fault in error.errors(include_url=False):
        given = "" if fault["type"] in {"missing", "value_error"} else repr(fault["input"])
        if isinstance(fault["input"], bool) and fault["type"] in {"string_type", "literal_error"}:
            given += ", which YAML makes of on, off, yes and no without quotes"
        short = given if len(given) <= _LONGEST else f"{given[:_LONGEST]}..."
        yield ".".join(map(str, fault["loc"])), fault["msg"].removeprefix("Value error, "), short


def explain(error: "ValidationError", where: str) -> str:
    """Return one line per wrong parameter: its full name, what is wrong, and what was given."""
    lines = []
    for field, text, given in faults(error):
        name = f"{where}.{field}".strip(".")
        lines.append(f"Parameter {name}: {text}; given {given}." if given else f"Parameter {name or 'conf/'}: {text}")
    return "\n".join(lines)
