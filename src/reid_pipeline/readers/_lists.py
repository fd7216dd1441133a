"""List files: a line per image, a grammar per file."""

import re
from collections.abc import Iterable

import pandas as pd

from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.raw_folder import RawFolder

_LONGEST_SHOWN = 60  # characters of a line in a message


def matched_lines(raw: RawFolder, path: str, line: re.Pattern[str], grammar: str) -> list[tuple[int, re.Match[str]]]:
    """Return the number and the match of every line of a list; blank lines are passed over.

    Raises:
        UserError: the file is missing, empty or no text, or lines are outside the grammar.
    """
    lines = [(n, text) for n, text in enumerate(raw.read_text(path).splitlines(), 1) if text.strip()]
    matches = [(number, line.fullmatch(text.rstrip())) for number, text in lines]
    strange = [
        f"line {number} {text if len(text) <= _LONGEST_SHOWN else f'{text[:_LONGEST_SHOWN]}...'!r}"
        for (number, text), (_, match) in zip(lines, matches, strict=True)
        if match is None
    ]
    if strange:
        raise UserError(
            f"{path}: {len(strange)} lines are not {grammar}: {first_few(strange)}. Correct them, or take the"
            " list from the archive again."
        )
    if not lines:
        raise UserError(f"{path} lists nothing; a line is {grammar}. Take the list from the archive again.")
    return [(number, match) for number, match in matches if match is not None]


def check_named_once(images: Iterable[str], lists: Iterable[str]) -> None:
    """Refuse, with a `UserError`, an image that two lines name; `lists` has the list of each line."""
    table = pd.DataFrame({"image": list(images), "list": list(lists)})
    again = table[table.duplicated("image")].merge(table.drop_duplicates("image"), on="image", suffixes=("", "_first"))
    if len(again):
        twice = [f"{row['image']} ({row['list_first']} and {row['list']})" for _, row in again.iterrows()]
        raise UserError(
            f"{len(twice)} images are listed twice: {first_few(twice)}. An image has one place in the"
            " benchmark; remove the lines that are wrong."
        )


def check_present(path: str, named: Iterable[str], files: frozenset[str]) -> None:
    """Refuse, with a `UserError`, a list that names an image which is not among the raw folder's files."""
    missing = [image for image in named if image not in files]
    if missing:
        raise UserError(
            f"{path} names {len(missing)} images that are not there: {first_few(missing)}. Unpack the archive"
            " again; if they are lost, remove their lines from the list."
        )
