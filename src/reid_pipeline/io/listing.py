"""Listing folders that users fill: what cannot be listed or followed is named, and nothing goes on without end."""

import errno
import os
import shlex
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from reid_pipeline.schema.errors import UserError, first_few, nearest, printable
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.regular_files import kind_of

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")
_MOST_WAYS = 1000  # to one folder, by links elsewhere: links of folders to one another multiply
_LONGEST_SHOWN = 120  # characters of a path in a message
# Of file systems and file managers: most are closed to their users, and none holds anybody's images.
_SYSTEM_FOLDERS = frozenset({"lost+found", "System Volume Information", "$RECYCLE.BIN"})


def list_files(root: Path) -> RawFolder:
    """Return what lies below a folder, links followed, with notes on links that lead back up or nowhere.

    A link to a folder that it lies in is not followed; two links to one folder elsewhere give its files twice. Files
    are not looked at, but for links. Linear in files.

    Raises:
        UserError: folders or links cannot be looked into, but for hidden ones and the system's; or links multiply.
    """
    walk = _Walk(os.fspath(root))
    waiting: list[tuple[str, frozenset[_Folder]]] = [("", frozenset())]
    while waiting:
        waiting += walk.look_into(*waiting.pop())
    if walk.closed:
        raise UserError(
            f"{len(walk.closed)} folders or links below {printable(str(root))} cannot be looked into, and images would"
            f" be missing: {first_few(walk.closed)}. Make them readable (chmod u+rx, by their owner), move them away,"
            " or pass --params raw_root=<a folder beside them>. If one has gone meanwhile, give the command again."
        )
    not_text = frozenset(text for path in walk.files if (text := _text(path)) != path)
    return RawFolder(root, tuple(sorted(map(_text, walk.files))), not_text, walk.notes())


def has_entries(root: Path, *, may_be_absent: bool = False) -> bool:
    """Return whether a raw folder holds anything.

    Raises:
        UserError: it does not exist, unless it `may_be_absent`, is no folder, or cannot be listed; says what to do.
    """
    try:
        with os.scandir(root) as found:
            return any(True for _ in found)
    except FileNotFoundError as error:
        dangling = root.is_symlink()
        if may_be_absent and not dangling:
            return False
        fault = f"is a link to {root.readlink()}, which does not exist. Mend it." if dangling else _absent(root)
        raise UserError(f"Raw folder {printable(f'{root} {fault}')}") from error
    except NotADirectoryError as error:
        raise UserError(f"Raw folder {printable(f'{root} {_no_folder(root)}')}") from error
    except PermissionError as error:
        barrier = next((each for each in (*reversed(root.parents), root) if not os.access(each, os.X_OK)), root)
        raise UserError(
            f"Raw folder {printable(str(root))} cannot be opened: {error.strerror}. Make {printable(str(barrier))}"
            " readable (chmod u+rx, by its owner), or pass --params raw_root=<another folder>."
        ) from error
    except (OSError, ValueError) as error:  # a ValueError: a null character in the name
        reason = "it is a link that leads to itself" if getattr(error, "errno", 0) == errno.ELOOP else None
        raise UserError(
            f"Raw folder {printable(str(root)[:_LONGEST_SHOWN])} cannot be opened:"
            f" {reason or getattr(error, 'strerror', error)}. Link the folder that holds the images, or pass --params"
            " raw_root=<folder>."
        ) from error


def _absent(root: Path) -> str:
    """Return what is missing of a path, what may have been meant, and how it is linked."""
    there = next((folder for folder in root.parents if folder.exists()), Path("/"))
    missing = root.relative_to(there).parts[0]
    names = [folder.name for folder in there.iterdir() if folder.is_dir()] if os.access(there, os.R_OK) else []
    absolute = Path.cwd() / root
    make = "" if absolute.parent.is_dir() else f"mkdir -p {shlex.quote(str(absolute.parent))} && "
    in_which = "" if there == root.parent else f": there is no {missing} in {there}"
    return (
        f"does not exist{in_which}.{nearest(missing, names)} Link the benchmark there ({make}ln -s /where/it/lies"
        f" {shlex.quote(str(absolute))}), or pass --params raw_root=<folder>."
    )


