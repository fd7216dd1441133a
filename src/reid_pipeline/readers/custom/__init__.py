"""Anyone's own images: a manifest, a metadata table, folders, or a bare folder."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd

from reid_pipeline.readers._folder import VIEWPOINTS, Picture, numbered
from reid_pipeline.readers.custom import _rows
from reid_pipeline.readers.custom._columns import SPLIT_WORDS, reading_of
from reid_pipeline.readers.custom._rows import Rows
from reid_pipeline.schema.benchmark import Benchmark, Reading
from reid_pipeline.schema.columns import CAMID, IDENTITY, PATH, PID, SPLIT, TRACKID, VIEWID
from reid_pipeline.schema.errors import UserError, first_few, nearest
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder

_ORIGINAL_SPLIT = "original_split"  # `split` in the merged collections of wildlife-datasets
_OTHER_WAYS = "List the images in manifest.csv, or give ingestion.variant=unlabelled to read all without identities."
# Files beside images that are no images, and that nobody expects to be read as such.
_COMPANIONS = r"(?i)(?:(?:readme|licen[cs]e)[^/]*|[^/]+\.(?:md|txt|csv|tsv|json|ya?ml|dvc|parquet))"


class _Form(NamedTuple):
    """A form of table."""

    title: str  # for the note on what was read
    files: tuple[str, ...]  # its usual names
    columns: Mapping[str, str]  # its columns to the project's; the first two are required
    aliases: Mapping[str, tuple[str, ...]]  # other names of a column, in small letters and digits only
    splits: tuple[str, ...] = SPLIT_WORDS  # words that the split column may have


FORMS = {
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
    """Turn `ingestion.table`, else a table of a usual name at the root, else the folders into the manifest.

    `ingestion.variant` names which of the four forms to take instead. The first note names the one that was taken.

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
        return _read_folders(raw, unlabelled=variant == "unlabelled")
    usual = {file: name for name, form in FORMS.items() for file in form.files}
    path = ingestion.table or _usual_table(raw, variant)
    if path is None:
        _rows.refuse_misnamed(raw, usual)
        return _read_folders(raw)
    rows = _rows.load_table(raw, path)
    if others := [name for name in usual if name in raw.files and name != path]:
        rows.notes.append(f"Not read, since {path} is: {first_few(others)}.")
    by_columns = "metadata" if IDENTITY in rows.table and PID not in rows.table else "manifest"
    return _read_table(raw, rows, variant or (by_columns if ingestion.table else usual[path]))


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


def _read_table(raw: RawFolder, rows: Rows, name: str) -> Reading:
    """Turn a table into the manifest; `name` is one of `FORMS`."""
    form, columns = FORMS[name], dict(FORMS[name].columns)
    if SPLIT in rows.table and _ORIGINAL_SPLIT not in rows.table and _ORIGINAL_SPLIT in columns:
        columns[SPLIT] = columns.pop(_ORIGINAL_SPLIT)
    aliases = {alias: column for column, others in form.aliases.items() for alias in others}
    extra = _rows.unread_columns(rows, list(columns)[:2], list(columns)[2:], aliases)
    known = [column for column in columns if column in rows.table]
    table = rows.table[known].apply(_text_of).rename(columns=columns)
    plain = replace(rows, table=table, names={columns[column]: column for column in known})
    boxes = name == "metadata" and "bbox" in extra
    plain.notes.insert(0, f"Read as a {form.title}: {rows.source}, {len(table)} images.")
    if extra:
        names = first_few([column or "(without a name)" for column in extra], 12)
        plain.notes.append(f"Columns not used: {names}.")
    remedy = " Cut the individuals of one picture out into files of their own." if boxes else ""
    path = _rows.files_named_by(plain, raw, if_twice=remedy)
    if boxes:
        plain.notes.append("Images are taken whole; bbox is not read.")
    if name == "metadata":
        _adapt_metadata(plain)
    return reading_of(plain, path, allowed=form.splits)


def _text_of(column: "pd.Series[Any]") -> "pd.Series[str]":
    """Return a column's values as a CSV file would hold them: 7 for a 7.0 that pandas made where cells are missing."""
    missing = column.isna()
    if isinstance(column.dtype, pd.StringDtype) and not missing.any():
        return column.astype("str")
    if pd.api.types.is_float_dtype(column) and (column[~missing] % 1 == 0).all():
        column = column.astype("Int64")
    return column.astype(object).where(~missing, "").map(str).astype("str")


def _adapt_metadata(rows: Rows) -> None:
    """Empty, in place, the cells that say that nobody is known, and join validation images to training; note both."""
    unknown = rows.text(PID).str.casefold() == "unknown"
    rows.table.loc[unknown, PID] = ""
    if unknown.any():
        rows.notes.append(f"{unknown.sum()} images have identity 'unknown': nobody is known there.")
    validation = rows.text(SPLIT) == "val"
    if validation.any():
        rows.table.loc[validation, SPLIT] = "train"
        rows.notes.append(f"{validation.sum()} images of val were joined to train.")


