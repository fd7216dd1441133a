"""What a card makes of this project: one table, in under ten minutes; on a CPU the same at a tiny size.

    .venv/bin/python bench/gpu.py [--minutes 9] [--device auto] [--compiler inductor]

On a CUDA card: ViT-B/16 at 256 x 128 in bfloat16, Market-1501's counts (12,936 images of 128 x 64, drawn JPEGs).
Elsewhere a tiny tower on tiny images shows that all parts run; its figures say nothing.

- `images/s` of a training step counts the images of its batch. `TFLOP/s` is what that computes: operations are counted
  from the architecture (`gpu_steps.forward_flops`), a backward pass as two forward passes. ViT-B/16 at 256 x 128 takes
  68.0 GFLOP an image so; ours leaves out what is not read of the last block, 63.4. The plain style computes all.
- `of matmul` is the share of the best rate of a plain bfloat16 matrix product in the same run.
- `outside` is the share of a step that is not the forward and backward pass with the losses, timed alone.
- `waits` is how often one step made the host wait for the card, which copies from pageable memory do as well.
- `compiled`: torch.compile on each transformer block; `fused`: the optimiser in one kernel, as the engine has it on a
  card, and without it the losses are read at every step, since no other optimiser can be guarded on the card;
  `deterministic`: as compute.deterministic, which is the project's default and off in the other rows.
- `plain style` is the same step as released code is written (`gpu_plain`).
- Parts run in the order of what they are worth; those for which no time is left are named at the end. The times that
  decide so are guesses, until a card was clocked.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from gpu_plain import NAME, plain_rows
from gpu_rest import extraction_rows, loader_row, long_run_rows, matmul_rows, search_rows
from gpu_sizes import FULL, TINY, Bench, Budget, Row, table
from gpu_steps import BEST, PLAIN, Switches, attention_rows, guarded, step_rows, training_flops, with_loader

from reid_pipeline.engine.runtime import resolve_runtime
from reid_pipeline.methods import find_method, method_names
from reid_pipeline.schema.parameters import ComputeParameters

MAIN = "unsupervised_pcl"
STEP = MAIN + ", cluster_contrast, {}"
SINGLE = (Switches(fused=True), Switches(compiled=True), Switches(deterministic=True))
SECONDS = {"clip_reid": 60, "svll_reid": 80}  # guesses for a method's rows; the others: 35


@dataclass(frozen=True)
class Part:
    """A part of the program: its name, about how many seconds it takes on a card, and what yields its rows."""

    name: str
    seconds: float
    rows: Callable[[], Iterator[Row]]


def parts(bench: Bench, others: list[str]) -> Iterator[Part]:
    """Yield all parts, the most telling first; `others` are the methods that are measured beside the main one."""
    batch, *smaller = bench.sizes.step_batches
    on_card = bench.device.type == "cuda"
    single = [each for each in SINGLE if on_card or not each.compiled]  # compiled once is enough to see that it runs
    yield Part("matrix products", 5, partial(matmul_rows, bench))
    yield Part(f"{MAIN}, {batch}", 60, partial(step_rows, bench, MAIN, batch, (PLAIN, BEST, *single)))
    yield Part("plain style", 30, partial(guarded_rows, bench, "plain style", partial(plain_rows, bench)))
    yield Part("whole step, cache", 30, partial(loaded_rows, bench, "cache"))
    yield Part("long run", 90, partial(guarded_rows, bench, "long run", partial(long_run_rows, bench, best(bench))))
    yield Part("loader alone", 25, partial(loaders, bench))
    yield Part("extraction", 20, partial(guarded_rows, bench, "extraction", partial(extraction_rows, bench)))
    yield Part("search", 30, partial(guarded_rows, bench, "search", partial(search_rows, bench)))
    for size in (batch, *smaller):
        for name in others if size == batch else [MAIN, *others]:
            yield Part(f"{name}, {size}", SECONDS.get(name, 35), partial(step_rows, bench, name, size, (PLAIN, BEST)))
    yield Part("attention", 15, partial(attention_rows, bench))
    yield Part("whole step, JPEG", 30, partial(loaded_rows, bench, "jpeg"))
    for name in others:
        yield Part(f"{name}, {batch}, single", SECONDS.get(name, 35), partial(step_rows, bench, name, batch, single))


def best(bench: Bench) -> Switches:
    """Return all that makes a step faster; without compiling on a CPU, and where the blocks could not be compiled."""
    compiled = any(name.startswith(MAIN) and name.endswith(str(BEST)) for name in bench.rates)
    return BEST if compiled and bench.device.type == "cuda" else Switches(fused=True)


def guarded_rows(bench: Bench, name: str, rows: Callable[[], Iterator[Row]]) -> Iterator[Row]:
    """Yield the rows; where one fails, a row that says why, and no further one."""
    made = rows()
    while True:
        row = guarded(bench, name, lambda: next(made, Row("")))
        if not row.name:
            return
        yield row
        if row.note.startswith("not measured"):
            return


def loaders(bench: Bench) -> Iterator[Row]:
    """Yield the loader alone."""
    for source in ("cache", "jpeg"):
        yield guarded(bench, f"loader alone, {source}", partial(loader_row, bench, source))


def loaded_rows(bench: Bench, source: str) -> Iterator[Row]:
    """Yield whole steps with the loader."""
    switches = best(bench)
    yield guarded(bench, f"{MAIN} with loader, {source}", partial(with_loader, bench, MAIN, source, switches))


def measure(bench: Bench, budget: Budget, others: list[str]) -> list[Row]:
    """Run what the time allows, print each row at once, and return all."""
    rows: list[Row] = []
    for part in parts(bench, others):
        if not budget.allows(part.name, part.seconds if bench.device.type == "cuda" else 0.0):
            continue
        for row in part.rows():
            rows.append(row)
            print(table([row], bench.matmul).splitlines()[1], flush=True)
            if budget.left <= 0:
                budget.left_out.append(f"{part.name}: what followed {row.name!r}, the time was over")
                break
    return rows


def comparisons(bench: Bench, rows: list[Row]) -> Iterator[str]:
    """Yield what the rows say of the aims, and of the plain style."""
    batch = bench.sizes.step_batches[0]
    ready = bench.rates.get(f"{NAME}, {batch}")
    loaded = bench.rates.get(f"{NAME} with loader, {bench.sizes.workers} workers, {batch}")
    for name, rate in bench.rates.items():
        plain = loaded if name.startswith(f"{MAIN} with") else ready if name.startswith(STEP.format(batch)) else None
        if plain is not None:
            yield f"{rate / plain:5.2f} x the plain style: {name}"
    for row in rows:
        if f"{MAIN} with loader" in row.name and row.flops and bench.matmul and row.outside is not None:
            share = row.flops / bench.matmul
            yield f"aim: 40 % of matmul with the loader; {share:.0%} in {row.name}"
            yield f"aim: under 10 % outside; {row.outside:.0%} in {row.name}"
        if "EXTRAPOLATED" in row.note:
            yield f"aim: Market-1501 without labels in 20 minutes on an H100; {row.note}"


def make_bench(given: argparse.Namespace, folder: Path) -> Bench:
    """Return the machine with the sizes that suit it."""
    runtime = resolve_runtime(ComputeParameters(device=given.device, precision="bfloat16", deterministic=False))
    return Bench(FULL if runtime.device.type == "cuda" else TINY, runtime, folder, given.compiler)


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print the table, what it says, and what was left out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:<index>")
    parser.add_argument("--compiler", default="inductor", help="backend of torch.compile; eager compiles nothing")
    others = [name for name in method_names() if find_method(name).stage_names and name != MAIN]
    parser.add_argument("--others", nargs="*", default=others, choices=others, help=f"methods beside {MAIN}")
    given = parser.parse_args(arguments)
    budget = Budget(60 * given.minutes)
    with tempfile.TemporaryDirectory(prefix="gpu-") as folder:
        bench = make_bench(given, Path(folder))
        on_card = bench.device.type == "cuda"
        where = torch.cuda.get_device_name(bench.device) if on_card else "CPU, tiny: no figure here is one"
        print(f"{where}, {os.cpu_count()} cores, torch {torch.__version__}, {bench.sizes.backbone}", flush=True)
        model, _ = bench.built(MAIN, batch=bench.sizes.step_batches[0], steps=1)
        whole, ours = (training_flops(model.encoder, whole=each) / 1e9 for each in (True, False))
        del model
        print(f"a training image takes {whole:.1f} GFLOP by the architecture, {ours:.1f} as computed here", flush=True)
        rows = measure(bench, budget, given.others)
    print(f"\n{table(rows, bench.matmul)}\n")
    print("\n".join(comparisons(bench, rows)))
    for line in budget.left_out:
        print(f"left out, {line}")
    print(f"took {(budget.seconds - budget.left) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
