"""Split values, or split folders, to the subsets of the manifest."""

import pandas as pd

from reid_pipeline.readers.custom._rows import Rows
from reid_pipeline.schema.columns import PID, SPLIT
from reid_pipeline.schema.errors import UserError, nearest

SPLIT_WORDS = ("train", "query", "gallery", "test")
_UNASSIGNED = "unassigned"


def subsets_of(rows: Rows, *, allowed: tuple[str, ...] = SPLIT_WORDS) -> tuple["pd.Series[str]", list[str]]:
    """Return the subset of every row, and notes.

    Three things can be said: nothing (all rows are unassigned), what training is (rows with `test`, or
    with nothing, are unassigned), or everything (`query` and `gallery`, and `train`, and nothing else).
    Where nobody is known and nothing is said, all rows are training images.

    Args:
        rows: with column pid, and with column split or without.
        allowed: the words that the user may write, for messages.

    Raises:
        UserError: a word is unknown, or the words leave open what is meant.
    """
    if SPLIT not in rows.table:
        word = pd.Series("", index=rows.table.index, dtype="str")
    else:
        word = rows.table[SPLIT].str.strip()
    _refuse_unknown(rows, word, allowed)
    used = set(word.unique())
    if used & {"query", "gallery"}:
        _refuse_half_drawn(rows, word, used)
        return word, []
    if "train" in used:
        return word.where(word == "train", _UNASSIGNED), _drawn_note(rows, word)
    if "test" in used:
        raise UserError(
            f"{rows.source}: {rows.name(SPLIT)} says test, and nothing says train. Say train for the images"
            " to be trained on, or nothing at all, to have training, query and gallery drawn."
        )
    if (rows.table[PID].str.strip() == "").all():
        note = "Nobody is named: all images are unlabelled training images, and there is no test."
        return word.where(word != "", "train"), [note]
    return word.where(word != "", _UNASSIGNED), []


def _refuse_unknown(rows: Rows, word: "pd.Series[str]", allowed: tuple[str, ...]) -> None:
    unknown = ~word.isin(["", *SPLIT_WORDS])
    if unknown.any():
        first = str(word[unknown].iloc[0])
        hint = nearest(first, allowed) or nearest(first.casefold(), allowed)
        raise UserError(
            f"Column {rows.name(SPLIT)} of {rows.source} holds {int(unknown.sum())} unknown words:"
            f" {rows.cases(SPLIT, unknown)}.{hint} Allowed are {', '.join(allowed)}, or nothing."
        )


def _refuse_half_drawn(rows: Rows, word: "pd.Series[str]", used: set[str]) -> None:
    for one, other in (("query", "gallery"), ("gallery", "query")):
        if other not in used:
            raise UserError(
                f"{rows.source}: {one} is given but {other} is empty. Give both; or say train and test, and"
                " query and gallery are drawn from test."
            )
    loose = word.isin(["", "test"])
    if loose.any():
        raise UserError(
            f"{rows.source}: query and gallery are given, and {int(loose.sum())} rows are neither, nor"
            f" train: {rows.cases(SPLIT, loose)}. Say train, query or gallery in every row; or say"
            " train and test only, and query and gallery are drawn from test."
        )


def _drawn_note(rows: Rows, word: "pd.Series[str]") -> list[str]:
    test, silent = int((word == "test").sum()), int((word == "").sum())
    if not test + silent:
        return ["All images are training images: there is no test."]
    counted = f"{test} test images" + (f" and {silent} that say nothing" if silent else "")
    return [f"Training is as given by {rows.name(SPLIT)}; query and gallery are drawn from {counted}."]
