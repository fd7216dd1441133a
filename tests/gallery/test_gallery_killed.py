"""Writers that are killed, writers that meet, and readers that go on: with real processes."""

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_gallery import MODEL, WIDTH, filled, rows, units

from reid_pipeline.gallery import Gallery, segments
from reid_pipeline.gallery.kinds import KINDS
from reid_pipeline.schema.errors import UserError

VECTORS = units(0, 400)
Content = dict[int, tuple[str, bytes]]


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", dict.fromkeys(KINDS, segments._HEADER + 12 * 4 * WIDTH))


def enrol(gallery: Gallery, start: int, count: int, name: str) -> None:
    entries = rows([name] * count).assign(path=[f"{row}.jpg" for row in range(start, start + count)])
    gallery.enrol(VECTORS[start : start + count], entries, model=MODEL)


def script(repeats: int) -> list[tuple[Callable[[Gallery], object], Callable[[Content], Content]]]:
    """Changes, and what each makes of ids with their names and vectors, by hand."""

    def added(start: int, count: int, name: str) -> Callable[[Content], Content]:
        return lambda old: old | {row: (name, VECTORS[row].tobytes()) for row in range(start, start + count)}

    def called(old_name: str, new_name: str) -> Callable[[Content], Content]:
        return lambda old: {key: (new_name if name == old_name else name, v) for key, (name, v) in old.items()}

    found: list[tuple[Callable[[Gallery], object], Callable[[Content], Content]]] = []
    for number in range(repeats):
        start, one, two = number * 16, f"a{number}", f"b{number}"
        found += [
            (lambda g, s=start, n=one: enrol(g, s, 9, n), added(start, 9, one)),
            (lambda g, s=start, n=two: enrol(g, s + 9, 7, n), added(start + 9, 7, two)),
            (lambda g, a=one, b=two: g.merge(a, b), called(two, one)),
            (lambda g: g.undo(), lambda old, s=start, b=two: old | {r: (b, old[r][1]) for r in range(s + 9, s + 16)}),
            (lambda g, b=two: g.rename(b, f"{b}!"), called(two, f"{two}!")),
            (lambda g, a=one: g.forget(identity=a), lambda old, a=one: {k: v for k, v in old.items() if v[0] != a}),
        ]
    return found


def states(repeats: int) -> list[Content]:
    found: list[Content] = [{}]
    for _, change in script(repeats):
        found.append(change(found[-1]))
    return found


def content(folder: Path) -> Content:
    gallery = Gallery.open(folder)
    entries, vectors = gallery.entries(), gallery.vectors()
    names = zip(entries["id"], entries["identity"], vectors, strict=True)
    return {int(key): (name, vector.tobytes()) for key, name, vector in names}


