"""Errors a user can mend, and the helpers that word them.

Every message says what was given, what is allowed, and the remedy; lists of cases are bounded.
"""

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class UserError(ValueError):
    """A mistake in what the user gave: a parameter, a file, a folder, a device.

    The command line prints the message alone, without a traceback, and exits with status 1.
    """


def nearest(given: str, allowed: Iterable[str]) -> str:
    """Return `" Did you mean 'x'?"` for the allowed word closest to `given`, or an empty string."""
    matches = difflib.get_close_matches(given, list(allowed), n=1)
    return f" Did you mean {matches[0]!r}?" if matches else ""


def first_few(cases: Sequence[object], limit: int = 5) -> str:
    """Return the first `limit` cases, comma separated, and how many more there are."""
    shown = ", ".join(str(case) for case in cases[:limit])
    return shown if len(cases) <= limit else f"{shown} and {len(cases) - limit} more"


def explain(error: "ValidationError", where: str) -> str:
    """Return one line per wrong parameter: its full name, what is wrong, and what was given."""
    lines = []
    for fault in error.errors(include_url=False):
        name = ".".join([where, *map(str, fault["loc"])]).strip(".")
        text = fault["msg"].removeprefix("Value error, ")
        given = "" if fault["type"] in {"missing", "value_error"} else f"; given {fault['input']!r}"
        lines.append(f"Parameter {name}: {text}{given}." if given else f"Parameter {name or 'conf/'}: {text}")
    return "\n".join(lines)
