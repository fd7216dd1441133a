"""Label-free training over neighbours, cuts, kinds of clustering and seeds: where does it collapse, and is it seen?

    .venv/bin/python bench/collapse.py --out FOLDER [--processes 2] [--embeddings] [--table] [--test]

Cells are k1 15, 30 x eps 0.4, 0.5, 0.6, 0.7, auto x every kind of clustering x 3 seeds, on drawn people and drawn
vehicles, of `unsupervised_pcl` by the demo's plan (conf/synthetic*), shortened: collapse_cell.py says to what.

A quarter of the training identities is the dev split: they are not trained on, and whatever is decided is decided on
them. Before training and after every epoch the images of all splits are embedded once. Their mAP and Rank-1, and what
the clusters of that very model look like without labels, are the figures of the epoch. zero_shot is the figure
before training: necks that are not trained change no angle. The test split is scored in the same runs, and printed
by `--test` alone, to be read once.

Each finished cell is a JSON file. A cell whose file was made by the same parameters, images, weights and code is not
run again, so that a run goes on after it was killed. Processes have one thread each: a cell gives the same bits alone
and beside others. `dbscan` splits no large cluster, as released; other kinds split them as conf says.
"""

import argparse
import ast
import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import collapse_tables
import numpy as np
from collapse_cell import METHOD, PEOPLE_OR_VEHICLES, PLAN, ROOT, Cell, Images, Shared, drawn, parameters_of, trained

# Whose change makes cells anew: what trains, clusters and measures.
CODE = ("clustering", "engine/loop.py", "geometry", "losses", "methods/_prototypes.py", "methods/unsupervised_pcl.py")


def code_digest() -> str:
    """Return a SHA-256 of what CODE names and of collapse_cell.py, without comments and layout."""
    places = [ROOT / "src" / "reid_pipeline" / each for each in CODE]
    files = [file for place in places for file in (sorted(place.rglob("*.py")) if place.is_dir() else [place])]
    files.append(ROOT / "bench" / "collapse_cell.py")
    trees = [(str(file.relative_to(ROOT)), ast.dump(ast.parse(file.read_text("utf-8")))) for file in files]
    return hashlib.sha256(json.dumps(trees).encode()).hexdigest()


