"""Whether image files are still those that ingestion read: by size and time, then by their bytes."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from reid_pipeline.schema.columns import BYTES, CHANGED_NS, MODIFIED_NS, PATH, SHA256
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.regular_files import read_regular

_STAMP = (BYTES, MODIFIED_NS, CHANGED_NS)
_THREADS = 4
_ROOT = "root"


def stamp_files(root: Path, paths: Sequence[str]) -> pd.DataFrame:
    """Return size and times of files as `schema.tables.IMAGE_STAMPS`, in the order of `paths`; -1 for a missing file.

    Times are those of the last change of the content and of the entry (renaming, replacing), in nanoseconds.
    """
    stamps = np.array([_stamp(os.path.join(root, path)) for path in paths], dtype=np.int64)  # noqa: PTH118
    columns = dict(zip(_STAMP, stamps.reshape(-1, len(_STAMP)).T, strict=True))
    table = pd.DataFrame({PATH: pd.Series(list(paths), dtype="str"), **columns})
    table.attrs[_ROOT] = str(root.resolve())
    return table


def require_same_folder(root: Path, stamps: pd.DataFrame | None) -> None:
    """Refuse to read one's own collection from another folder than before, unless that folder no longer exists.

    `stamps` are as `stamp_files` returned them when the collection was read before, or None.
    """
    before = "" if stamps is None else str(stamps.attrs.get(_ROOT, ""))
    if before and before != str(root.resolve()) and Path(before).is_dir():
        raise UserError(
            f"The collection was read from {before} before, and is now to be read from {root}: its tables and"
            " results would be overwritten. Give this one a name of its own, --params collection=<name>; or,"
            " if it is the same collection, remove its folder in data/02_intermediate."
        )


def _stamp(file: str) -> tuple[int, int, int]:
    try:
        facts = os.stat(file)  # noqa: PTH116 - a third of the time that Path takes
    except OSError:
        return -1, -1, -1
    return facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def require_unchanged(
    root: Path, rows: pd.DataFrame, stamps: pd.DataFrame | None, *, on_done: Callable[[int, int], None] | None = None
) -> None:
    """Refuse images that are not those that ingestion read.

    A file whose size and times are those of its stamp counts as unchanged. Every other is read and hashed: all of
    them after copying or checking out anew, or without `stamps`, a table as `schema.tables.IMAGE_STAMPS`. `rows` are
    of the split table; `on_done` is called with the number of files hashed and of those to be hashed.

    Raises:
        UserError: files are gone or have other bytes; the first few are named.
    """
    suspect = rows
    if stamps is not None:
        now = stamp_files(root, rows[PATH].tolist())
        before = now[[PATH]].merge(stamps, on=PATH, how="left")
        suspect = rows[(before[list(_STAMP)] != now[list(_STAMP)]).any(axis=1).to_numpy(dtype=bool)]
    changed = []
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="hash") as pool:
        digests = pool.map(_digest, (root / path for path in suspect[PATH]))
        for done, (path, expected, found) in enumerate(zip(suspect[PATH], suspect[SHA256], digests, strict=True), 1):
            if found != expected:
                changed.append(path if len(found) == len(expected) else f"{path} ({found})")
            if on_done is not None:
                on_done(done, len(suspect))
    if changed:
        raise UserError(
            f"{len(changed)} of {len(rows)} images have changed since ingestion: {first_few(changed)}, in"
            f" {root}. Bring back what was there, or read them anew: kedro run --pipeline=ingestion, then the"
            " method, which is trained on what is there now."
        )


def _digest(file: Path) -> str:
    """Return the SHA-256 of a file, or why it has none."""
    try:
        return hashlib.sha256(read_regular(file)).hexdigest()
    except FileNotFoundError:
        return "gone"
    except OSError as error:
        return error.strerror or str(error)
