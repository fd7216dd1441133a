"""Files and folders that are replaced whole: a reader, or a kill, never meets an incomplete one."""

import contextlib
import errno
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from reid_pipeline.machine_faults import naming
from reid_pipeline.schema.errors import UserError

LOCK = ".writer"
"""In a scratch folder: what its writer has locked (flock) as long as it lives, on whatever machine."""
_WITHOUT_LOCK = re.compile(r"\..+\.[a-z0-9_]{8}")  # what earlier versions left, and file systems without locks
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}
"""Error numbers by which a file system says that it has no locks."""
_DAY = 86_400.0  # seconds; nothing is written for that long


@contextlib.contextmanager
def replacing(target: Path, *, beside: Path | None = None) -> Iterator[Path]:
    """Yield a path to write to; on success it takes the place of `target`, on failure it vanishes.

    Works for a file or a folder, on one file system; a file gets the mode that umask gives. It is written in a
    scratch folder beside `target`, or `beside` another path. Those of killed writers, found there, are removed.

    Raises:
        UserError: a file is to take the place of a folder, which may hold anything, or a folder that of a file.
    """
    place = beside or target
    with naming(place):
        _make_folder(place.parent)
        remove_dead(place.parent)
    with _scratch_folder(place) as (scratch, mode):
        written = scratch / target.name
        with naming(target, written):
            yield written
        target.parent.mkdir(parents=True, exist_ok=True)
        if not written.is_dir():
            _put_file(written, target, mode)
        elif target.is_dir():
            aside = target.rename(scratch / f"old.{target.name}")
            try:
                written.rename(target)
            except OSError:
                aside.rename(target)
                raise
        else:
            written.replace(target)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        file = next((each for each in (folder, *folder.parents) if each.exists()), folder)
        raise UserError(f"{file} is a file, where a folder is to be. Move it away, and run that again.") from error


def remove_dead(folder: Path) -> None:
    """Remove the scratch folders that killed writers have left in `folder`; those of living ones stay."""
    for found in folder.iterdir():
        if found.name.startswith(".") and found.is_dir() and not found.is_symlink():
            with contextlib.suppress(OSError):  # a Timeout, or no lock to be had: it may live
                _remove_if_dead(found)


def _put_file(written: Path, target: Path, mode: int) -> None:
    found = stat.S_IMODE(written.stat().st_mode)
    if target.is_dir():
        raise UserError(f"{target} is a folder, where a file is to be written. Move it away, and run that again.")
    if found != mode:  # safetensors makes its files readable by their owner alone
        written.chmod(mode)
    os.replace(written, target)  # noqa: PTH105 - replaces an existing file on every platform


@contextlib.contextmanager
def _scratch_folder(target: Path) -> Iterator[tuple[Path, int]]:
    """Yield a folder beside `target`, locked, and the mode of a new file there; remove it in the end."""
    while True:
        with naming(target):
            scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        file = scratch / LOCK
        lock = FileLock(file, fallback_to_soft=False, is_singleton=False)
        try:
            file.touch()
            mode = stat.S_IMODE(file.stat().st_mode)
            _acquire(lock, file)
            break
        except (Timeout, FileNotFoundError):
            continue  # another process took it for a dead one's, between the two lines
        except OSError:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
    try:
        yield scratch, mode
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        lock.release()


def _acquire(lock: FileLock, file: Path) -> None:
    """Take the lock; where the file system has none, remove its file: the folder is then left alone for a day."""
    try:
        lock.acquire(blocking=False)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        file.unlink()


def _remove_if_dead(scratch: Path) -> None:
    file = scratch / LOCK
    if file.exists():
        with FileLock(file, blocking=False, fallback_to_soft=False, is_singleton=False):
            shutil.rmtree(scratch, ignore_errors=True)
    elif _WITHOUT_LOCK.fullmatch(scratch.name) and time.time() - scratch.stat().st_mtime > _DAY:
        shutil.rmtree(scratch, ignore_errors=True)
