"""Speed, memory and growth of ingestion, beside the plain loops of public re-identification code.

    .venv/bin/python bench/ingestion.py [--quick] [--files N] [--repeats N] [--cores N]

Part one lists, reads and normalises trees in MSMT17's shape: its folders, names and lists at a quarter, half
and all of its 126,441 images. The images are files of zero bytes, since nothing here opens one. The plain
loop splits the lines of the four lists and relabels the people; it looks at no file, and draws up no table.

Part two checks drawn JPEGs, all different, against the plain loop of one process that opens and converts
each. All files were written just before and lie in the memory of the operating system. Ours counts the start
of its processes. The plain loop in as many processes as there are cores, each with its share of the files,
tells what the machine can give while this runs.

Both sides run in turn; times are medians. The process keeps to `--cores` cores where the system allows it.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measures import resident
from PIL import Image

from reid_pipeline.images.check import check_images
from reid_pipeline.io.raw import RawFolderDataset
from reid_pipeline.readers import reader
from reid_pipeline.schema.parameters import IngestionParameters, SplitParameters
from reid_pipeline.splits import normalise_splits

# MSMT17 as published: images of each list, and the people of its folder.
LISTS = {
    "train": ("train", 30_248, 1_041),
    "val": ("train", 2_373, 1_041),
    "query": ("test", 11_659, 3_060),
    "gallery": ("test", 82_161, 3_060),
}
CAMERAS = 15
PLAIN_IN_CHILD = (
    "import sys; from PIL import Image\n"
    "names = sys.stdin.readline().rstrip('\\n').split('\\t'); print(flush=True); sys.stdin.readline()\n"
    "for name in names: Image.open(name).convert('RGB')"
)


@dataclass(frozen=True)
class Row:
    """A line of the table: what ran on how many files, its median time, and what it is compared with."""

    name: str
    files: int
    seconds: float
    plain: float | None = None
    peak: float | None = None  # MiB


def list_lines(name: str, share: float) -> Iterator[str]:
    """Yield the lines of one list at `share` of MSMT17's size; every person is seen by several cameras."""
    _, images, people = LISTS[name]
    people = max(2, round(people * share))
    first = 0 if name in {"train", "gallery"} else 500
    for index in range(round(images * share)):
        turn, person = divmod(index, people)
        camera = turn % CAMERAS + 1
        file = f"{person:04d}_{first + turn:03d}_{camera:02d}_0303morning_{index % 10_000:04d}_0.jpg"
        yield f"{person:04d}/{file} {person}\n"


def write_tree(root: Path, share: float) -> int:
    """Write a tree in MSMT17's shape and return how many images it has."""
    count = 0
    for name, (folder, _, _) in LISTS.items():
        lines = list(list_lines(name, share))
        count += len(lines)
        for person in sorted({line[:4] for line in lines}):
            (root / folder / person).mkdir(parents=True, exist_ok=True)
        for line in lines:
            (root / folder / line.split(" ")[0]).touch()
        (root / f"list_{name}.txt").write_text("".join(lines))
    return count


def plain_lists(root: Path) -> dict[str, list[tuple[str, int, int, int]]]:
    """Do what public code does: a line, a tuple; and a dictionary of labels for the training people."""
    data: dict[str, list[tuple[str, int, int, int]]] = {}
    for name, (folder, _, _) in LISTS.items():
        with open(os.path.join(root, f"list_{name}.txt")) as file:  # noqa: PTH118, PTH123 - as it is done there
            lines = file.readlines()
        data[name] = []
        for line in lines:
            path, person = line.split(" ")
            camera = int(path.split("_")[2]) - 1
            data[name].append((os.path.join(root, folder, path), int(person), camera, 0))  # noqa: PTH118
    train = data["train"] + data.pop("val")
    labels = {person: label for label, person in enumerate({row[1] for row in train})}
    data["train"] = [(path, labels[person], camera, view) for path, person, camera, view in train]
    return data


