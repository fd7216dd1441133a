"""Anyone's own images: a manifest, a metadata table, folders, or a bare folder."""

from collections.abc import Iterable

import pandas as pd

from reid_pipeline.readers._folder import VIEWPOINTS, Picture, numbered
from reid_pipeline.readers.custom import _rows
from reid_pipeline.readers.custom._columns import reading_of
from reid_pipeline.readers.custom._folders import read_folders
from reid_pipeline.readers.custom._forms import FORMS, Mapped, read_columns
from reid_pipeline.readers.custom._rows import Rows
from reid_pipeline.readers.custom._tables import load_table, refuse_misnamed
from reid_pipeline.schema.benchmark import Benchmark, Reading
from reid_pipeline.schema.columns import CAMID, IDENTITY, PATH, PID, SPLIT, VIEWID
from reid_pipeline.schema.errors import UserError, first_few, nearest
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder

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
    mapped = dict(ingestion.columns or {})
    if variant in ("folders", "unlabelled"):
        for name, value in (("table", ingestion.table), ("columns", mapped or None)):
            if value is not None:
                raise UserError(
                    f"Parameter ingestion.{name}: {value!r} is not read where ingestion.variant is {variant}. Leave one"
                    " of the two out."
                )
        return read_folders(raw, unlabelled=variant == "unlabelled")
    usual = {file: name for name, form in FORMS.items() for file in form.files}
    path = ingestion.table or _usual_table(raw, variant)
    if path is None:
        refuse_misnamed(raw, usual)
        if mapped:
            raise UserError(
                f"Parameter ingestion.columns is given, and {raw.root} holds none of {', '.join(usual)}. Name the table"
                " that has these columns: ingestion.table=<file below the folder>; or leave ingestion.columns out."
            )
        return read_folders(raw)
    names = {name for form in FORMS.values() for name in form.columns.values()}
    rows = load_table(raw, path, names.union(filter(None, mapped.values())))
    if others := [name for name in usual if name in raw.files and name != path]:
        rows.notes.append(f"Not read, since {path} is: {first_few(others)}.")
    by_columns = "metadata" if IDENTITY in rows.table and PID not in rows.table else "manifest"
    return _read_table(raw, rows, variant or (by_columns if ingestion.table else usual[path]), mapped)


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


def _read_table(raw: RawFolder, rows: Rows, name: str, mapped: Mapped) -> Reading:
    """Turn a table into the manifest; `name` is one of `FORMS`."""
    plain, extra = read_columns(rows, FORMS[name], mapped)
    boxes = name == "metadata" and "bbox" in extra
    plain.notes.insert(0, f"Read as a {FORMS[name].title}: {rows.source}, {len(rows.table)} images.")
    remedy = " Cut the individuals of one picture out into files of their own." if boxes else ""
    path = _rows.files_named_by(plain, raw, if_twice=remedy)
    if boxes:
        plain.notes.append("Images are taken whole; bbox is not read.")
    if name == "metadata":
        _empty_unknown(plain)
    return reading_of(plain, path)


def _empty_unknown(rows: Rows) -> None:
    """Empty, in place, the cells that say that nobody is known, and note it."""
    unknown = rows.text(PID).str.casefold() == "unknown"
    rows.table.loc[unknown, PID] = ""
    if unknown.any():
        rows.notes.append(f"{unknown.sum()} images have identity 'unknown': nobody is known there.")


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
