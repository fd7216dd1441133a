"""Names of individuals to pids."""

import re
import unicodedata
from collections.abc import Iterable

import numpy as np
import pandas as pd

from reid_pipeline.readers.custom._rows import Rows, shown
from reid_pipeline.schema.columns import DISTRACTOR_PID, JUNK_PID, PID, UNLABELLED_PID
from reid_pipeline.schema.errors import UserError, first_few

JUNK = "-1"
_WHOLE = re.compile(r"\+?([0-9]+)(?:\.0*)?")
_NOBODY = frozenset({"nan", "none", "null", "na", "n/a", "unknown", "?"})


def number_identities(rows: Rows, subset: "pd.Series[str]") -> tuple["pd.Series[str]", "pd.Series[int]", list[str]]:
    """Give every individual a pid from 1, by the sorted names, whatever the order of the rows.

    Names that are whole numbers sort as numbers. `-1` is junk. Without a name an image is a distractor in
    the gallery, and unlabelled in training or where the subset is unassigned. Linear, but for the sort.

    Args:
        rows: with column pid, as text.
        subset: of each row, as in `schema.columns.SUBSETS`.

    Returns:
        identity, pid and notes.

    Raises:
        UserError: an individual is written in two forms, a name is a negative number, or a query has none.
    """
    refuse_two_forms(rows, PID)
    identity = rows.table[PID].str.strip()
    _refuse_negative(rows, identity)
    junk, unnamed = identity == JUNK, identity == ""
    names = in_order(identity[~junk & ~unnamed].unique())
    pid = pd.Series(pd.Index(names).get_indexer(pd.Index(identity)) + 1, index=identity.index, dtype="int64")
    pid[junk] = JUNK_PID
    pid[unnamed] = np.where(subset[unnamed] == "gallery", DISTRACTOR_PID, UNLABELLED_PID)
    asked = unnamed & (subset == "query")
    if asked.any():
        raise UserError(
            f"Column {rows.name(PID)} names nobody in {int(asked.sum())} query rows of {rows.source}:"
            f" {rows.places(asked)}. A query needs an individual to be matched with; name it, or move the"
            " image to the gallery, where it matches nobody."
        )
    return identity, pid, [*_notes(rows, identity, pid), *_untestable_note(subset, pid)]


def in_order(names: Iterable[str]) -> list[str]:
    """Return names sorted: as numbers if all are whole numbers, else by their characters."""
    found = sorted(names)
    if all(name.isascii() and name.isdigit() for name in found):
        found.sort(key=lambda name: (len(name.lstrip("0")), name.lstrip("0")))
    return found


def refuse_two_forms(rows: Rows, column: str) -> None:
    """Refuse a column in which one name seems to be written in two forms. Linear.

    Raises:
        UserError: two names differ in leading zeros, `.0`, capitals, surrounding blanks or Unicode form.
    """
    first_seen = rows.table[column].drop_duplicates()
    first_seen = first_seen[first_seen.str.strip() != ""]
    form = first_seen.map(_form)
    several = form.duplicated(keep=False)
    if not several.any():
        return
    cases = [
        " and ".join(f"{shown(str(name))} ({rows.place(row)})" for row, name in names.items())
        for _, names in first_seen[several].groupby(form[several], sort=False)
    ]
    raise UserError(
        f"Column {rows.name(column)} of {rows.source} writes {len(cases)} names in two forms:"
        f" {first_few(cases)}. Write each in one form; if they are different individuals or cameras, give"
        " them names that differ in more."
    )


def _form(name: str) -> str:
    """Return what all forms of a name have in common."""
    plain = unicodedata.normalize("NFC", name.strip()).casefold()
    number = _WHOLE.fullmatch(plain)
    return (number[1].lstrip("0") or "0") if number else plain


def _refuse_negative(rows: Rows, identity: "pd.Series[str]") -> None:
    negative = identity.str.fullmatch(r"-[0-9]+(?:\.0*)?") & (identity != JUNK)
    if negative.any():
        raise UserError(
            f"{int(negative.sum())} cells of column {rows.name(PID)} in {rows.source} are negative numbers:"
            f" {rows.cases(PID, negative)}. An individual is a name or a whole number; -1 means junk, and an"
            " empty cell that it is not known."
        )


def _notes(rows: Rows, identity: "pd.Series[str]", pid: "pd.Series[int]") -> list[str]:
    counts = {value: int((pid == value).sum()) for value in (JUNK_PID, DISTRACTOR_PID, UNLABELLED_PID)}
    notes = [
        f"{counts[value]} images {meaning}."
        for value, meaning in (
            (JUNK_PID, f"have {rows.name(PID)} -1: junk, and left out"),
            (DISTRACTOR_PID, "of the gallery have no individual: distractors, which match nobody"),
            (UNLABELLED_PID, "have no individual: unlabelled"),
        )
        if 0 < counts[value] < len(pid)  # that nobody at all is named was said before
    ]
    doubtful = identity[identity.str.casefold().isin(_NOBODY)].value_counts().sort_index()
    return notes + [
        f"{rows.name(PID)} {name!r} is read as the name of one individual ({count} images); leave the cell"
        " empty where nobody is known."
        for name, count in doubtful.items()
    ]


def _untestable_note(subset: "pd.Series[str]", pid: "pd.Series[int]") -> list[str]:
    """Return a note on images beside given training images that cannot be tested on."""
    count = int(((subset == "unassigned") & (pid == UNLABELLED_PID)).sum())
    if not count or not (subset == "train").any():
        return []
    return [
        f"{count} of these are not among the given training images; without an individual they can be trained"
        " on only. Remove their rows if they are to be kept out."
    ]
