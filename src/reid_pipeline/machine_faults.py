"""Faults of the machine: a full disk, missing permission, too little memory; each answered in a message.

They are recognised by their number (`errno`) wherever there is one, whichever library met them.
"""

import contextlib
import errno
import math
import os
import re
import shutil
import stat
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from pathlib import Path

_GOES_ON = "What was stored before is intact, and then the same command goes on from there."
_PERMIT = "Give this user the permission (chown, chmod), or let data/ be a link to a folder of their own."
_DISK = {
    errno.ENOSPC: ("the disk is full", "Make room there, or let data/ be a link to a larger disk."),
    errno.EDQUOT: ("the quota of this user is used up", "Make room there, or let data/ be a link to another disk."),
    errno.EFBIG: ("the file would be larger than allowed", "Raise the limit (ulimit -f), or take another disk."),
    errno.EROFS: ("that disk is read-only", "Mount it for writing, or let data/ be a link to another disk."),
    errno.EACCES: ("permission denied", _PERMIT),
    errno.EPERM: ("the operation is not permitted", _PERMIT),
    errno.EIO: ("the disk failed (input/output error)", "The system's log says more; copy what can still be read."),
    errno.ENAMETOOLONG: ("the path is too long", "Give shorter names, or move the project to a shorter path."),
    errno.ESTALE: ("the network drive has lost it (stale file handle)", "Mount the drive anew."),
}
_PROCESS = {
    errno.EMFILE: ("Too many files are open in this process", "Raise the limit (ulimit -n), or lower compute.threads."),
    errno.ENFILE: ("Too many files are open on this machine", "End other programs, or raise its limit (fs.file-max)."),
    errno.EAGAIN: ("No further process can be started", "Raise the limit (ulimit -u), or end other programs."),
}
_LESS_MEMORY = (
    "Lower plan.batch_size or evaluation.batch_size, compute.image_memory (bytes of decoded images held),"
    " compute.threads or tuning.workers, or end other programs."
)
# Errors without a number: torch's, and the loader's of shared libraries.
_GPU = re.compile(r"(CUDA|HIP|MPS)\b.*out of memory")
_NO_MEMORY = re.compile(rf"can't allocate memory|{_GPU.pattern}|failed to map segment|bad_alloc")
_NO_THREAD = "can't start new thread"
_ASKED = re.compile(r"(?i)(?:unable|tried) to allocate ([\d.]+) ?(\w*)")
_NUMBER_IN_RUST = re.compile(r"\(os error (\d+)\)")
_PROBE = 1 << 20  # bytes


def machine_fault_text(error: BaseException) -> str | None:
    """Return what of the machine was full, forbidden or too small if that caused `error`, and the remedy; else None."""
    for each in _causes(error):
        if text := _memory_text(each) or _disk_text(each) or _process_text(each):
            return f"{text} {_GOES_ON}"
    return None


@contextlib.contextmanager
def naming(target: Path, written: Path | None = None) -> Iterator[None]:
    """Let errors of the block, which writes `target` as `written`, name it, and those without a number get theirs.

    Libraries such as torch say of a full disk only that a position is not the one expected. A further write then fails
    as theirs did.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            _probe(target, written, error)
        elif error.filename is None or str(error.filename).startswith(str(target.parent / f".{target.name}.")):
            error.filename = str(target)
        raise
    except Exception as error:
        _probe(target, written, error)
        raise


def _probe(target: Path, written: Path | None, error: Exception) -> None:
    """Raise what the operating system says of a further write, with the target's name, from `error`."""
    number = _number(error)
    if number is None and written is not None and written.parent.is_dir() and not written.is_dir():
        try:
            with written.open("ab") as file:
                file.write(bytes(_PROBE))
        except OSError as found:
            number = found.errno
    if number is not None:
        raise OSError(number, os.strerror(number), str(target)) from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


def _number(error: BaseException) -> int | None:
    """Return the operating system's number of an error, which Rust writes into its text."""
    if isinstance(error, OSError):
        return error.errno
    found = _NUMBER_IN_RUST.search(str(error))
    return int(found[1]) if found else None