def forked(work: Callable[[], None]) -> int:
    """Run `work` in a process of its own, and return its id."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return child


def run_script(folder: Path, repeats: int, confirm: Callable[[], object]) -> None:
    gallery = Gallery.open(folder)
    for change, _ in script(repeats):
        change(gallery)
        confirm()


def check_after_kill(folder: Path, confirmed: int, expected: list[Content]) -> None:
    """What was confirmed is there, what was not is there whole or not at all; and the next writer goes on."""
    assert content(folder) in expected[confirmed : confirmed + 2]
    gallery = Gallery.open(folder)
    before = len(gallery)
    enrol(gallery, 390, 1, "next")
    named = {each["name"] for each in json.loads((folder / "gallery.json").read_text())["segments"]}
    assert {file.name.partition(".")[0] for file in (folder / "segments").iterdir()} == named, "leftovers are removed"
    assert len(Gallery.open(folder)) == before + 1


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path) -> None:
    """Nothing that was confirmed is lost; eight writers, killed by signal 9 while they write."""
    expected, sampler, unfinished = states(10), random.Random(0), 0
    for number in range(8):
        folder = tmp_path / f"g{number}"
        Gallery.create(folder, model=MODEL, width=WIDTH)
        reading, writing = os.pipe()
        child = forked(lambda folder=folder, w=writing: run_script(folder, 10, lambda: os.write(w, b".")))
        os.close(writing)
        os.read(reading, 1)
        time.sleep(sampler.uniform(0, 0.04))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        confirmed = 1 + len(os.read(reading, 1000))
        os.close(reading)
        unfinished += os.WIFSIGNALED(status)
        check_after_kill(folder, confirmed, expected)
    assert unfinished >= 6, "most of them were in the midst of it"


def dying_after(steps: int, patch: pytest.MonkeyPatch) -> None:
    """Let this process kill itself before one of its steps to the disk: synchronisation, replacement, removal."""
    left = [steps]

    def step(file: Any) -> None:
        if not isinstance(file, Path) or file.name.startswith("gallery.json") or file.parent.name == "segments":
            left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    replace, unlink = Path.replace, Path.unlink
    patch.setattr(os, "fsync", step)  # which needs no disk: a killed process, unlike a power cut, leaves its writes
    patch.setattr(Path, "replace", lambda file, target: (step(file), replace(file, target)))
    patch.setattr(Path, "unlink", lambda file, **named: (step(file), unlink(file, **named)))


@pytest.mark.slow
def test_killed_before_every_step_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The moments that a random kill may miss, one by one, of each change."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    expected, whole, kills = states(1), tmp_path / "whole", 0
    gallery = Gallery.create(whole, model=MODEL, width=WIDTH)
    for number, (change, _) in enumerate(script(1)):
        # Undoing and renaming write what merging does.
        for steps in range(100 if number in (0, 1, 2, 5) else 0):
            folder = tmp_path / f"{number}_{steps}"
            shutil.copytree(whole, folder)

            def work(folder: Path = folder, change: Any = change, steps: int = steps) -> None:
                opened = Gallery.open(folder)
                dying_after(steps, monkeypatch)
                change(opened)

            _, status = os.waitpid(forked(work), 0)
            if not os.WIFSIGNALED(status):
                assert os.WEXITSTATUS(status) == 0
                assert content(folder) == expected[number + 1]
                break
            kills += 1
            assert content(folder) in expected[number : number + 2]
            if steps % 4 == 0:
                check_after_kill(folder, number, expected)
        change(gallery)
    assert kills > 20


def test_two_writers_do_not_mix(tmp_path: Path) -> None:
    folder = tmp_path / "g"
    Gallery.create(folder, model=MODEL, width=WIDTH)

    def work(first: int) -> None:
        gallery = Gallery.open(folder)
        for number in range(10):
            enrol(gallery, first + 2 * number, 2, f"p{first}")

    children = [forked(lambda first=first: work(first)) for first in (0, 100)]
    reader_saw = set()
    while children:
        reader_saw.add(len(Gallery.open(folder)))  # and never fails
        time.sleep(0.01)
        pid, status = os.waitpid(children[0], os.WNOHANG)
        assert status == 0
        children = children[1:] if pid else children
    found = Gallery.open(folder)
    entries = found.entries()
    assert sorted(entries["id"]) == list(range(40))
    rows_of = entries["path"].str.removesuffix(".jpg").astype(int)
    np.testing.assert_array_equal(found.vectors(), VECTORS[rows_of])
    assert sorted(rows_of) == [*range(20), *range(100, 120)]
    assert (entries["identity"] == np.where(rows_of < 100, "p0", "p100")).all()
    assert {each % 2 for each in reader_saw} == {0}


def test_a_writer_that_waits_in_vain_names_the_other(tmp_path: Path) -> None:
    folder = tmp_path / "zoo"
    gallery = filled(folder, VECTORS[:2], rows(["Anna", "Bert"]))
    other = Gallery.open(folder)
    other.patience = 0.0
    with (
        gallery._changing(),
        pytest.raises(UserError, match=rf"Gallery zoo: process {os.getpid()} on .* has been writ"),
    ):
        other.rename("Anna", "Cleo")
    other.rename("Anna", "Cleo")


def test_a_reader_goes_on_with_what_it_opened(tmp_path: Path) -> None:
    """While a writer replaces all segments and removes their files; `refresh` sees the new state."""
    folder = tmp_path / "g"
    writer = filled(folder, VECTORS[:30], rows([f"p{row % 3}" for row in range(30)]))
    reader = Gallery.open(folder)
    old_files = {file.name for file in (folder / "segments").iterdir()}
    writer.forget(identity="p1")
    writer.rename("p0", "Anna")
    enrol(writer, 40, 9, "new")
    assert not old_files & {file.name for file in (folder / "segments").iterdir()}
    assert reader.search(VECTORS[:30], 1).ids[:, 0].tolist() == list(range(30))
    assert reader.entries()["identity"].tolist() == [f"p{row % 3}" for row in range(30)]
    reader.refresh()
    assert len(reader) == 29
    assert reader.identities()["identity"].tolist() == ["Anna", "new", "p2"]
