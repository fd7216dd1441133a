"""List files: a line per image, a grammar per file."""

import re
from collections.abc import Iterable

from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.raw_folder import RawFolder


def matched_lines(raw: RawFolder, path: str, line: re.Pattern[str], grammar: str) -> list[tuple[int, re.Match[str]]]:
    """Return the number and the match of every line of a list; blank lines are passed over.

    Raises:
        UserError: the file is missing, empty or no text, or lines are outside the grammar.
    """
    matched = []
    strange = []
    for number, text in enumerate(raw.read_text(path).splitlines(), 1):
        if not text.strip():
            continue
        match = line.fullmatch(text.rstrip())
        if match is None:
            strange.append(f"line {number} {_short(text)!r}")
        else:
            matched.append((number, match))
    if strange:
        raise UserError(
            f"{path}: {len(strange)} lines are not {grammar}: {first_few(strange)}. Correct them, or take the"
            " list from the archive again."
        )
    if not matched:
        raise UserError(f"{path} lists nothing; a line is {grammar}. Take the list from the archive again.")
    return matched


def check_named_once(names: Iterable[tuple[str, str]]) -> None:
    """Refuse an image that two lines name.

    Args:
        names: the image, and the list that names it, line by line.

    Raises:
        UserError: an image is named twice, in one list or in two.
    """
    first: dict[str, str] = {}
    twice = []
    for image, where in names:
        if image in first:
            twice.append(f"{image} ({first[image]} and {where})")
        else:
            first[image] = where
    if twice:
        raise UserError(
            f"{len(twice)} images are listed twice: {first_few(twice)}. An image has one place in the"
            " benchmark; remove the lines that are wrong."
        )


def check_present(path: str, named: Iterable[str], files: frozenset[str]) -> None:
    """Refuse a list that names an image which is not there.

    Raises:
        UserError: images of list `path` are not among the raw folder's files.
    """
    missing = [image for image in named if image not in files]
    if missing:
        raise UserError(
            f"{path} names {len(missing)} images that are not there: {first_few(missing)}. Unpack the archive"
            " again; if they are lost, remove their lines from the list."
        )


def _short(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[:limit] + "..."
