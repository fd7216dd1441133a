"""Image files: hashed and decoded once by ingestion, and whether they are still the same later."""

import hashlib
import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pandas as pd

from reid_pipeline.images.file_reader import FileReader, Picture, ReaderGone, ReadFile, ReadingProcess
from reid_pipeline.schema.columns import BYTES, CHANGED_NS, FAULT, HEIGHT, MODE, MODIFIED_NS, PATH, SHA256, WIDTH
from reid_pipeline.schema.errors import UserError, first_few

FEW = 500
"""Pictures that threads decode before processes start, and files that must be left: as many take as long as a start."""
_FEWEST_AT_A_TIME, _MOST_AT_A_TIME = 8, 256  # few: the bar moves; many: processes seldom wait for the next
_MOST_WORKERS = 16
_STAMP = (BYTES, MODIFIED_NS, CHANGED_NS)
_HASHING_THREADS = 4
_ROOT = "root"
_ENDED = "decoding it ended the process: damaged, or too large for the memory"


def check_images(
    root: Path,
    paths: Sequence[str],
    *,
    known: pd.DataFrame | None = None,
    threads: int | None = None,
    on_done: Callable[[int], None] | None = None,
) -> pd.DataFrame:
    """Read every file once, hash it, and decode it to the last pixel unless its content is known.

    Of equal files one is decoded; of an animation, the first frame. Memory: some 500 bytes for each file.

    Args:
        root: folder that `paths` are relative to.
        paths: one file a row.
        known: an earlier result, of any files; contents found in it are not decoded.
        threads: files decoded at a time, in processes where there are many; None: one for each core, 16 at most.
        on_done: called in this thread with the number of files done so far.

    Returns:
        a table as `schema.tables.IMAGE_FACTS`, in the order of `paths`; a file that cannot be decoded has a `fault`.

    Raises:
        UserError: files are missing or cannot be opened; the first few are named.
    """
    if threads is not None and threads < 1:
        raise UserError(f"`threads` is {threads}; give 1 or more, or None for one for each core.")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = threads or min(cores, _MOST_WORKERS)
    files: list[ReadFile] = []
    check = _Check(os.fspath(root), workers, len(paths), _pictures_of(known))
    size = min(max(len(paths) // (8 * workers), _FEWEST_AT_A_TIME), _MOST_AT_A_TIME)
    chunks = [paths[start : start + size] for start in range(0, len(paths), size)]
    with check, ThreadPoolExecutor(workers, thread_name_prefix="check") as pool:
        try:
            for found in pool.map(check.look_at, chunks):
                files += found
                if on_done is not None:
                    on_done(len(files))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    missing = [f"{path} ({file.error})" for path, file in zip(paths, files, strict=True) if file.error]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(paths)} images cannot be opened in {root}: {first_few(missing)}."
            " Put them back, or run ingestion again so that the folder is listed anew."
        )
    types = {PATH: "str", SHA256: "str", BYTES: "int64", WIDTH: "Int64", HEIGHT: "Int64", MODE: "str", FAULT: "str"}
    rows = [(path, *file[:2], *(check.pictures[file.sha256] or ())) for path, file in zip(paths, files, strict=True)]
    return pd.DataFrame(rows, columns=list(types)).astype(types)


class _Check(AbstractContextManager["_Check"]):
    """The shared state of one check's workers; `pictures`, by hash, has None for one that a worker is decoding."""

    def __init__(self, folder: str, workers: int, files: int, pictures: dict[str, Picture | None]) -> None:
        self.pictures = pictures
        self._folder = folder
        self._files_left = files
        self._decoded = 0
        self._missing = False
        self._claiming = threading.Lock()
        self._processes = [ReadingProcess(folder) for _ in range(workers if workers > 1 else 0)]
        self._idle: queue.SimpleQueue[ReadingProcess] = queue.SimpleQueue()
        for process in self._processes:
            self._idle.put(process)

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.close()

    def look_at(self, paths: Sequence[str]) -> list[ReadFile]:
        """Read some files and decode the new ones among them; called by several threads at a time."""
        if not self._processes or self._decoded < FEW or self._files_left < FEW:
            return self._look_with(FileReader(self._folder), paths)
        process = self._idle.get()
        try:
            return self._look_through(process, paths)
        finally:
            self._idle.put(process)

    def _look_through(self, process: ReadingProcess, paths: Sequence[str]) -> list[ReadFile]:
        """Do the same with a process, even if it ends."""
        if process.startable:
            try:
                return self._look_with(process, paths)
            except ReaderGone:
                if process.startable:  # it had been started, and ended at one of these files
                    return [found for path in paths for found in self._look_at_one(process, path)]
        return self._look_with(FileReader(self._folder), paths)  # no process can be started

    def _look_at_one(self, process: ReadingProcess, path: str) -> list[ReadFile]:
        found = FileReader(self._folder).read([path])
        try:
            return self._look_with(process, [path])
        except ReaderGone:
            self.pictures[found[0].sha256] = Picture(None, None, "", _ENDED)
            return found

    def _look_with(self, reader: FileReader | ReadingProcess, paths: Sequence[str]) -> list[ReadFile]:
        files: list[ReadFile] = []
        while len(files) < len(paths):
            found = reader.read(paths[len(files) :])
            files += found
            claimed = self._claim(found)
            try:
                self.pictures.update(zip(claimed, reader.decode(list(claimed.values())), strict=True))
            except ReaderGone:
                for digest in claimed:
                    del self.pictures[digest]
                raise
        return files

    def _claim(self, found: list[ReadFile]) -> dict[str, int]:
        """Return, by hash, the places of the pictures that no worker has decoded or is decoding."""
        claimed: dict[str, int] = {}
        with self._claiming:
            self._missing |= any(file.error for file in found)
            if not self._missing:  # else the rest is read only to count the missing files
                for place, file in enumerate(found):
                    if file.sha256 not in self.pictures:
                        self.pictures[file.sha256] = None
                        claimed[file.sha256] = place
            self._decoded += len(claimed)
            self._files_left -= len(found)
        return claimed


def _pictures_of(known: pd.DataFrame | None) -> dict[str, Picture | None]:
    """Return what an earlier table knows, by hash."""
    if known is None:
        return {}
    table = known[[SHA256, WIDTH, HEIGHT, MODE, FAULT]].astype(object)
    rows = table.where(table.notna(), None).itertuples(index=False, name=None)
    return {digest: Picture(*picture) for digest, *picture in rows}


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
    with ThreadPoolExecutor(_HASHING_THREADS, thread_name_prefix="hash") as pool:
        digests = pool.map(_digest, (root / path for path in suspect[PATH]))
        for done, (path, expected, found) in enumerate(zip(suspect[PATH], suspect[SHA256], digests, strict=True), 1):
            if found != expected:
                changed.append(path if found else f"{path} (gone)")
            if on_done is not None:
                on_done(done, len(suspect))
    if changed:
        raise UserError(
            f"{len(changed)} of {len(rows)} images have changed since ingestion: {first_few(changed)}, in"
            f" {root}. Bring back what was there, or read them anew: kedro run --pipeline=ingestion, then the"
            " method, which is trained on what is there now."
        )


def _digest(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""
