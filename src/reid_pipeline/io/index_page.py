"""The folder of all pages: its index, which lists what is there, and the plotly.js that draws their figures.

Neither is a node's output, nor a DVC out: whoever saves a page renews them, so that they never make a stage stale.
"""

import contextlib
import html
import logging
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path, PurePosixPath

from filelock import FileLock

from reid_pipeline.io.base import ReadOnlyDataset
from reid_pipeline.io.page import TextDataset
from reid_pipeline.io.replacing import NO_LOCKS, replacing
from reid_pipeline.reporting.index_page import INDEX, ListedPage, render_index
from reid_pipeline.reporting.page import plotly_file
from reid_pipeline.schema.errors import UserError

_LOCK = ".index.lock"
"""Held while pages are listed and the index is written: of two at once, the second lists both pages."""
_SECONDS = 60.0  # to wait for another process's list
_HEAD = 8192  # bytes of a page that hold its title
_TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)
_log = logging.getLogger(__name__)


class AllPagesDataset(ReadOnlyDataset[list[ListedPage]]):
    """The pages below a folder."""

    _refusal = "Pages in {path} are read only; {kind} was not written."

    def load(self) -> list[ListedPage]:
        """Return them, the newest first."""
        return list_pages(self._filepath)


class IndexPageDataset(TextDataset):
    """The index, with plotly.js beside it; what was saved since it was made is listed as well."""

    def _written(self, data: str) -> None:  # noqa: ARG002
        put_plotly(self._filepath.parent)
        renew_index(self._filepath.parent)


def put_plotly(folder: Path) -> None:
    """Put plotly.js into the folder of all pages, unless this version's lies there whole."""
    from plotly.offline import get_plotlyjs

    file, content = folder / plotly_file(), get_plotlyjs().encode()
    if not file.is_file() or file.stat().st_size != len(content):
        with replacing(file) as written:
            written.write_bytes(content)


def renew_index(folder: Path) -> None:
    """Write the index of the pages that lie below a folder; one that is right already is left alone.

    Pages are what a run is for, and the index is not: where it cannot be written, a warning says so.
    """
    file = folder / INDEX
    try:
        with _alone(folder):
            page = render_index(list_pages(folder))
            if not file.is_file() or file.read_bytes() != page.encode():
                with replacing(file) as written:
                    written.write_text(page, encoding="utf-8")
    except (OSError, UserError) as error:  # a Timeout is an OSError
        reason = getattr(error, "strerror", None) or str(error)
        _log.warning("The index %s was not renewed: %s.", file, reason.rstrip("."))


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; where the file system has none, go on without."""
    lock = FileLock(folder / _LOCK, timeout=_SECONDS, fallback_to_soft=False, is_singleton=False)
    try:
        lock.acquire()
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    try:
        yield
    finally:
        lock.release()


def list_pages(folder: Path) -> list[ListedPage]:
    """Return the HTML pages below a folder, the newest first; those being written, and the index itself, are none."""
    found = []
    for path in _pages(folder):
        with contextlib.suppress(FileNotFoundError):  # it has just been removed
            found.append((Path(path).stat().st_mtime, path, _title(Path(path))))
    return [
        ListedPage(PurePosixPath(os.path.relpath(path, folder)), title, datetime.fromtimestamp(time))
        for time, path, title in sorted(found, key=lambda each: (-each[0], each[1]))
    ]


def _pages(folder: Path) -> Iterator[str]:
    """Yield the path of each page; links to folders are not followed."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [os.path.join(place, name) for name in names if name.endswith(".html") and not name.startswith(".")]  # noqa: PTH118
        yield from (path for path in paths if path != str(folder / INDEX))


def _title(file: Path) -> str:
    with file.open("rb") as opened:
        found = _TITLE.search(opened.read(_HEAD).decode("utf-8", "replace"))
    return html.unescape(" ".join(found[1].split())) if found else ""
