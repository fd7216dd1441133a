"""Real processes: they answer as the reader in this process does, and what happens when they end."""

import hashlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reid_pipeline.images.check import _Check
from reid_pipeline.images.file_reader import FileReader, ReaderGone, ReadFile, ReadingProcess
from reid_pipeline.images.picture import Picture, describe

# A reader that tells each file's length as its width, and ends where it is to decode "end".
STAND_IN = """
import json, os, sys
from reid_pipeline.images import file_reader, picture

def describe(content):
    if content == b"end":
        os._exit(3)
    return picture.Picture(len(content), 1, "L", "")

file_reader.describe = describe
sys.stdin.buffer.readline()
print("a line that some start-up code prints")
print("reid_pipeline is ready", flush=True)
file_reader.serve()
"""


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """Sixty files: pictures of several kinds and sizes, and some that are none."""
    generator = np.random.default_rng(0)
    contents = {"empty.jpg": b"", "notes on füchse 狐.png": b"no picture\n", "folder/text": b"x"}
    for number in range(57):
        buffer = io.BytesIO()
        pixels = generator.integers(0, 256, (3 + number, 70 - number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(buffer, ["JPEG", "PNG", "BMP"][number % 3])
        contents[f"{number}.jpg"] = buffer.getvalue()[: -9 if number % 10 == 9 else None]
    (tmp_path / "folder").mkdir()
    for path, content in contents.items():
        (tmp_path / path).write_bytes(content)
    return list(contents)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[ReadingProcess]:
    process = ReadingProcess(str(tmp_path))
    yield process
    process.close()


def test_a_file_is_hashed_and_its_error_told(tmp_path, paths):
    reader = FileReader(str(tmp_path))
    found = reader.read(["notes on füchse 狐.png", "no such file", "folder", "empty.jpg"])
    assert found == [
        ReadFile(hashlib.sha256(b"no picture\n").hexdigest(), 11),
        ReadFile("", 0, "No such file or directory"),
        ReadFile(found[2].sha256, 0),  # no file: a fault, as of a damaged picture
        ReadFile(hashlib.sha256(b"").hexdigest(), 0),
    ]
    assert reader.decode([2, 3, 0]) == [
        Picture(None, None, "", "it is a folder, not a regular file"),
        Picture(None, None, "", "empty file, 0 bytes"),
        Picture(None, None, "", "not an image of the formats that are read (JPEG, PNG, BMP, WEBP, TIFF, GIF, PPM)"),
    ]


def test_no_more_is_read_than_may_be_held(tmp_path):
    for name, megabytes in {"a": 3, "b": 3, "c": 3, "d": 20, "e": 1}.items():
        (tmp_path / name).write_bytes(bytes(megabytes * 1_000_000))
    reader = FileReader(str(tmp_path))
    assert [file.size for file in reader.read(list("abcde"))] == [3_000_000] * 3
    assert [file.size for file in reader.read(list("de"))] == [20_000_000]
    with _Check(str(tmp_path), 1, 5, {}) as check:
        assert [file.size // 1_000_000 for file in check.look_at(list("abcde"))] == [3, 3, 3, 20, 1]
        assert len(check.pictures) == 3  # a, b and c are equal


def test_a_process_answers_as_the_reader_does(tmp_path, paths, process):
    reader = FileReader(str(tmp_path))
    for asked in (paths, paths[:4], ["no such file"]):
        assert process.read(asked) == reader.read(asked)
        places = list(range(len(asked)))[::-1]
        assert process.decode(places) == reader.decode(places)


def test_a_process_that_was_ended_is_replaced(tmp_path, paths, process):
    process.read(paths[:3])
    assert process._process is not None
    process._process.kill()
    with pytest.raises(ReaderGone):
        process.decode([0, 1, 2])
    assert process.startable
    assert process.read(paths) == FileReader(str(tmp_path)).read(paths)


def test_closing_ends_the_process(paths, process):
    process.read(paths)
    running = process._process
    process.close()
    assert running is not None
    assert running.returncode is not None
    process.close()


def widths(check: _Check, found: list[ReadFile]) -> list[int | None]:
    pictures = [check.pictures[file.sha256] for file in found]
    return [picture.width for picture in pictures if picture is not None]


class TestEndings:
    """`_Check._look_through`, with processes that end."""

    def test_the_file_that_ends_it_is_found(self, tmp_path):
        contents = [b"a", b"four", b"end", b"seventh", b"four"]
        for number, content in enumerate(contents):
            (tmp_path / str(number)).write_bytes(content)
        process = ReadingProcess(str(tmp_path), (sys.executable, "-c", STAND_IN))
        with _Check(str(tmp_path), 1, 5, {}) as check:
            found = check._look_through(process, list("01234"))
            process.close()
            assert [file.size for file in found] == [len(content) for content in contents]
            assert widths(check, found) == [1, 4, None, 7, 4]
            ended = check.pictures[hashlib.sha256(b"end").hexdigest()]
        assert ended == Picture(None, None, "", "decoding it ended the process: damaged, or too large for the memory")

    @pytest.mark.parametrize("command", [("/no/such/program",), (sys.executable, "-c", "print('I end at once')")])
    def test_where_no_process_can_be_started_this_one_does_the_work(self, tmp_path, paths, command):
        process = ReadingProcess(str(tmp_path), command)
        with _Check(str(tmp_path), 1, len(paths), {}) as check:
            found = check._look_through(process, paths)
            assert not process.startable
            assert found == FileReader(str(tmp_path)).read(paths)
            assert check._look_through(process, paths[:5]) == found[:5]
            for path, file in zip(paths, found, strict=True):
                assert check.pictures[file.sha256] == describe((tmp_path / path).read_bytes())


class TestClaims:
    def test_of_equal_files_one_is_decoded(self, tmp_path):
        for name, content in {"a": b"one", "b": b"two", "c": b"one", "d": b"one"}.items():
            (tmp_path / name).write_bytes(content)
        with _Check(str(tmp_path), 1, 6, {}) as check:
            check.look_at(["a", "b", "c"])
            assert check._decoded == 2
            check.look_at(["b", "d", "a"])
            assert check._decoded == 2

    def test_once_a_file_is_missing_nothing_more_is_decoded(self, tmp_path):
        for name in "abcd":
            (tmp_path / name).write_text(name)
        with _Check(str(tmp_path), 1, 6, {}) as check:
            check.look_at(["a", "b"])
            found = check.look_at(["c", "none"])
            check.look_at(["d"])
            assert check._decoded == 2
        assert found[1].error == "No such file or directory"

    @pytest.mark.parametrize(
        ("workers", "files", "contents", "uses"),
        [
            (2, 60, 60, True),
            (1, 60, 60, False),  # one worker stays in this process
            (2, 60, 4, False),  # few are new
            (2, 12, 12, False),  # few are left
        ],
    )
    def test_processes_are_used_where_many_are_new_and_left(
        self, tmp_path, monkeypatch, workers, files, contents, uses
    ):
        monkeypatch.setattr("reid_pipeline.images.check.FEW", 10)
        for number in range(files):
            (tmp_path / str(number)).write_text(f"text {number % contents}")
        with _Check(str(tmp_path), workers, files, {}) as check:
            for first in range(0, files, 5):
                check.look_at([str(number) for number in range(first, min(first + 5, files))])
            running = [process._process for process in check._processes if process._process is not None]
            assert (len(running) > 0) == uses
            assert check._decoded == contents
        assert all(process.poll() is not None for process in running)
