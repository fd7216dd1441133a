"""From rows of text to the manifest: subsets, identities, cameras, viewpoints, tracklets."""

import re
import unicodedata
from collections.abc import Iterable

import numpy as np
import pandas as pd

from reid_pipeline.readers.custom._rows import Rows, shown
from reid_pipeline.schema import columns
from reid_pipeline.schema.benchmark import Reading
from reid_pipeline.schema.errors import UserError, first_few, nearest

SUBSET_NAMES = ("train", "query", "gallery", "test")
SPLIT_WORDS = {
    **{name: name for name in SUBSET_NAMES},
    **dict.fromkeys(("training", "bounding_box_train", "val", "valid", "validation", "dev"), "train"),
    **dict.fromkeys(("probe", "queries"), "query"),
    **dict.fromkeys(("galleries", "bounding_box_test"), "gallery"),
    **dict.fromkeys(("testing",), "test"),
}
"""What tables, in their column split, and folders may say, in any case, to the subset that it means."""
LARGEST = {columns.CAMID: 9_999, columns.VIEWID: 9_999, columns.TRACKID: 999_999_999}

NOBODY_NAMED = "Nobody is named:"
UNLABELLED = "have no individual: unlabelled"
"""Of notes that are no longer true where identities are given besides."""
_UNASSIGNED = "unassigned"
_JOINED = ("val", "valid", "validation", "dev")  # the development splits are cut from training by splits.dev_fraction
_JUNK = "-1"
_WHOLE = re.compile(r"\+?([0-9]+)(?:\.0*)?")
_NUMBER = r"[+-]?[0-9]+(?:\.[0-9]*)?"
_NOBODY = frozenset(
    {"nan", "none", "null", "na", "n/a", "<na>", "#n/a", "#value!", "#ref!", "inf", "-inf", "unknown", "?"}
)


def reading_of(rows: Rows, path: "pd.Series[str]") -> Reading:
    """Conclude the manifest from rows with a column pid and, perhaps, split, camid, viewid and trackid.

    `path` is the file of each row.
    """
    subset = _subset(rows)
    identity, pid = identity_and_pid(rows, subset)
    manifest = pd.DataFrame(
        {
            columns.PATH: path,
            columns.IDENTITY: identity,
            columns.SUBSET: subset,
            columns.TEST_SETS: pd.Series("", index=path.index, dtype="str"),
            columns.PID: pid,
            **{name: numbers_of(rows, name) for name in LARGEST},
            columns.CAMERA: rows.text(columns.CAMID),
        }
    )
    return Reading(manifest.sort_values(columns.PATH, ignore_index=True), notes=tuple(rows.notes))


def _split_word(rows: Rows) -> "pd.Series[str]":
    """Return which of train, query, gallery and test every row says, "" for none; note words other than these."""
    text = rows.text(columns.SPLIT)
    key = text.str.casefold()
    unknown = ~key.isin(["", *SPLIT_WORDS])
    rows.refuse(
        unknown,
        "Column {column} of {source} holds {count} unknown words: {cases}.{hint} Allowed are {allowed}, or nothing; and"
        " {joined}, which join train.",
        columns.SPLIT,
        hint=nearest(str(next(iter(key[unknown]), "")), SPLIT_WORDS),
        allowed=", ".join(SUBSET_NAMES),
        joined=", ".join(_JOINED),
    )
    for name, count in text[~text.isin(["", *SUBSET_NAMES])].value_counts().sort_index().items():
        meaning = SPLIT_WORDS[str(name).casefold()]
        joined = f"were joined to {meaning}" if str(name).casefold() in _JOINED else f"are read as {meaning}"
        rows.notes.append(f"{count} images of {name} {joined}.")
    return key.map({"": "", **SPLIT_WORDS}).astype("str")


