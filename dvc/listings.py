"""Write data/00_code/<step>.txt: the files of the two packages that a step needs, and their hashes.

    python dvc/listings.py

A DVC stage of its own, `code`. The other DVC stages depend on what it writes: an edit anywhere in the package
costs a second here, and makes stale the steps that import what was edited, and no others. The format is that
of `sha256sum`, whose `--check` compares a checkout with it.
"""

import hashlib

from imports import DRAWINGS, PACKAGE, ROOT, SOURCE, needed_files

FOLDER = "data/00_code"
DRAWN = "synthetic"
"""How the benchmarks that are drawn begin."""


def steps() -> dict[str, tuple[list[str], list[str]]]:
    """Return for every step the modules that it starts from, and those that it does without."""
    found = {}
    pages = ("atomic", "page", "records")
    for name in _modules_of("readers"):
        roots = ["pipelines.ingestion", f"readers.{name}", *_io(*pages, "labels", "raw")]
        found[f"ingestion_{name}"] = (roots, [] if name.startswith(DRAWN) else [DRAWINGS])
    for name in _modules_of("methods"):
        datasets = _io(*pages, "environment", "image_cache", "initial", "raw", "weights")
        # The images are a dependency themselves: a cell finds them drawn.
        found[name] = (["pipelines.method", f"methods.{name}", "workers.worker", *datasets], [DRAWINGS])
    found["report"] = (["pipelines.report", *_io(*pages, "results")], [])
    found["leaderboard"] = (["pipelines.leaderboard", *_io(*pages, "all_cells")], [])
    return found


def listing(step: str) -> str:
    """Return what is written of a step: a line "<sha256>  <path>" for each file, in the order of paths."""
    roots, without = steps()[step]
    files = {file.relative_to(ROOT).as_posix(): file for file in needed_files(*roots, without=without)}
    return "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {path}\n" for path, file in files.items())


def _modules_of(room: str) -> list[str]:
    return sorted(entry.stem for entry in (SOURCE / PACKAGE / room).iterdir() if entry.stem[0] not in "_.")


def _io(*names: str) -> list[str]:
    return [f"io.{name}" for name in names]


def main() -> None:
    """Write the listings of all steps."""
    (ROOT / FOLDER).mkdir(parents=True, exist_ok=True)
    for step in steps():
        file = ROOT / FOLDER / f"{step}.txt"
        unfinished = file.with_name(f".{file.name}")
        unfinished.write_text(listing(step), encoding="utf-8")
        unfinished.replace(file)


if __name__ == "__main__":
    main()
