"""Cameras, viewpoints and tracklets: whole numbers or names, to numbers."""

import pandas as pd

from reid_pipeline.readers.custom._identities import in_order, refuse_two_forms
from reid_pipeline.readers.custom._rows import Rows
from reid_pipeline.schema.columns import CAMID, TRACKID, VIEWID
from reid_pipeline.schema.errors import UserError, first_few

LARGEST = {CAMID: 9_999, VIEWID: 9_999, TRACKID: 999_999_999}
_NUMBER = r"[+-]?[0-9]+(?:\.[0-9]*)?"


def numbered(rows: Rows, column: str) -> tuple["pd.Series[int]", list[str]]:
    """Return a column as Int64, null where it is empty, and notes.

    Whole numbers stay as they are given; names are numbered from 0 by their sorted order. Linear, but for
    the sort.

    Raises:
        UserError: numbers and names are mixed, a number is negative, fractional or too large, a name is
            written in two forms, or some images have a camera and others none.
    """
    nothing = pd.Series(pd.NA, index=rows.table.index, dtype="Int64")
    if column not in rows.table:
        return nothing, []
    text = rows.table[column].str.strip()
    given = text != ""
    if not given.any():
        return nothing, []
    if column == CAMID:
        _refuse_gaps(rows, given)
    number = given & text.str.fullmatch(_NUMBER)
    if not number.any():
        return _named(rows, column, text)
    if not (number | ~given).all():
        raise UserError(
            f"Column {rows.name(column)} of {rows.source} mixes numbers and names:"
            f" {rows.cases(column, given & ~number)} beside {rows.cases(column, number)}. Write all as whole"
            " numbers, or all as names."
        )
    value = pd.to_numeric(text.where(given), errors="coerce").astype("float64")
    inside = value.between(0, LARGEST[column]) & (value % 1 == 0) & ~text.str.startswith("-")
    if (given & ~inside).any():
        raise UserError(
            f"{rows.name(column)} out of range in {int((given & ~inside).sum())} rows of {rows.source}:"
            f" {rows.cases(column, given & ~inside)}. Allowed are whole numbers from 0 to"
            f" {LARGEST[column]}, or names throughout."
        )
    if column == CAMID:
        refuse_two_forms(rows, column)
    return value.astype("Int64"), []


def camera_names(rows: Rows) -> "pd.Series[str]":
    """Return the cameras as they are written, empty where there are none."""
    if CAMID not in rows.table:
        return pd.Series("", index=rows.table.index, dtype="str")
    return rows.table[CAMID].str.strip()


def _named(rows: Rows, column: str, text: "pd.Series[str]") -> tuple["pd.Series[int]", list[str]]:
    refuse_two_forms(rows, column)
    names = in_order(text[text != ""].unique())
    if len(names) > LARGEST[column] + 1:
        raise UserError(
            f"{rows.name(column)} out of range: {rows.source} has {len(names)} different names in it, and"
            f" {LARGEST[column] + 1} are allowed. Is it another column's content?"
        )
    found = pd.Series(pd.Index(names).get_indexer(pd.Index(text)), index=text.index, dtype="Int64")
    mapping = first_few([f"{name} = {number}" for number, name in enumerate(names)], 20)
    note = f"{rows.name(column)}: names were numbered in sorted order, {mapping}."
    return found.mask(found < 0), [note]


def _refuse_gaps(rows: Rows, given: "pd.Series[bool]") -> None:
    if not given.all():
        raise UserError(
            f"Column {rows.name(CAMID)} of {rows.source} is empty in {int((~given).sum())} of {len(given)}"
            f" rows: {rows.places(~given)}. Images without a camera cannot be told from those of the query's"
            " own: fill every cell, or none (then there are no cameras)."
        )
