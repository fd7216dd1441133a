"""Every image file, hashed and decoded once: the input of the dataset page and the split table."""

import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pandas as pd

from reid_pipeline.images.file_reader import FileReader, ReaderGone, ReadFile, ReadingProcess
from reid_pipeline.images.picture import Picture
from reid_pipeline.schema.columns import BRIGHTEST, BYTES, FAULT, HEIGHT, MODE, PATH, SHA256, WIDTH
from reid_pipeline.schema.errors import UserError, first_few

FEW = 500
"""Pictures that threads decode before processes start, and files that must be left: as many take as long as a start."""
_FEWEST_AT_A_TIME, _MOST_AT_A_TIME = 8, 256  # few: the bar moves; many: processes seldom wait for the next
_MOST_WORKERS = 16
_COLUMNS = [PATH, SHA256, BYTES, WIDTH, HEIGHT, MODE, FAULT, BRIGHTEST]
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
            " Put back what is gone, make the others readable (chmod u+r, by their owner), and run ingestion again."
        )
    texts, numbers = (
        dict.fromkeys([PATH, SHA256, MODE, FAULT], "str"),
        dict.fromkeys([WIDTH, HEIGHT, BRIGHTEST], "Int64"),
    )
    types = texts | numbers | {BYTES: "int64"}
    rows = [(path, *file[:2], *(check.pictures[file.sha256] or ())) for path, file in zip(paths, files, strict=True)]
    return pd.DataFrame(rows, columns=_COLUMNS).astype(types)


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
    if known is None or BRIGHTEST not in known:  # earlier versions let cut pictures pass, and refused whole ones
        return {}
    table = known[[SHA256, WIDTH, HEIGHT, MODE, FAULT, BRIGHTEST]].astype(object)
    rows = table.where(table.notna(), None).itertuples(index=False, name=None)
    return {digest: Picture(*picture) for digest, *picture in rows}
