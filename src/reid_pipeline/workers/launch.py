"""The head: it starts the launcher, passes on what workers store, says who stands still, and leaves no process."""

import contextlib
import json
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import reid_pipeline
from reid_pipeline.engine.progress import require_going_on
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import ComputeParameters
from reid_pipeline.workers import guard
from reid_pipeline.workers.beats import INTERVAL, Watch, write_head
from reid_pipeline.workers.handover import LAUNCHER_LOG, RECORDS, Epoch, Handover

if TYPE_CHECKING:
    from reid_pipeline.engine.checkpoint import Checkpoint
    from reid_pipeline.engine.training import TrainingRun

RESTARTS = 3
"""How often torchrun starts the workers anew where one of them died."""
_TORCHRUN = (
    "{python} -m torch.distributed.run --standalone --nproc-per-node {processes} --max-restarts {restarts} {worker}"
)
_NEW_PORT = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
"""Lets workers that torchrun has started anew meet at a new port: in the store of its agents lie the addresses of those
that died, and gloo takes them for new ones."""
_ERROR = re.compile(r"^(?:\[[^\]]*\]: ?)?((?:\w+\.)*\w*(?:Error|Exception): .+)")
"""The last line of a traceback, before which torch may write a rank."""
_BAR = "\N{BOX DRAWINGS HEAVY HORIZONTAL}"
_POLL = 0.1  # seconds
_LEAVE_S = 5.0  # seconds in which a launcher may end its workers itself
_log = logging.getLogger(__name__)


def trained_by_processes(
    run: "TrainingRun",
    stage: str,
    compute: ComputeParameters,
    folder: Path,
    resume: Mapping[str, Any] | None,
    earlier: "Checkpoint | None" = None,
) -> Iterator[Epoch]:
    """Train a stage in `compute.processes` processes, and yield what `engine.training.train_stage` does.

    An epoch that ends while the one before is being stored may be yielded with the next one: each has the history of
    all. `folder` is scratch, on a disk that all processes see; it goes when training has ended well.

    Raises:
        UserError: what one process would raise, in the same words; the launcher cannot be started, or gave up.
    """
    handover = Handover(folder)
    handover.put(run, stage, compute, resume, earlier)
    write_head(folder, 0)
    with _launched(compute, handover) as (launcher, watch):
        yield from _epochs(launcher, watch, handover, compute)
    shutil.rmtree(folder, ignore_errors=True)


def launcher_command(compute: ComputeParameters, folder: Path) -> list[str]:
    """Return the words that start the workers; a UserError for a template that cannot be filled in."""
    names: dict[str, str | list[str]] = {
        "python": sys.executable,
        "processes": str(compute.processes),
        "restarts": str(RESTARTS),
        "worker": ["-m", f"{__package__}.worker", str(folder.absolute())],
    }
    template = compute.launcher or _TORCHRUN
    template = template if "{worker}" in template else f"{template} {{worker}}"
    made: list[str] = []
    try:
        for word in shlex.split(template):
            value = names["worker"] if word == "{worker}" else word.format(**names)
            made += value if isinstance(value, list) else [value]
    except (KeyError, IndexError, ValueError) as error:
        allowed = ", ".join(f"{{{name}}}" for name in names)
        raise UserError(
            f"Parameter compute.launcher cannot be filled in ({error}): {template!r}. Words in braces are {allowed}."
        ) from error
    return made


@contextlib.contextmanager
def _launched(compute: ComputeParameters, handover: Handover) -> Iterator[tuple["subprocess.Popen[bytes]", Watch]]:
    """Start the launcher in a group of its own; afterwards no process of it is left."""
    command = launcher_command(compute, handover.folder)
    watch = Watch(handover.folder, compute.processes, compute.stall_seconds)
    with (handover.folder / LAUNCHER_LOG).open("wb") as log:
        try:
            launcher = subprocess.Popen(  # noqa: S603 - the user's own command
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(compute),
                start_new_session=True,
            )
        except OSError as error:
            raise UserError(
                f"Parameter compute.launcher begins with {command[0]!r}, which cannot be started: {error.strerror}."
                " Leave it out for torchrun on this machine, or correct it."
            ) from error
    _log.info("Training goes on in %d processes, started by %s.", compute.processes, shlex.join(command[:4]))
    guarding = _guarded(launcher.pid)
    try:
        yield launcher, watch
    finally:
        _end(launcher, watch)
        guarding.kill()
        guarding.wait()