def _memory_text(error: BaseException) -> str:
    """Return how much memory was asked for and is free, and what to lower; empty where it is no error of memory."""
    if isinstance(error, BrokenExecutor):
        return f"A process of this run ended without a word, as those do that are killed for memory. {_LESS_MEMORY}"
    unnumbered = isinstance(error, RuntimeError | ImportError) and _NO_MEMORY.search(str(error))
    if not (isinstance(error, MemoryError) or unnumbered or _number(error) == errno.ENOMEM):
        return ""
    of_gpu = bool(_GPU.search(str(error)))
    asked = _ASKED.search(str(error))
    facts = [f"{_asked_size(*asked.groups())} more were asked for"] if asked else []
    free = None if of_gpu else _free_memory()
    facts += [f"{_size(free)} are free on this machine"] if free is not None else []
    return f"The memory{' of the GPU' if of_gpu else ''} does not suffice ({'; '.join(facts)}). {_LESS_MEMORY}".replace(
        " ()", ""
    )


def _disk_text(error: BaseException) -> str:
    """Return which path could not be read or written, why, and how much is free there."""
    number = _number(error)
    if number not in _DISK:
        return ""
    fault, remedy = _DISK[number]
    name = getattr(error, "filename", None)
    path = Path(os.fsdecode(name)) if isinstance(name, str | bytes) else None
    place = _nearest_folder(path or Path.cwd())
    facts = _limit("RLIMIT_FSIZE", "ulimit -f") if number == errno.EFBIG else []
    if number in (errno.EACCES, errno.EPERM):
        facts.append(_permission(place))
    elif number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        facts.append(_space(place))
    shown = (
        os.fsencode(path).decode("utf-8", "backslashreplace")
        if path
        else "A file of this run, or its redirected output"
    )
    return f"{shown}: {fault} ({', '.join(filter(None, facts))}). {remedy}".replace(" ()", "")


def _process_text(error: BaseException) -> str:
    """Return which limit of the process or the machine was met."""
    number = errno.EAGAIN if _NO_THREAD in str(error) else _number(error)
    if number not in _PROCESS:
        return ""
    fault, remedy = _PROCESS[number]
    limit = {errno.EMFILE: ("RLIMIT_NOFILE", "ulimit -n"), errno.EAGAIN: ("RLIMIT_NPROC", "ulimit -u")}.get(number)
    facts = ", ".join(_limit(*limit, of_bytes=False)) if limit else ""
    return f"{fault}{f' ({facts})' if facts else ''}. {remedy}"


def _nearest_folder(path: Path) -> Path:
    """Return the path or the first folder above it that is there and can be looked at."""
    for each in (path, *path.absolute().parents):
        with contextlib.suppress(OSError):
            each.stat()
            return each
    return Path("/")


def _space(place: Path) -> str:
    with contextlib.suppress(OSError):
        usage = shutil.disk_usage(place)
        return f"{_size(usage.free)} of {_size(usage.total)} are free there"
    return ""


def _permission(place: Path) -> str:
    """Return who asked, and to whom belongs what forbids it: a path, or the folder in which it would be replaced."""
    with contextlib.suppress(OSError):
        place = place.parent if os.access(place, os.R_OK | os.W_OK) else place
        found = place.stat()
        asks = f"this process runs as user {os.geteuid()}, " if hasattr(os, "geteuid") else ""
        return f"{asks}{place} belongs to user {found.st_uid} with mode {stat.S_IMODE(found.st_mode):04o}"
    return ""


def _limit(name: str, command: str, *, of_bytes: bool = True) -> list[str]:
    """Return what a limit of this process is, where it has one."""
    try:
        import resource
    except ImportError:  # Windows
        return []
    soft, _ = resource.getrlimit(getattr(resource, name))
    return [] if soft == resource.RLIM_INFINITY else [f"{command} is {_size(soft) if of_bytes else soft}"]


def _free_memory() -> int | None:
    """Return the bytes that a program may still have, as Linux estimates them; None elsewhere."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    return None


def _asked_size(number: str, unit: str) -> str:
    return _size(int(number)) if unit == "bytes" else f"{number} {unit}"


def _size(number: float) -> str:
    """Return a number of bytes with a unit."""
    power = min(int(math.log10(max(number, 1))) // 3, 4)
    return f"{number / 1000**power:.{1 if power else 0}f} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"
