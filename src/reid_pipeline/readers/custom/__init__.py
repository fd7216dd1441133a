"""Anyone's own images: a manifest, a metadata table, folders, or a bare folder."""

from collections.abc import Iterable

import pandas as pd

from reid_pipeline.readers._layout import Picture, numbered
from reid_pipeline.readers.custom._folders import read_folders, read_unlabelled
from reid_pipeline.readers.custom._rows import load_table, refuse_misnamed
from reid_pipeline.readers.custom._tables import FORMS, form_of, read_table
from reid_pipeline.schema.benchmark import Benchmark, Reading
from reid_pipeline.schema.columns import CAMID, PATH, PID, SPLIT, VIEWID
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

_VIEWPOINTS = ("front", "rear", "left", "left front", "left rear", "right", "right front", "right rear")


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
    return read_table(raw, rows, notes, variant or form_of(rows, None if ingestion.table else path))


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
            row["orientation"] = None if picture.viewpoint is None else _VIEWPOINTS[picture.viewpoint]
            row["original_split"] = "train" if picture.subset == "train" else "test"
        rows.append(row)
    table = pd.DataFrame(rows).dropna(axis="columns", how="all").to_csv(index=False, lineterminator="\n")
    return {f"images/{name}": picture.data for name, picture in named.items()} | {f"{form}.csv": table.encode()}