def _read_folders(raw: RawFolder, *, unlabelled: bool = False) -> Reading:
    """Take folders as identities: `<identity>/<image>`, or `<split>/<identity>/<image>`; or images alone."""
    images, notes = _image_files(raw)
    depth = images.str.count("/")
    if unlabelled or (depth == 0).all():
        return _reading(images, "unlabelled images", notes, {PID: ""})
    if (depth == 0).any():
        raise UserError(
            f"{int((depth == 0).sum())} images lie beside folders: {first_few(images[depth == 0].tolist())}."
            f" Where folders are identities, every image lies in one. {_OTHER_WAYS}"
        )
    parts = images.str.split("/", expand=True)
    top = parts[0]
    splits = top.isin(SPLIT_WORDS)
    if splits.any():
        _refuse_mixed(raw, top, splits)
        _refuse_depth(images, depth, "<split>/<identity>/<image>")
        return _reading(images, "folders <split>/<identity>/<image>", notes, {PID: parts[1], SPLIT: top})
    _refuse_depth(images, depth, "<identity>/<image>")
    if top.nunique() == 1:
        raise UserError(
            f"All images lie in one folder, {top.iloc[0]}/: one identity alone cannot be distinguished from others. If"
            f" the images are unlabelled, pass --params raw_root={raw.root / top.iloc[0]} or give"
            " ingestion.variant=unlabelled."
        )
    return _reading(images, "folders <identity>/<image>", notes, {PID: top})


def _image_files(raw: RawFolder) -> tuple["pd.Series[str]", list[str]]:
    """Return the images below the folder, indexed by themselves, and notes on what else lies there. Linear."""
    files = pd.Series(raw.files, index=list(raw.files), dtype="str")
    hidden = _rows.is_hidden(files)
    image = _rows.is_image(files) & ~hidden
    companion = ~hidden & ~image & files.str.fullmatch(_COMPANIONS)
    foreign = files[~hidden & ~image & ~companion]
    if len(foreign):
        raise UserError(
            f"{len(foreign)} files below {raw.root} are no images: {first_few(foreign.tolist())}. Images end"
            f" in {_rows.ENDINGS}. Move the others away, or list the images in manifest.csv."
        )
    if not image.any():
        raise UserError(
            f"There is no image below {raw.root}. Images end in {_rows.ENDINGS}. Put or link them"
            " there, or pass --params raw_root=<folder>."
        )
    notes = []
    if companion.any():
        notes.append(f"Beside the images, and not read: {first_few(files[companion].tolist())}.")
    if hidden.any():
        notes.append(f"{int(hidden.sum())} hidden files and files of file managers were left aside.")
    return files[image], notes


def _reading(images: "pd.Series[str]", form: str, notes: list[str], columns: Mapping[str, object]) -> Reading:
    """Return the reading of images with further columns."""
    table = pd.DataFrame({PATH: images, **columns}, dtype="str")
    noted = [f"Read as {form}: {len(images)} images.", *notes]
    return reading_of(Rows("the folders", table, names={PID: IDENTITY}, notes=noted), images)


def _refuse_mixed(raw: RawFolder, top: "pd.Series[str]", splits: "pd.Series[bool]") -> None:
    """Refuse splits beside other folders, and splits that hold no image."""
    if not splits.all():
        raise UserError(
            f"{raw.root} holds splits ({first_few(sorted(top[splits].unique()))}) and other folders:"
            f" {first_few(sorted(top[~splits].unique()))}. Put these into train, query, gallery or test, or"
            " move them away."
        )
    used = set(top)
    if empty := [word for word in SPLIT_WORDS if word not in used and (raw.root / word).is_dir()]:
        raise UserError(f"Folder {first_few(empty)} of {raw.root} holds no image. Put images there, or remove it.")


def _refuse_depth(images: "pd.Series[str]", depth: "pd.Series[int]", form: str) -> None:
    for wrong, words in ((depth < form.count("/"), "not deep enough"), (depth > form.count("/"), "too deep")):
        if wrong.any():
            raise UserError(
                f"{int(wrong.sum())} of {len(images)} images lie {words} for folders {form}:"
                f" {first_few(images[wrong].tolist())}. Move them; or pass as raw_root the folder that holds"
                f" the splits or identities. {_OTHER_WAYS}"
            )


def lay_out(pictures: Iterable[Picture], form: str) -> dict[str, bytes]:
    """Name pictures as somebody's own data; where there are folders alone, the cameras get lost."""
    named = numbered(pictures, "{:06d}.jpg")
    if form == "unlabelled":
        return {name: picture.data for name, picture in named.items()}
    if form == "folders":
        return {f"{picture.subset}/{picture.identity:04d}/{name}": picture.data for name, picture in named.items()}
    rows: list[dict[str, object]] = [
        {PATH: f"images/{name}", PID: picture.identity, CAMID: picture.camera, VIEWID: picture.viewpoint}
        | {SPLIT: picture.subset}
        if form == "manifest"
        else {
            "image_id": number,
            "identity": f"individual-{picture.identity:04d}",
            "path": f"images/{name}",
            "camera": f"camera-{picture.camera + 1:02d}",
            "orientation": None if picture.viewpoint is None else VIEWPOINTS[picture.viewpoint],
            "original_split": "train" if picture.subset == "train" else "test",
        }
        for number, (name, picture) in enumerate(named.items())
    ]
    table = pd.DataFrame(rows).dropna(axis="columns", how="all").to_csv(index=False, lineterminator="\n")
    return {f"images/{name}": picture.data for name, picture in named.items()} | {f"{form}.csv": table.encode()}