def _guarded(group: int) -> "subprocess.Popen[bytes]":
    """Start the process that ends a group when this one is gone."""
    command = [sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), str(group)]
    silent = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=silent, stdout=silent, stderr=silent, start_new_session=True)  # noqa: S603


def _environment(compute: ComputeParameters) -> dict[str, str]:
    """Return the launcher's: this package is found there, and a thread pool is as large as a worker's part."""
    source = str(Path(reid_pipeline.__file__).parents[1])
    path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH", "")]))
    threads = compute.threads or max(1, (os.cpu_count() or 1) // compute.processes)
    return {**_NEW_PORT, **os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(threads)}


def _epochs(
    launcher: "subprocess.Popen[bytes]", watch: Watch, handover: Handover, compute: ComputeParameters
) -> Iterator[Epoch]:
    """Yield what workers store until the launcher ends; raise what ends training."""
    seen, records, beat, count = None, 0, time.monotonic(), 0
    last: Epoch | None = None
    while True:
        status = launcher.poll()
        records = _pass_on(handover.folder / RECORDS, records)
        if (text := handover.refusal()) is not None:
            raise UserError(text)
        if (stamp := handover.stamp()) != seen:
            before, last, seen = last, handover.stored(), stamp
            if last is not None and _place(last) != _place(before):  # the same one where it came while another was read
                yield last
        if status is not None and handover.stamp() == seen:
            break
        require_going_on()
        if time.monotonic() - beat > INTERVAL:
            beat, count = time.monotonic(), count + 1
            with contextlib.suppress(OSError):  # a disk that fails for a moment
                write_head(handover.folder, count)
            for line in watch.lines():
                _log.warning("%s", line)
        time.sleep(_POLL)
    if status or last is None or not _ended(last):
        raise UserError(_gave_up(status, last, handover.folder, compute))


def _place(epoch: Epoch | None) -> tuple[int, bool] | None:
    """Return which epoch of its training it is, and whether that ends with it."""
    return None if epoch is None else (epoch[0]["epoch"], _ended(epoch))


def _ended(last: Epoch) -> bool:
    """Return whether an epoch is the last of its training: a launcher can end well though its workers did not."""
    state, _ = last
    return bool(state.get("ended")) or state["epoch"] >= state["epochs"]


def _gave_up(status: int | None, last: Epoch | None, folder: Path, compute: ComputeParameters) -> str:
    """Return in words that the launcher ended before the training did."""
    number = status or 0
    how = f"by {signal.Signals(-number).name}" if number < 0 else f"with exit status {number}"
    stored = "No epoch is stored" if last is None else f"Epoch {last[0]['epoch']} is stored"
    lines = [line.strip() for line in _tail(folder / LAUNCHER_LOG) if line.strip() and _BAR not in line]
    errors = [found[1] for line in lines if (found := _ERROR.match(line))]
    words = [f" The last error: {errors[-1]}"] if errors else [f" The last line: {line}" for line in lines[-1:]]
    because = "".join(f"{text[:300].rstrip('.')}." for text in words)
    return (
        f"The {compute.processes} processes of this training ended, and their launcher with them {how}.{because}"
        f" {stored}: the same command goes on from there. All that they printed is in {folder / LAUNCHER_LOG}"
    )


def _tail(file: Path) -> Sequence[str]:
    with contextlib.suppress(OSError):
        return file.read_text(encoding="utf-8", errors="replace").splitlines()[-200:]
    return ()


def _pass_on(file: Path, start: int) -> int:
    """Log what the first worker has logged since; return how far it was read."""
    try:
        with file.open("rb") as opened:
            opened.seek(start)
            content = opened.read()
    except FileNotFoundError:
        return start
    whole = content[: content.rfind(b"\n") + 1]
    for line in whole.splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:  # torn by a full disk
            record = {"name": __name__, "level": logging.WARNING, "text": line.decode(errors="replace")}
        logging.getLogger(record["name"]).log(record["level"], "%s", record["text"])
    return start + len(whole)


def _end(launcher: "subprocess.Popen[bytes]", watch: Watch) -> None:
    """End the launcher, its group, and the workers of this machine that gave a sign of life."""
    if launcher.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(launcher.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            launcher.wait(_LEAVE_S)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(launcher.pid, signal.SIGKILL)
    launcher.wait()
    for worker in watch.workers():
        worker.kill()