def made_by(cell: Cell, parameters: Any, sources: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides the figures of a cell, code apart, as JSON has it."""
    made: dict[str, Any] = {"seed": cell.seed, "parameters": parameters.model_dump(mode="json"), **sources}
    read: dict[str, Any] = json.loads(json.dumps(made))
    return read


def sources_of(images: Images, parameters: Any) -> dict[str, Any]:
    """Return digests of the images, and of the weights that training starts from."""
    from reid_pipeline.engine.starting import Start
    from reid_pipeline.methods import find_method
    from reid_pipeline.schema.population import Population
    from reid_pipeline.splits import data_hash

    weights = Start(find_method(METHOD), parameters, Population(0)).weights
    return {"data": data_hash(images.split_table), "weights": weights}


def grid(given: argparse.Namespace) -> list[Cell]:
    """Return the cells, the first seed of all before the second."""
    return [
        Cell(benchmark, kind, k1, eps, seed)
        for seed in given.seeds
        for eps in given.eps
        for k1 in given.k1
        for kind in given.kinds
        for benchmark in given.benchmarks
    ]


def finished(
    cell: Cell, out: Path, made: Mapping[str, Any], code: str | None, embeddings: bool
) -> dict[str, Any] | None:
    """Return a finished cell as its file has it; None where it is missing, or was made by anything else."""
    file = out / cell.file
    if not file.exists() or (embeddings and not file.with_suffix(".npz").exists()):
        return None
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found if found["made"] == made and code in (None, found["code"]) else None


_IMAGES: dict[str, Images] = {}  # of a process, by benchmark


def begin_process(images: Sequence[Images]) -> None:
    """Prepare a process that trains cells."""
    import torch
    from rich import get_console

    torch.set_num_threads(1)
    get_console().quiet = True
    logging.disable(logging.WARNING)
    _IMAGES.update({each.benchmark: each for each in images})


@cache
def shared_of(benchmark: str) -> Shared:
    """Return what the cells of this process share."""
    return Shared(_IMAGES[benchmark])


def run_cell(cell: Cell, made: Mapping[str, Any], code: str, given: argparse.Namespace) -> None:
    """Train a cell and write its file, or both of its files."""
    from reid_pipeline.io.replacing import replacing

    started, parameters = time.perf_counter(), parameters_of(cell, given.plan)
    shared = shared_of(cell.benchmark)
    found, vectors = trained(cell, shared, parameters)
    file = given.out / cell.file
    if given.embeddings:
        stored: dict[str, Any] = {name: each.astype(np.float16) for name, each in vectors.items()}
        with replacing(file.with_suffix(".npz")) as path, path.open("wb") as stream:
            np.savez(stream, **(stored | shared.identities))
    record = {"cell": asdict(cell), "made": made, "code": code, "seconds": time.perf_counter() - started, **found}
    with replacing(file) as path:
        path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def run_missing(todo: Mapping[Cell, Mapping[str, Any]], images: Sequence[Images], given: argparse.Namespace) -> None:
    """Run cells in processes of one thread each, with a line for each that says what time is left."""
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # of the processes, before they load torch
    code, started = code_digest(), time.perf_counter()
    context = get_context("spawn")
    with ProcessPoolExecutor(given.processes, context, begin_process, (images,)) as pool:
        jobs = {pool.submit(run_cell, cell, made, code, given): cell for cell, made in todo.items()}
        try:
            for done, job in enumerate(as_completed(jobs), start=1):
                job.result()
                passed = time.perf_counter() - started
                left = passed / done * (len(jobs) - done)
                print(
                    f"{done} of {len(jobs)}: {jobs[job].file}; {passed / 60:.1f} min, {left / 60:.1f} left", flush=True
                )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def arguments(words: Sequence[str]) -> argparse.Namespace:
    from reid_pipeline.clustering.kinds import kind_names

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of drawings and results")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--benchmarks", nargs="+", default=list(PEOPLE_OR_VEHICLES), choices=list(PEOPLE_OR_VEHICLES))
    parser.add_argument("--kinds", nargs="+", default=kind_names(), choices=kind_names())
    parser.add_argument("--k1", nargs="+", type=int, default=[15, 30])
    parser.add_argument("--eps", nargs="+", type=_eps, default=[0.4, 0.5, 0.6, 0.7, "auto"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--plan", type=json.loads, default={}, help=f"JSON, laid over {json.dumps(PLAN)}")
    parser.add_argument("--embeddings", action="store_true", help="store all embeddings, for other measures")
    parser.add_argument("--any-code", action="store_true", help="take finished cells of other code, too")
    parser.add_argument("--table", action="store_true", help="run nothing: print what is finished")
    parser.add_argument("--test", action="store_true", help="print the test split, too: read it once")
    return parser.parse_args(words)


def _eps(word: str) -> float | str:
    return word if word == "auto" else float(word)


def main(words: Sequence[str]) -> None:
    given = arguments(words)
    images = {name: drawn(name, given.out / "drawings") for name in given.benchmarks}
    cells = {cell: parameters_of(cell, given.plan) for cell in grid(given)}
    of_benchmark = {cell.benchmark: parameters for cell, parameters in cells.items()}  # any cell has its weights
    sources = {name: sources_of(each, of_benchmark[name]) for name, each in images.items()}
    made = {cell: made_by(cell, parameters, sources[cell.benchmark]) for cell, parameters in cells.items()}
    code = None if given.any_code else code_digest()

    def found(cell: Cell) -> dict[str, Any] | None:
        return finished(cell, given.out, made[cell], code, given.embeddings and not given.table)

    todo = {cell: each for cell, each in made.items() if found(cell) is None}
    print(f"{len(made)} cells, {len(made) - len(todo)} of them finished before", flush=True)
    if todo and not given.table:
        run_missing(todo, list(images.values()), given)
    runs = sorted(
        (run for cell in made if (run := found(cell)) is not None), key=lambda run: list(map(str, run["cell"].values()))
    )
    for split in ("dev", "test") if given.test else ("dev",):
        print(f"\n# {split}" + (": read once, nothing is decided by it" if split == "test" else ""))
        print(*(collapse_tables.report(runs, split) if runs else ["No cell is finished."]), sep="\n\n")


if __name__ == "__main__":
    main(sys.argv[1:])
