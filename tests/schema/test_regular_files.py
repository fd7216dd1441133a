"""Only regular files are opened."""

import os
import socket
import sys

import pytest
from unprivileged import run_unprivileged

from reid_pipeline.schema.regular_files import NotRegularFile, read_regular


def _special(kind, path):
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    return path


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("kind", ["FIFO", "socket", "folder", "device"])
def test_what_is_no_regular_file_is_named_and_not_opened(tmp_path, kind, linked):
    path = _special(kind, tmp_path / "a.jpg")
    if linked:
        (tmp_path / "link.jpg").symlink_to(path)
        path = tmp_path / "link.jpg"
    with pytest.raises(NotRegularFile) as error:
        read_regular(path)
    assert kind in error.value.strerror
    assert error.value.filename == str(path)


def test_a_regular_file_and_a_link_to_one_are_read(tmp_path):
    (tmp_path / "a").write_bytes(b"\0abc")
    (tmp_path / "b").symlink_to("a")
    assert read_regular(tmp_path / "a") == read_regular(str(tmp_path / "b")) == b"\0abc"
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "c")


def test_modes_bind_a_program_that_is_run_unprivileged(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "a").chmod(0)
    program = "import sys; from reid_pipeline.schema.regular_files import read_regular; read_regular(sys.argv[1])"
    done = run_unprivileged([sys.executable, "-c", program, tmp_path / "a"])
    assert done.returncode == 1
    assert "PermissionError" in done.stderr