def _subset(rows: Rows) -> "pd.Series[str]":
    """Return the subset of every row.

    Three things can be given: nothing (all rows are unassigned), what training is (rows with `test`, or with nothing,
    are unassigned), or every subset (`query` and `gallery`, and `train`, and nothing else). Where nobody is known and
    nothing is given, all rows are training images.
    """
    word = _split_word(rows)
    used = set(word.unique())
    if used & {"query", "gallery"}:
        _refuse_incomplete_test(rows, word, used)
        return word
    if "train" in used:
        test, silent = int((word == "test").sum()), int((word == "").sum())
        counted = f"{test} test images" + (f" and {silent} that say nothing" if silent else "")
        note = f"Training is as given by {rows.name(columns.SPLIT)}; query and gallery are drawn from {counted}."
        if not test + silent:
            note = "All images are training images: there is no test."
        rows.notes.append(note)
        return word.where(word == "train", _UNASSIGNED)
    if "test" in used:
        raise UserError(
            f"{rows.source}: {rows.name(columns.SPLIT)} says test, and nothing says train. Say train for the images"
            " to be trained on, or nothing at all, to have training, query and gallery drawn."
        )
    if (rows.text(columns.PID) == "").all():
        rows.notes.append(f"{NOBODY_NAMED} all images are unlabelled training images, and there is no test.")
        return word.where(word != "", "train")
    return word.where(word != "", _UNASSIGNED)


def _refuse_incomplete_test(rows: Rows, word: "pd.Series[str]", used: set[str]) -> None:
    for one, other in (("query", "gallery"), ("gallery", "query")):
        if other not in used:
            raise UserError(
                f"{rows.source}: {one} is given but {other} is empty. Give both; or say train and test, and"
                " query and gallery are drawn from test."
            )
    rows.refuse(
        word.isin(["", "test"]),
        "{source}: query and gallery are given, and {count} rows are neither, nor train: {cases}. Say train, query or"
        " gallery in every row; or say train and test only, and query and gallery are drawn from test.",
        columns.SPLIT,
    )


def identity_and_pid(rows: Rows, subset: "pd.Series[str]") -> tuple["pd.Series[str]", "pd.Series[int]"]:
    """Return identity, and pid from 1 by sorted name; unnamed images are distractors in gallery, else unlabelled."""
    refuse_two_forms(rows, columns.PID)
    identity = rows.text(columns.PID)
    rows.refuse(
        identity.str.fullmatch(r"-[0-9]+(?:\.0*)?") & (identity != _JUNK),
        "{count} cells of column {column} in {source} are negative numbers: {cases}. An individual is a name or a whole"
        " number; -1 means junk, and an empty cell that it is not known.",
        columns.PID,
    )
    junk, unnamed = identity == _JUNK, identity == ""
    pid = _position(identity, _in_order(identity[~junk & ~unnamed].unique())) + 1
    pid[junk] = columns.JUNK_PID
    pid[unnamed] = np.where(subset[unnamed] == "gallery", columns.DISTRACTOR_PID, columns.UNLABELLED_PID)
    rows.refuse(
        unnamed & (subset == "query"),
        "Column {column} names nobody in {count} query rows of {source}: {places}. A query needs an individual to be"
        " matched with; name it, or move the image to the gallery, where it matches nobody.",
        columns.PID,
    )
    _note_identities(rows, identity, pid, subset)
    return identity, pid


def _note_identities(rows: Rows, identity: "pd.Series[str]", pid: "pd.Series[int]", subset: "pd.Series[str]") -> None:
    for value, meaning in (
        (columns.JUNK_PID, f"have {rows.name(columns.PID)} -1: junk, and left out"),
        (columns.DISTRACTOR_PID, "of the gallery have no individual: distractors, which match nobody"),
        (columns.UNLABELLED_PID, UNLABELLED),
    ):
        count = int((pid == value).sum())
        if 0 < count < len(pid):  # that nobody at all is named was noted before
            rows.notes.append(f"{count} images {meaning}.")
    doubtful = identity[identity.str.casefold().isin(_NOBODY)].value_counts().sort_index()
    rows.notes.extend(
        f"{rows.name(columns.PID)} {name!r} is read as the name of one individual ({count} images); leave the cell"
        " empty where nobody is known."
        for name, count in doubtful.items()
    )
    untestable = int(((subset == _UNASSIGNED) & (pid == columns.UNLABELLED_PID)).sum())
    if untestable and (subset == "train").any():
        rows.notes.append(
            f"{untestable} of these are not among the given training images; without an individual they can be trained"
            " on only. Remove their rows if they are not to be used."
        )