def facts_without_decoding(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return image facts in which all is well: what is measured here starts after the decoding."""
    hashes = [f"{row:064x}" for row in range(len(manifest))]
    facts = pd.DataFrame({"path": manifest["path"], "sha256": pd.Series(hashes, dtype="str")})
    return facts.assign(bytes=3000, width=64, height=128, mode="RGB", fault="")


def ingest_tree(root: Path, facts: pd.DataFrame | None = None) -> tuple[dict[str, float], pd.DataFrame]:
    """List, read and normalise; return the seconds that each took, and the facts for the next time."""
    began = time.perf_counter()
    raw = RawFolderDataset(filepath=str(root)).load()
    listed = time.perf_counter()
    manifest = reader("msmt17").read(raw, IngestionParameters(reader="msmt17")).manifest
    read = time.perf_counter()
    if facts is None:
        facts = facts_without_decoding(manifest)
    ready = time.perf_counter()
    tables = normalise_splits(manifest, facts, SplitParameters(dev_fraction=0.1))
    done = time.perf_counter()
    assert len(tables.split_table) == len(manifest)
    seconds = {"list": listed - began, "read": read - listed, "normalise": done - ready}
    return {**seconds, "all": sum(seconds.values())}, facts


def measure_tree(root: Path, repeats: int) -> list[Row]:
    """Return the rows of one tree: ours by step, with the peak of Python's memory, and the plain loop."""
    seconds: dict[str, list[float]] = {}
    _, facts = ingest_tree(root)
    for _ in range(repeats):
        for name, value in ingest_tree(root, facts)[0].items():
            seconds.setdefault(name, []).append(value)
        began = time.perf_counter()
        plain_lists(root)
        seconds.setdefault("plain loop", []).append(time.perf_counter() - began)
    peaks = {"all": peak_of(lambda: ingest_tree(root, facts)), "plain loop": peak_of(lambda: plain_lists(root))}
    plain = statistics.median(seconds["plain loop"])
    return [
        Row(name, len(facts), statistics.median(values), plain if name == "all" else None, peaks.get(name))
        for name, values in seconds.items()
    ]


def peak_of(work: Callable[[], Any]) -> float:
    """Return the most that Python held at a time, in MiB; measured apart, for it doubles the time."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def write_jpegs(root: Path, count: int, height: int, width: int) -> list[str]:
    """Draw soft colour patches with grain, all different, and return their names; 2.8 KB at 128 x 64."""
    generator = np.random.default_rng(0)
    names = [f"{number:06d}.jpg" for number in range(count)]
    for name in names:
        patches = generator.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
        soft = np.asarray(Image.fromarray(patches).resize((width, height), Image.Resampling.BICUBIC))
        grain = generator.integers(-8, 9, (height, width, 1))
        Image.fromarray((soft + grain).clip(0, 255).astype(np.uint8)).save(root / name, quality=80)
    return names


def plain_decoding(root: Path, names: list[str], processes: int) -> float:
    """Open and convert every file, as public code does; return the seconds without the processes' start.

    One process is a new one each time as well: how fast a process decodes depends, by a fifth or more, on
    where its memory happens to lie.
    """
    command = [sys.executable, "-c", PLAIN_IN_CHILD]
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    for index, child in enumerate(children):
        paths = "\t".join(os.path.join(root, name) for name in names[index::processes])  # noqa: PTH118
        child.stdin.write(f"{paths}\n")  # type: ignore[union-attr]
        child.stdin.flush()  # type: ignore[union-attr]
        child.stdout.readline()  # type: ignore[union-attr]
    began = time.perf_counter()
    for child in children:
        child.stdin.write("go\n")  # type: ignore[union-attr]
        child.stdin.flush()  # type: ignore[union-attr]
    for child in children:
        child.communicate()
    return time.perf_counter() - began


def measure_decoding(root: Path, names: list[str], cores: int, repeats: int) -> list[Row]:
    """Return the rows of one set of files: the plain loop, the same on all cores, ours, ours again."""
    one, everywhere = "plain loop, 1 process", f"plain loop, {cores} processes"
    first, again = f"check, {cores} cores", "check again, all known"
    seconds: dict[str, list[float]] = {name: [] for name in (one, everywhere, first, again)}
    for _ in range(repeats):
        seconds[one].append(plain_decoding(root, names, 1))
        seconds[everywhere].append(plain_decoding(root, names, cores))
        began = time.perf_counter()
        facts = check_images(root, names, threads=cores)
        seconds[first].append(time.perf_counter() - began)
        assert (facts["fault"] == "").all()
        began = time.perf_counter()
        check_images(root, names, known=facts, threads=cores)
        seconds[again].append(time.perf_counter() - began)
    plain = statistics.median(seconds[one])
    return [Row(name, len(names), statistics.median(values), plain) for name, values in seconds.items()]


def table(rows: list[Row]) -> str:
    """Return the rows as text; `x plain` is how many times faster than the plain loop."""
    cells = [("", "files", "seconds", "us/file", "x plain", "peak MiB")]
    for row in rows:
        ratio = "" if row.plain is None else f"{row.plain / row.seconds:.2f}"
        peak = "" if row.peak is None else f"{row.peak:.0f}"
        each = f"{row.seconds / row.files * 1e6:.1f}"
        cells.append((row.name, f"{row.files:,}", f"{row.seconds:.3f}", each, ratio, peak))
    return "\n".join(f"{name:<28} {files:>8} {s:>8} {e:>8} {r:>8} {p:>9}" for name, files, s, e, r, p in cells)


def growth(rows: list[Row]) -> str:
    """Say how the time of a file changes from the smallest tree to the largest; 1.00 is linear growth."""
    whole = [row for row in rows if row.name == "all"]
    small, large = whole[0], whole[-1]
    ratio = (large.seconds / large.files) / (small.seconds / small.files)
    return f"time of a file at {large.files:,} files, to that at {small.files:,}: {ratio:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=20_000, help="JPEGs of 128 x 64; a quarter of 256 x 256")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a fiftieth of it, once: does it run?")
    given = parser.parse_args()
    shares, files, repeats = (0.25, 0.5, 1.0), given.files, given.repeats
    if given.quick:
        shares, files, repeats = (0.005, 0.01, 0.02), min(given.files, 1_200), 1
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: given.cores])
    with tempfile.TemporaryDirectory(prefix="ingestion-") as folder:
        rows = []
        for share in shares:
            root = Path(folder) / f"tree_{share}"
            write_tree(root, share)
            rows += measure_tree(root, repeats)
        print(f"MSMT17's shape\n{table(rows)}\n{growth(rows)}")
        print(f"largest resident memory of this process: {resident():.0f} MiB\n", flush=True)
        for height, width, count in ((128, 64, files), (256, 256, files // 4)):
            pictures = Path(folder) / f"{height}x{width}"
            pictures.mkdir()
            names = write_jpegs(pictures, count, height, width)
            size = sum((pictures / name).stat().st_size for name in names) / count
            print(f"JPEGs of {height} x {width}, {size / 1000:.1f} KB each")
            print(table(measure_decoding(pictures, names, given.cores, repeats)), flush=True)
        if hasattr(os, "getloadavg"):
            print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
