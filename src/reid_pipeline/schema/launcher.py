"""The command of `compute.launcher`: words of a shell, some of them in braces, which are filled in."""

import re
import shlex
from typing import Annotated

from pydantic import AfterValidator

WORDS = ("python", "processes", "restarts", "worker")
_FILLED = re.compile(r"\{\{|\}\}|\{(?:" + "|".join(WORDS) + r")\}")
_ALLOWED = ", ".join(f"{{{word}}}" for word in WORDS)


def _checked(template: str) -> str:
    """Return the command; refuse before a run what could not be filled in when it trains."""
    if not template:
        return template
    if "\0" in template:
        raise ValueError(f"{template!r} is no command in a line")
    try:
        words = shlex.split(template)
    except ValueError as error:
        raise ValueError(f"{template!r} is no command of a shell: {error}") from error
    if not words:
        raise ValueError("blanks name no program: null is torchrun on this machine")
    for word in words:
        if any(brace in _FILLED.sub("", word) for brace in "{}"):
            raise ValueError(f"{word!r} cannot be filled in: words in braces are {_ALLOWED}, and {{{{ is a brace")
        if "{worker}" in word and word != "{worker}":
            raise ValueError(
                f"{word!r} holds {{worker}}, which stands for several words and must be one of its own; a script takes"
                ' them as "$@"'
            )
    return template


Launcher = Annotated[str, AfterValidator(_checked)]