def _in_order(names: Iterable[str]) -> list[str]:
    """Return names sorted: as numbers if all are whole numbers, else by their characters."""
    found = sorted(names)
    numbers = all(name.isascii() and name.isdigit() for name in found)
    return sorted(found, key=lambda name: (len(name.lstrip("0")), name.lstrip("0"))) if numbers else found


def _position(text: "pd.Series[str]", names: list[str]) -> "pd.Series[int]":
    """Return the place of each cell among the names, -1 where it is none of them."""
    return pd.Series(pd.Index(names).get_indexer(pd.Index(text)), index=text.index, dtype="int64")


def refuse_two_forms(rows: Rows, column: str) -> None:
    """Refuse names that differ in leading zeros, `.0`, capitals, surrounding blanks or Unicode form. Linear."""
    first_seen = rows.table[column].drop_duplicates()
    first_seen = first_seen[first_seen.str.strip() != ""]
    form = first_seen.map(_form)
    several = form.duplicated(keep=False)
    if several.any():
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


def numbers_of(rows: Rows, column: str) -> "pd.Series[int]":
    """Return a column as Int64, null where it is empty: whole numbers as given, or names numbered in sorted order."""
    text = rows.text(column)
    given = text != ""
    if not given.any():
        return pd.Series(pd.NA, index=text.index, dtype="Int64")
    rows.refuse(
        ~given & (column == columns.CAMID),
        "Column {column} of {source} is empty in {count} of {total} rows: {places}. Images without a camera cannot"
        " be distinguished from those of the query's own: fill every cell, or none (then there are no cameras).",
        column,
    )
    number = given & text.str.fullmatch(_NUMBER)
    if not number.any():
        return _numbered_names(rows, column, text)
    if (given & ~number).any():
        rows.refuse(
            given & ~number,
            "Column {column} of {source} mixes numbers and names: {cases} beside {numbers}. Write all as whole numbers,"
            " or all as names.",
            column,
            numbers=rows.cases(column, number),
        )
    value = pd.to_numeric(text.where(given), errors="coerce").astype("float64")
    inside = value.between(0, LARGEST[column]) & (value % 1 == 0) & ~text.str.startswith("-")
    rows.refuse(
        given & ~inside,
        "{column} out of range in {count} rows of {source}: {cases}. Allowed are whole numbers from 0 to {largest}, or"
        " names throughout.",
        column,
        largest=LARGEST[column],
    )
    if column == columns.CAMID:
        refuse_two_forms(rows, column)
    return value.astype("Int64")


def _numbered_names(rows: Rows, column: str, text: "pd.Series[str]") -> "pd.Series[int]":
    refuse_two_forms(rows, column)
    names = _in_order(text[text != ""].unique())
    if doubtful := [shown(name) for name in names if name.casefold() in _NOBODY]:
        rows.notes.append(
            f"{rows.name(column)} {first_few(doubtful)} is read as a name; leave the cells empty where none is known."
        )
    if len(names) > LARGEST[column] + 1:
        raise UserError(
            f"{rows.name(column)} out of range: {rows.source} has {len(names)} different names in it, and"
            f" {LARGEST[column] + 1} are allowed. Is it another column's content?"
        )
    mapping = first_few([f"{name} = {number}" for number, name in enumerate(names)], 20)
    rows.notes.append(f"{rows.name(column)}: names were numbered in sorted order, {mapping}.")
    found = _position(text, names).astype("Int64")
    return found.mask(found < 0)
