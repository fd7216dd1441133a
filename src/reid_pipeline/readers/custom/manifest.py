"""Form (a): a manifest, one row per image, written for this project."""

from reid_pipeline.readers.custom._paths import files_named_by
from reid_pipeline.readers.custom._reading import reading_of
from reid_pipeline.readers.custom._rows import Rows
from reid_pipeline.readers.custom._table import check_columns, extra_columns_note, text_of
from reid_pipeline.schema.benchmark import Reading
from reid_pipeline.schema.columns import CAMID, PATH, PID, SPLIT, TRACKID, VIEWID
from reid_pipeline.schema.raw_folder import RawFolder

FILES = ("manifest.csv", "manifest.parquet")

_REQUIRED = (PATH, PID)
_OPTIONAL = (CAMID, VIEWID, TRACKID, SPLIT)
_ALIASES = {
    **dict.fromkeys(("file", "filename", "filepath", "image", "imagepath", "imgpath"), PATH),
    **dict.fromkeys(("id", "identity", "individual", "label", "name", "personid", "vehicleid"), PID),
    **dict.fromkeys(("cam", "camera", "cameraid", "camids", "cameras"), CAMID),
    **dict.fromkeys(("view", "viewpoint", "orientation"), VIEWID),
    **dict.fromkeys(("track", "tracklet", "trackletid"), TRACKID),
    **dict.fromkeys(("subset", "originalsplit", "set"), SPLIT),
}


def read_manifest(raw: RawFolder, rows: Rows, notes: list[str]) -> Reading:
    """Turn a manifest into the manifest of the project.

    Args:
        raw: the folder that the paths are below.
        rows: the table as it was loaded.
        notes: what was noted when it was loaded.

    Raises:
        UserError: a column, a path or a value is wrong; the message says where.
    """
    extra = check_columns(rows, required=_REQUIRED, optional=_OPTIONAL, aliases=_ALIASES)
    known = [name for name in (*_REQUIRED, *_OPTIONAL) if name in rows.table]
    plain = Rows(rows.source, rows.table[known].apply(text_of), rows.unit)
    path, path_notes = files_named_by(plain, raw)
    first = f"Read as a manifest: {rows.source}, {len(path)} images."
    return reading_of(plain, path, [first, *notes, *extra_columns_note(extra), *path_notes])
