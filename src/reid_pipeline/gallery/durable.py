"""Files that are on the disk when a call returns: written whole, synchronised, and only then named by the manifest."""

import contextlib
import os
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

_CHUNK = 1 << 20


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file to write to, and wait until its content is on the disk; an error names the file."""
    try:
        with path.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def replace_file(path: Path, content: bytes) -> None:
    """Give a file a new content: whoever reads, and whoever comes after a kill, finds the old or the new, whole."""
    written = path.with_name(f"{path.name}.new")
    with new_file(written) as file:
        file.write(content)
    written.replace(path)
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Wait until a file that a library wrote is on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the operating system has such a call."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_of(content: bytes) -> str:
    """Return the CRC-32 of a content, eight hexadecimal digits."""
    return f"{zlib.crc32(content):08x}"


def check_of_file(path: Path) -> str:
    """Return the CRC-32 of a file's content; one that has not changed is read once in a process."""
    found = path.stat()
    return _check_of_file(path, found.st_ino, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=4096)
def _check_of_file(path: Path, *_: int) -> str:
    value = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            value = zlib.crc32(chunk, value)
    return f"{value:08x}"
