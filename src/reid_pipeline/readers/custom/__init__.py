"""Anyone's own images: a manifest, a metadata table, folders, or a bare folder."""

from reid_pipeline.readers.custom import manifest, metadata
from reid_pipeline.readers.custom._rows import Rows
from reid_pipeline.readers.custom._table import load_table, refuse_misnamed, table_at
from reid_pipeline.readers.custom.folders import read_folders, read_unlabelled
from reid_pipeline.schema.benchmark import Benchmark, Reading
from reid_pipeline.schema.columns import IDENTITY, PID
from reid_pipeline.schema.errors import UserError, first_few, nearest
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder

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
)

_READERS = {"manifest": manifest.read_manifest, "metadata": metadata.read_metadata}
_USUAL = {"manifest": manifest.FILES, "metadata": metadata.FILES}
VARIANTS = ("manifest", "metadata", "folders", "unlabelled")


def read(raw: RawFolder, ingestion: IngestionParameters) -> Reading:
    """Choose the form that the folder has, and turn it into the manifest.

    `ingestion.table`, else a table of a usual name at the root, else the folders; `ingestion.variant`
    says which of the four forms to take instead. The first note says which one was taken.

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
    form, path = _table_of(raw, variant, ingestion.table)
    if path is None:
        refuse_misnamed(raw, [name for names in _USUAL.values() for name in names])
        return read_folders(raw)
    rows, notes = load_table(raw, path)
    others = [name for names in _USUAL.values() for name in names if name in raw.files and name != path]
    if others:
        notes.append(f"Not read, since {path} is: {first_few(others)}.")
    return _READERS[form or _form_of(rows)](raw, rows, notes)


def _table_of(raw: RawFolder, variant: str | None, given: str | None) -> tuple[str | None, str | None]:
    """Return the form and path of the table to read; form None: its columns tell; path None: no table."""
    if given is not None:
        return variant, given
    for form, usual in _USUAL.items():
        path = table_at(raw, usual) if variant in (None, form) else None
        if path is not None:
            return form, path
    if variant is not None:
        raise UserError(
            f"Parameter ingestion.variant: {variant!r} needs {' or '.join(_USUAL[variant])} in {raw.root}, or"
            " ingestion.table=<file below it>."
        )
    return None, None


def _form_of(rows: Rows) -> str:
    return "metadata" if IDENTITY in rows.table and PID not in rows.table else "manifest"
