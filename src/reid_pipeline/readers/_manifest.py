"""What readers share: rows to a manifest, and files that are no data."""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from reid_pipeline.schema.columns import CAMERA, CAMID, IDENTITY, PATH, PID, SUBSET, TEST_SETS, TRACKID, VIEWID

# Left by file managers in many copies of the archives; they are no images and carry no information.
_LITTER = frozenset({"Thumbs.db", ".DS_Store", "desktop.ini"})
_APPLE_DOUBLE = "._"  # macOS writes one beside every file of an archive


@dataclass(frozen=True, slots=True)
class Image:
    """One row of a manifest; see `schema.tables.MANIFEST`.

    Attributes:
        camera: None: the number as published, which counts from 1, and nothing where there is no camid.
    """

    path: str
    identity: str
    pid: int
    subset: str
    camid: int | None = None
    camera: str | None = None
    viewid: int | None = None
    trackid: int | None = None
    test_sets: str = ""


def manifest_of(images: Iterable[Image]) -> pd.DataFrame:
    """Return the manifest of `images`, sorted by path, with the columns' types."""
    rows = sorted(images, key=lambda image: image.path)
    columns: dict[str, pd.Series] = {}
    for name in (PATH, IDENTITY, SUBSET, TEST_SETS):
        columns[name] = pd.Series([getattr(image, name) for image in rows], dtype="str")
    columns[CAMERA] = pd.Series([_camera(image) for image in rows], dtype="str")
    columns[PID] = pd.Series([image.pid for image in rows], dtype="int64")
    for name in (CAMID, VIEWID, TRACKID):
        columns[name] = pd.Series([getattr(image, name) for image in rows], dtype="Int64")
    return pd.DataFrame(columns)


def _camera(image: Image) -> str:
    if image.camera is not None:
        return image.camera
    return "" if image.camid is None else str(image.camid + 1)


def is_litter(path: str) -> bool:
    """Return whether a file manager left this file, and nobody else means anything by it."""
    name = path.rsplit("/", 1)[-1]
    return name in _LITTER or name.startswith(_APPLE_DOUBLE)
