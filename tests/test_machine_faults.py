"""Faults of the machine, made for real: a limit on files or memory, a full device, folders without permission."""

import contextlib
import errno
import os
import re
import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import torch
from kedro.io import DatasetError
from unprivileged import run_unprivileged

from reid_pipeline.io.atomic import AtomicJSONDataset, AtomicParquetDataset, AtomicPlotlyDataset, AtomicYAMLDataset
from reid_pipeline.io.base import replacing
from reid_pipeline.io.page import HTMLPageDataset
from reid_pipeline.io.weights import EmbeddingsDataset, TensorsDataset, TrainingStateDataset
from reid_pipeline.machine_faults import machine_fault_text, naming
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.errors import UserError
from reid_pipeline.user_errors import user_error_text

GOES_ON = "What was stored before is intact, and then the same command goes on from there."
SIZE = 40_000
"""More numbers than the limit lets anybody write."""


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may grow over 100 kB; `EFBIG` is then what `ENOSPC` is on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, ignored)


def numbers(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=count)


DATASETS: dict[str, tuple[Any, Callable[[int], Any]]] = {
    "torch": (TrainingStateDataset, lambda count: {"epoch": 1, "a": torch.from_numpy(numbers(count))}),
    "safetensors": (TensorsDataset, lambda count: {"a": torch.from_numpy(numbers(count))}),
    "safetensors of numpy": (
        EmbeddingsDataset,
        lambda count: Embeddings(np.arange(count), numbers(count)[:, None].astype(np.float32)),
    ),
    "pyarrow": (AtomicParquetDataset, lambda count: pd.DataFrame({"a": numbers(count)})),
    "json": (AtomicJSONDataset, lambda count: numbers(count).tolist()),
    "yaml": (AtomicYAMLDataset, lambda count: {"a": "x" * 20 * count}),
    "plotly": (AtomicPlotlyDataset, lambda count: go.Figure(go.Scatter(y=numbers(count)))),
    "text": (HTMLPageDataset, lambda count: "x" * 20 * count),
}


@pytest.mark.parametrize("library", DATASETS)
def test_a_file_that_cannot_be_written_whole(tmp_path: Path, library: str, small_files: None) -> None:
    kind, make = DATASETS[library]
    file = tmp_path / "stored.bin"
    dataset = kind(filepath=str(file))
    dataset.save(make(1))
    before = file.read_bytes()
    with pytest.raises(DatasetError) as caught:
        dataset.save(make(SIZE))
    assert re.fullmatch(
        rf"{re.escape(str(file))}: the file would be larger than allowed \(ulimit -f is 100\.0 kB, [\d.]+ [kMGT]B of"
        rf" [\d.]+ [MGT]B are free there\)\. Raise the limit \(ulimit -f\), or take another disk\. {GOES_ON}",
        str(user_error_text(caught.value)),
    )
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["stored.bin"]


def write(target: Path, work: Callable[[Path], object], device: str = "") -> None:
    with replacing(target) as written:
        if device:
            written.symlink_to(device)
        work(written)


def fail(error: Exception, file: Path) -> None:
    file.write_text("half")
    raise error


def test_a_full_device(tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    with pytest.raises(OSError, match="No space") as caught, naming(target, tmp_path / "page"):
        Path("/dev/full").write_text("x" * 100_000)
    assert re.match(
        rf"{target}: the disk is full \([\d.]+ .B of .* are free there\)\. Make room there,", text_of(caught)
    )


def test_a_full_device_of_which_a_library_says_only_that_a_position_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as unclear:
        torch.save({"a": torch.zeros(SIZE)}, "/dev/full")
    assert machine_fault_text(unclear.value) is None
    with pytest.raises(OSError, match="No space") as caught:
        write(tmp_path / "state.pt", lambda written: torch.save({"a": torch.zeros(SIZE)}, written), device="/dev/full")
    assert text_of(caught).startswith(f"{tmp_path / 'state.pt'}: the disk is full (")
    assert not list(tmp_path.iterdir())


def test_a_fault_of_the_program_stays_one_on_a_good_disk(tmp_path: Path) -> None:
    for error in (RuntimeError("unexpected pos 576 vs 534"), ValueError("x"), OSError("12 requested and 4 written")):
        with pytest.raises(type(error)) as caught:
            write(tmp_path / "a", partial(fail, error))
        assert caught.value is error
        assert machine_fault_text(error) is None


def text_of(caught: "pytest.ExceptionInfo[BaseException]") -> str:
    return str(user_error_text(caught.value))


def open_all(files: contextlib.ExitStack, paths: list[Path]) -> None:
    for path in paths:
        files.enter_context(path.open("w"))


def test_too_many_open_files(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - of which Path opens more
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 5, hard))
    with contextlib.ExitStack() as files, pytest.raises(OSError, match="Too many") as caught:
        open_all(files, [tmp_path / str(place) for place in range(10)])
    text = text_of(caught)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    says = rf"Too many files are open in this process \(ulimit -n is {opened + 5}\)\. Raise the limit \(ulimit -n\), or"
    assert re.match(says, text)


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long") as caught, replacing(tmp_path / ("a" * 300) / "metrics.json"):
        pass
    assert re.fullmatch(rf".*a{{300}}: the path is too long\. Give shorter names, .*\. {GOES_ON}", text_of(caught))


