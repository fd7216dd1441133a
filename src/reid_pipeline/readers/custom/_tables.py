"""The forms with a table, a row per image: a manifest for this project, and metadata as wildlife-datasets writes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from reid_pipeline.readers.custom._columns import SPLIT_WORDS, reading_of
from reid_pipeline.readers.custom._files import files_named_by
from reid_pipeline.readers.custom._rows import Rows, text_of, unread_columns
from reid_pipeline.schema.benchmark import Reading
from reid_pipeline.schema.columns import CAMID, IDENTITY, PATH, PID, SPLIT, TRACKID, VIEWID
from reid_pipeline.schema.errors import first_few
from reid_pipeline.schema.raw_folder import RawFolder

_ORIGINAL_SPLIT = "original_split"  # `split` in the merged collections of wildlife-datasets
_UNKNOWN = "unknown"  # what wildlife-datasets writes for an individual that is not known


@dataclass(frozen=True)
class Form:
    """A form of table.

    Attributes:
        title: for the note on what was read.
        files: its usual names.
        columns: its columns to the project's; the first two are required.
        aliases: other names of a column, in small letters and digits only.
        splits: words that the split column may have.
    """

    title: str
    files: tuple[str, ...]
    columns: Mapping[str, str]
    aliases: Mapping[str, tuple[str, ...]]
    splits: tuple[str, ...] = SPLIT_WORDS


FORMS = MappingProxyType(
    {
        "manifest": Form(
            title="manifest",
            files=("manifest.csv", "manifest.parquet"),
            columns={name: name for name in (PATH, PID, CAMID, VIEWID, TRACKID, SPLIT)},
            aliases={
                PATH: ("file", "filename", "filepath", "image", "imagepath", "imgpath"),
                PID: ("id", "identity", "individual", "label", "name", "personid", "vehicleid"),
                CAMID: ("cam", "camera", "cameraid", "camids", "cameras"),
                VIEWID: ("view", "viewpoint", "orientation"),
                TRACKID: ("track", "tracklet", "trackletid"),
                SPLIT: ("subset", "originalsplit", "set"),
            },
        ),
        "metadata": Form(
            title="metadata table of wildlife-datasets",
            files=("metadata.csv", "metadata.parquet"),
            columns={PATH: PATH, IDENTITY: PID, "camera": CAMID, "orientation": VIEWID, _ORIGINAL_SPLIT: SPLIT},
            aliases={
                PATH: ("file", "filename", "filepath", "image", "imagepath"),
                IDENTITY: ("pid", "id", "individual", "label", "name"),
                "camera": ("cam", "camid", "cameraid", "cameras"),
                "orientation": ("view", "viewid", "viewpoint"),
                _ORIGINAL_SPLIT: ("subset", "set"),
            },
            splits=("train", "val", "query", "gallery", "test"),
        ),
    }
)


def form_of(rows: Rows, file: str | None) -> str:
    """Return the form of a table: by its usual file name or, where it has another, by its columns."""
    by_columns = "metadata" if IDENTITY in rows.table and PID not in rows.table else "manifest"
    return next((name for name, form in FORMS.items() if file in form.files), by_columns)


def read_table(raw: RawFolder, rows: Rows, notes: list[str], name: str) -> Reading:
    """Turn a table into the manifest of the project.

    Args:
        raw: the folder that the paths are below.
        rows: the table as it was loaded.
        notes: what was noted when it was loaded.
        name: which of `FORMS`.

    Raises:
        UserError: a column, a path or a value is wrong; the message says where.
    """
    form, columns = FORMS[name], dict(FORMS[name].columns)
    if SPLIT in rows.table and _ORIGINAL_SPLIT not in rows.table and _ORIGINAL_SPLIT in columns:
        columns[SPLIT] = columns.pop(_ORIGINAL_SPLIT)
    aliases = {alias: column for column, others in form.aliases.items() for alias in others}
    extra = unread_columns(rows, list(columns)[:2], list(columns)[2:], aliases)
    known = [column for column in columns if column in rows.table]
    table = rows.table[known].apply(text_of).rename(columns=columns)
    plain = Rows(rows.source, table, rows.unit, {columns[column]: column for column in known})
    boxes = name == "metadata" and "bbox" in extra
    remedy = " Cut the individuals of one picture out into files of their own." if boxes else ""
    path, path_notes = files_named_by(plain, raw, if_twice=remedy)
    noted = [f"Read as a {form.title}: {rows.source}, {len(path)} images.", *notes]
    if extra:
        noted.append(f"Columns not used: {first_few([column or '(without a name)' for column in extra], 12)}.")
    noted += path_notes
    if boxes:
        noted.append("Images are taken whole; bbox is not read.")
    if name == "metadata":
        noted += _without_unknown(table) + _val_to_train(table)
    return reading_of(plain, path, noted, allowed=form.splits)


def _without_unknown(table: pd.DataFrame) -> list[str]:
    """Empty, in place, the cells that say that nobody is known; return a note."""
    unknown = table[PID].str.strip().str.casefold() == _UNKNOWN
    table.loc[unknown, PID] = ""
    return [f"{unknown.sum()} images have identity 'unknown': nobody is known there."] if unknown.any() else []


def _val_to_train(table: pd.DataFrame) -> list[str]:
    """Make, in place, validation images training images; return a note."""
    if SPLIT not in table:
        return []
    validation = table[SPLIT].str.strip() == "val"
    table.loc[validation, SPLIT] = "train"
    return [f"{validation.sum()} images of val were joined to train."] if validation.any() else []