def _no_folder(root: Path) -> str:
    """Return what is in the place of a folder, and what to give instead."""
    file = next(path for path in (root, *root.parents) if not path.is_dir() and path.exists())
    if file != root:
        return f"does not exist: {file} is no folder. Correct raw_root, or the link."
    kind = kind_of(root.stat().st_mode) or "a file"
    if root.name.lower().endswith(_ARCHIVES):
        return f"is {kind}. Unpack the archive and link the folder instead, or pass --params raw_root=<folder>."
    return f"is {kind}, and a folder is needed. Link the folder that holds the images, or pass it as raw_root."


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted, without hidden ones; none where it does not exist, or no longer."""
    try:
        with os.scandir(folder) as found:
            return sorted(Path(entry.path) for entry in found if entry.is_dir() and not entry.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UserError(f"Folder {printable(str(folder))} cannot be listed: {error.strerror}. {_READABLE}") from error


def is_there(path: Path) -> bool:
    """Return whether a file or folder exists; a `UserError` where a folder on the way is closed."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise UserError(f"{printable(str(path))} cannot be looked at: {error.strerror}. {_READABLE}") from error
    return True


_READABLE = "What it holds would be missing. Make it readable (chmod u+rx, by its owner), or move it away."
_Folder = tuple[int, int]  # device and inode, which a folder and all links to it have in common


@dataclass
class _Walk:
    """What was found so far, as paths below the root."""

    root: str
    files: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)  # with the reason
    closed_system: list[str] = field(default_factory=list)
    upward: list[str] = field(default_factory=list)
    dangling: list[str] = field(default_factory=list)
    ways: Counter[_Folder] = field(default_factory=Counter)

    def look_into(self, path: str, above: frozenset[_Folder]) -> list[tuple[str, frozenset[_Folder]]]:
        """List one folder; return those in it, with the folders that they lie in."""
        full = f"{self.root}/{path}" if path else self.root
        try:
            facts = os.stat(full)  # noqa: PTH116 - as in the rest of this class: without a Path for each
            folder = facts.st_dev, facts.st_ino
            if folder in above:
                self.upward.append(path)
                return []
            with os.scandir(full) as found:
                entries = list(found)
        except OSError as error:
            self._cannot(path, error)
            return []
        self._count_way(folder, path)
        above |= {folder}
        below = ((f"{path}/{entry.name}" if path else entry.name, entry) for entry in entries)
        return [(name, above) for name, entry in below if self._is_folder(name, entry)]

    def notes(self) -> tuple[str, ...]:
        """Return sentences on what is not as it seems."""
        found = {
            "Links that lead back to a folder above them, and are not followed": self.upward,
            "Links that lead nowhere": self.dangling,
            "Hidden or system folders that cannot be looked into, and are left aside": self.closed_system,
        }
        return tuple(f"{what}: {first_few(sorted(paths))}." for what, paths in found.items() if paths)

    def _is_folder(self, path: str, entry: "os.DirEntry[str]") -> bool:
        """Return whether to look into an entry, and note it as a file otherwise."""
        try:
            if entry.is_dir():
                return True
            if entry.is_symlink() and not entry.is_file() and not Path(entry.path).exists():
                self.dangling.append(path)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                self._cannot(path, error)
                return False
            self.dangling.append(path)
        self.files.append(path)
        return False

    def _cannot(self, path: str, error: OSError) -> None:
        system = any(name.startswith(".") or name in _SYSTEM_FOLDERS for name in path.split("/"))
        shown = path if len(path) <= _LONGEST_SHOWN else f"{path[:_LONGEST_SHOWN]}..."
        (self.closed_system if system else self.closed).append(f"{_text(shown) or 'itself'} ({error.strerror})")

    def _count_way(self, folder: _Folder, path: str) -> None:
        self.ways[folder] += 1
        if self.ways[folder] > _MOST_WAYS:
            raise UserError(
                f"Links below {printable(self.root)} lead to one folder by more than {_MOST_WAYS} ways, one of them"
                f" {printable(path[:_LONGEST_SHOWN])}: the same images would be listed again and again. Remove the"
                " links between these folders."
            )


def _text(name: str) -> str:
    r"""Return a name with `\xe9` for each byte that is no UTF-8."""
    return name if name.isascii() else os.fsencode(name).decode(errors="backslashreplace")