def test_a_name_that_no_terminal_can_show() -> None:
    error = OSError(errno.EIO, "x", b"/data/\xff/a.png")
    assert str(machine_fault_text(error)).startswith(r"/data/\xff/a.png: the disk failed (input/output error). The")


UNWRITABLE = """
import os, sys
from pathlib import Path
from reid_pipeline.io.page import TextDataset
from reid_pipeline.user_errors import user_error_text
try:
    TextDataset(filepath=sys.argv[1]).save("new")
except Exception as error:
    print(user_error_text(error))
"""


@pytest.mark.parametrize(("mode", "name"), [(0o555, "a.md"), (0o555, "deep/er/a.md"), (0o000, "a.md")])
@pytest.mark.slow
def test_a_folder_without_permission(tmp_path: Path, mode: int, name: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.md").write_text("old")
    folder.chmod(mode)
    done = run_unprivileged([sys.executable, "-c", UNWRITABLE, folder / name])
    folder.chmod(0o755)
    user = os.geteuid()
    assert re.fullmatch(
        rf"{folder}(/[a-z./]*)?: permission denied \(this process runs as user {user}, {folder} belongs to user {user}"
        rf" with mode {mode:04o}\)\. Give this user the permission \(chown, chmod\), or .*\. {GOES_ON}\n",
        done.stdout,
    ), done.stdout + done.stderr
    assert (folder / "a.md").read_text() == "old"
    assert [path.name for path in folder.iterdir()] == ["a.md"]


@pytest.mark.parametrize(
    ("ask", "much"),
    [
        (lambda: np.zeros(10**13), r"72\.8 TiB more were asked for; "),
        (lambda: torch.zeros(10**13), r"40\.0 TB more were asked for; "),
        (lambda: torch.empty(2**45, dtype=torch.uint8), r"35\.2 TB more were asked for; "),
        (lambda: bytes(10**15), ""),
    ],
)
def test_too_little_memory(ask: Callable[[], Any], much: str) -> None:
    with pytest.raises((MemoryError, RuntimeError)) as caught:
        ask()
    says = (
        rf"The memory does not suffice \({much}[\d.]+ GB are free on this machine\)\. Lower plan\.batch_size or"
        rf" evaluation\.batch_size, compute\.image_memory .*, compute\.threads or tuning\.workers, .*\. {GOES_ON}"
    )
    assert re.fullmatch(says, text_of(caught))


def test_too_little_memory_under_a_limit() -> None:
    code = """
    import resource
    from reid_pipeline.machine_faults import machine_fault_text
    resource.setrlimit(resource.RLIMIT_AS, (400_000_000, -1))
    try:
        bytearray(500_000_000)
    except MemoryError as error:
        print(machine_fault_text(error))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("The memory does not suffice (")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8 GiB."),
         "The memory of the GPU does not suffice (2.00 GiB more were asked for). Lower plan.batch_size"),
        (RuntimeError("CUDA error: out of memory"), "The memory of the GPU does not suffice. Lower plan.batch_size"),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), "The memory of the GPU does not suffice."),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "The memory does not suffice ("),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "The memory does not suffice ("),
        (BrokenProcessPool("A process in the process pool was terminated abruptly"), "A process of this run ended"),
        (RuntimeError("can't start new thread"), "No further process can be started"),
        (OSError(errno.EDQUOT, "x", "data/a"), "data/a: the quota of this user is used up ("),
        (OSError(errno.EROFS, "x", "data/a"), "data/a: that disk is read-only. Mount it for writing"),
        (OSError(errno.EIO, "x"), "A file of this run, or its redirected output: the disk failed (input"),
        (OSError(errno.ENFILE, "x"), "Too many files are open on this machine. End other programs"),
        (OSError(errno.ESTALE, "x", "data/a"), "data/a: the network drive has lost it"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_here(error: BaseException, says: str) -> None:
    text = machine_fault_text(error)
    assert text is not None
    assert text.startswith(says)
    assert text.endswith(GOES_ON)


@pytest.mark.parametrize(
    "error", [FileNotFoundError(2, "x"), KeyError("a"), RuntimeError("shape"), ImportError("no x")]
)
def test_other_errors_are_none(error: BaseException) -> None:
    assert machine_fault_text(error) is None


def test_what_the_user_is_told_of_it_by_others_comes_first() -> None:
    error = UserError("Image a.jpg cannot be opened")
    error.__cause__ = PermissionError(errno.EACCES, "x", "a.jpg")
    assert user_error_text(error) == "Image a.jpg cannot be opened"


def test_what_was_met_on_the_way_and_dealt_with_is_none() -> None:
    def go_on() -> None:
        try:
            raise PermissionError(errno.EACCES, "x", "a")
        except PermissionError:
            raise KeyError("a") from None

    with pytest.raises(KeyError) as caught:
        go_on()
    assert machine_fault_text(caught.value) is None


def test_a_state_that_could_not_be_read_for_want_of_memory_is_left_for_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = TrainingStateDataset(filepath=str(tmp_path / "state.pt"))
    dataset.save({"epoch": 1})
    monkeypatch.setattr(torch, "load", lambda *_, **__: torch.zeros(10**13))
    with pytest.raises(DatasetError) as caught:
        dataset.load()
    assert text_of(caught).startswith("The memory does not suffice (40.0 TB")
    monkeypatch.undo()
    assert dataset.load() == {"epoch": 1}
