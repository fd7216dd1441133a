"""Anyone's own images: a manifest, a metadata table, folders, or a bare folder."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from reid_pipeline.readers._layout import VIEWPOINTS, Picture, numbered
from reid_pipeline.readers.custom._columns import SPLIT_WORDS, reading_of
from reid_pipeline.readers.custom._files import files_named_by, read_folders, read_unlabelled
from reid_pipeline.readers.custom._rows import Rows, load_table, refuse_misnamed, text_of, unread_columns
from reid_pipeline.schema.benchmark import Benchmark, Reading
from reid_pipeline.schema.columns import CAMID, IDENTITY, PATH, PID, SPLIT, TRACKID, VIEWID
from reid_pipeline.schema.errors import UserError, first_few, nearest
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder

_ORIGINAL_SPLIT = "original_split"  # `split` in the merged collections of wildlife-datasets
_UNKNOWN = "unknown"  # what wildlife-datasets writes for an individual that is not known


@dataclass(frozen=True)
class _Form:
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
        "manifest": _Form(
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
        "metadata": _Form(
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

VARIANTS = (*FORMS, "folders", "unlabelled")
BENCHMARK = Benchmark(
    title="your own images",
    noun="individual",
    reference="your own",
    licence="Yours to say.",
    source="Your own folder; see docs/own_data.md.",
    layout=(
        "manifest.csv or manifest.parquet; metadata.csv or metadata.parquet; <split>/<identity>/<image> or"
        " <identity>/<image>; or images alone"
    ),
    forms=VARIANTS,
)


def read(raw: RawFolder, ingestion: IngestionParameters) -> Reading:
    """Detect the form that the folder has, and turn it into the manifest.

    `ingestion.table`, else a table of a usual name at the root, else the folders; `ingestion.variant`
    names which of the four forms to take instead. The first note names the one that was taken.

    Raises:
        UserError: no form fits, or what was found is wrong; the message says where and what to do.
    """
    variant = ingestion.variant
    if variant is not None and variant not in VARIANTS:
        raise UserError(
            f"Parameter ingestion.variant: {variant!r} is no form of one's own images."
            f"{nearest(variant, VARIANTS)} Allowed are {', '.join(VARIANTS)}, or null to have it detected."
        )
    if variant in ("folders", "unlabelled"):
        if ingestion.table is not None:
            raise UserError(
                f"Parameter ingestion.table: {ingestion.table!r} is not read where ingestion.variant is"
                f" {variant}. Leave one of the two out."
            )
        return read_unlabelled(raw) if variant == "unlabelled" else read_folders(raw)
    usual = [name for form in FORMS.values() for name in form.files]
    path = ingestion.table or _usual_table(raw, variant)
    if path is None:
        refuse_misnamed(raw, usual)
        return read_folders(raw)
    rows, notes = load_table(raw, path)
    others = [name for name in usual if name in raw.files and name != path]
    if others:
        notes.append(f"Not read, since {path} is: {first_few(others)}.")
    return _read_table(raw, rows, notes, variant or _form_of(rows, None if ingestion.table else path))


def _usual_table(raw: RawFolder, variant: str | None) -> str | None:
    """Return the table of a usual name at the root, the manifest before the metadata, or None."""
    for name, form in FORMS.items():
        present = [file for file in form.files if file in raw.files] if variant in (None, name) else []
        if len(present) > 1:
            raise UserError(
                f"{raw.root} holds {' and '.join(present)}, and they may differ. Remove one, or give"
                f" ingestion.table={present[0]}."
            )
        if present:
            return present[0]
    if variant is not None:
        raise UserError(
            f"Parameter ingestion.variant: {variant!r} needs {' or '.join(FORMS[variant].files)} in {raw.root}, or"
            " ingestion.table=<file below it>."
        )
    return None


def _form_of(rows: Rows, file: str | None) -> str:
    """Return the form of a table: by its usual file name or, where it has another, by its columns."""
    by_columns = "metadata" if IDENTITY in rows.table and PID not in rows.table else "manifest"
    return next((name for name, form in FORMS.items() if file in form.files), by_columns)


def _read_table(raw: RawFolder, rows: Rows, notes: list[str], name: str) -> Reading:
    """Turn a table, and what was noted when it was loaded, into the manifest; `name` is one of `FORMS`."""
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


def lay_out(pictures: Iterable[Picture], form: str) -> dict[str, bytes]:
    """Name pictures as somebody's own data; where there are folders alone, the cameras get lost."""
    named = numbered(pictures, "{:06d}.jpg")
    if form == "unlabelled":
        return {name: picture.data for name, picture in named.items()}
    if form == "folders":
        return {f"{picture.subset}/{picture.identity:04d}/{name}": picture.data for name, picture in named.items()}
    rows = []
    for number, (name, picture) in enumerate(named.items()):
        row: dict[str, object]
        if form == "manifest":
            row = {PATH: f"images/{name}", PID: picture.identity, CAMID: picture.camera, VIEWID: picture.viewpoint}
            row[SPLIT] = picture.subset
        else:
            row = {"image_id": number, "identity": f"individual-{picture.identity:04d}", "path": f"images/{name}"}
            row["camera"] = f"camera-{picture.camera + 1:02d}"
            row["orientation"] = None if picture.viewpoint is None else VIEWPOINTS[picture.viewpoint]
            row["original_split"] = "train" if picture.subset == "train" else "test"
        rows.append(row)
    table = pd.DataFrame(rows).dropna(axis="columns", how="all").to_csv(index=False, lineterminator="\n")
    return {f"images/{name}": picture.data for name, picture in named.items()} | {f"{form}.csv": table.encode()}
