"""Training steps of the demo on a quiet machine and beside busy loops, for several ways in which threads wait.

    .venv/bin/python bench/shared_machine.py [--waiting ours untouched 100000 passive] [--loops 4] [--rounds N]

OpenMP's threads meet at a barrier several times in every layer, and those that come early spin there. On a machine
that others use, too, a spinning thread takes the core from the one that it waits for. The ways to wait:

- `ours`: what the package sets, `GOMP_SPINCOUNT=10000`, unless the user has set something;
- `untouched`: torch as it comes;
- a number: that `GOMP_SPINCOUNT`;
- `passive`, `active`: that `OMP_WAIT_POLICY`.

The step is that of `unsupervised_pcl` on the small CLIP, as in the demo: 128 images of 96 x 48, augmented, forward,
loss, backward, update. Each way has a process of its own, since the libraries read the environment when they are
loaded; they take turns, and those whose turn it is not are asleep. Times are medians of a step's mean over an epoch.

The fair share of a run: T threads beside L busy loops on C cores get T C / (T + L) cores where these are scarce, so
that a step takes (T + L) / C times as long as alone: 3 times with two threads beside four loops on two cores. Printed
is the time beside the loops over that, of the same way to wait. It can fall below 1: a waiting thread that sleeps
comes to the next turn with credit.
"""

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
QUIET_LIMIT, SHARED_LIMIT = 1.05, 1.5  # `ours` over `untouched`, and over the fair share


@dataclass(frozen=True)
class Measured:
    """Seconds of a step of one way to wait: alone and beside the loops, one value a round."""

    alone: list[float]
    beside: list[float]


def environment(waiting: str) -> dict[str, str]:
    """Return the environment of a process that waits so; `ours` and `untouched` set nothing."""
    inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    if waiting in ("ours", "untouched"):
        return inherited
    if waiting.isdigit():
        return {**inherited, "GOMP_SPINCOUNT": waiting}
    return {**inherited, "OMP_WAIT_POLICY": waiting.upper()}


def slowdown(threads: int, loops: int, cores: int) -> float:
    """Return how many times as long a step takes where everybody gets the same share."""
    return max(1.0, (threads + loops) / cores)


def epochs(root: Path, *, steps: int, batch: int) -> Iterator[float]:
    """Train the demo's stage; yield the seconds of a step after every epoch of `steps`."""
    import numpy as np
    import torch
    from training import Setting, built, write_images

    from reid_pipeline.engine.loop import fit
    from reid_pipeline.engine.runtime import Runtime
    from reid_pipeline.engine.stage import TrainingData
    from reid_pipeline.images.reid_images import ReIDImages

    runtime = Runtime(torch.device("cpu"), threads=torch.get_num_threads())
    backbone = {"name": "demo-vit", "pretrained": None, "image_size": (96, 48)}
    model, (stage,) = built("unsupervised_pcl", Setting(runtime, backbone, batch, steps, ()))
    stage.plan = stage.plan.model_copy(update={"epochs": 1_000_000, "instances": 8})
    names = write_images(root) * 2  # two rows of each file
    identities = np.arange(len(names)) % (len(names) // 8)
    data = TrainingData(ReIDImages(root, names, (96, 48)), identities, None, runtime, 0)
    for progress in fit(stage, model, data):
        yield float(progress.history[-1]["seconds"]["training"]) / steps


def serve(waiting: str, steps: int, batch: int) -> None:
    """Train an epoch for every line of the standard input; answer with the seconds of its step, after the threads."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    if waiting == "untouched":
        import torch  # before the package, which comes too late then
    import reid_pipeline  # noqa: F401, I001
    import torch

    with tempfile.TemporaryDirectory() as folder:
        seconds = epochs(Path(folder), steps=steps, batch=batch)
        next(seconds)  # the first epoch warms up
        print(json.dumps(torch.get_num_threads()), file=answers, flush=True)
        for _ in sys.stdin:
            print(json.dumps(next(seconds)), file=answers, flush=True)


class Trainer:
    """A process that trains an epoch when it is asked."""

    def __init__(self, waiting: str, steps: int, batch: int) -> None:
        command = [sys.executable, __file__, "--serve", waiting, "--steps", str(steps), "--batch", str(batch)]
        self._process = subprocess.Popen(
            command, env=environment(waiting), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._asked, self._answers = _given(self._process.stdin), _given(self._process.stdout)
        self.threads = int(self._answer())

    def seconds(self) -> float:
        """Return the seconds of a step, the mean over an epoch."""
        print(file=self._asked, flush=True)
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> float:
        line = self._answers.readline()
        if not line:
            raise SystemExit(f"The training process ended with status {self._process.wait()}.")
        return float(json.loads(line))


def _given(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise ValueError("a pipe was asked for")
    return stream


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Let that many other processes compute."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    time.sleep(0.5)
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def measure(
    ways: list[str], *, loops: int, rounds: tuple[int, int], sizes: tuple[int, int]
) -> tuple[int, dict[str, Measured]]:
    """Return threads and times of every way to wait, in `rounds` (alone, beside) in which they take turns."""
    with ExitStack() as stack:
        trainers = {way: Trainer(way, *sizes) for way in ways}
        for trainer in trainers.values():
            stack.callback(trainer.close)
        times = {way: Measured([], []) for way in ways}
        for _, way in itertools.product(range(rounds[0]), ways):
            times[way].alone.append(trainers[way].seconds())
        with busy_loops(loops):
            for _, way in itertools.product(range(rounds[1]), ways):
                times[way].beside.append(trainers[way].seconds())
        return trainers[ways[0]].threads, times


def lines(times: Mapping[str, Measured], *, fair: float) -> Iterator[str]:
    """Yield the table, and whether `ours` keeps its limits."""
    yield f"{'waiting':<10} {'steps/s alone':>15} {'beside':>8} {'alone, x untouched':>20} {'beside, x fair share':>22}"
    plain = statistics.median(times["untouched"].alone) if "untouched" in times else math.nan
    verdicts: list[str] = []
    for way, each in times.items():
        alone, beside = statistics.median(each.alone), statistics.median(each.beside)
        quiet, shared = alone / plain, beside / (alone * fair)
        yield f"{way:<10} {1 / alone:>15.2f} {1 / beside:>8.2f} {quiet:>20.2f} {shared:>22.2f}"
        if way == "ours":
            verdicts += verdict("alone, over untouched", quiet, QUIET_LIMIT)
            verdicts += verdict("beside the loops, over the fair share", shared, SHARED_LIMIT)
    yield from verdicts


def verdict(what: str, ratio: float, limit: float) -> list[str]:
    """Return a line on a limit; none for a ratio that was not measured."""
    answer = "as it must be" if ratio <= limit else "TOO SLOW"
    return [] if math.isnan(ratio) else [f"ours {what}: {ratio:.2f}, at most {limit}: {answer}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waiting", nargs="+", default=["ours", "untouched"], help="a number: GOMP_SPINCOUNT")
    parser.add_argument("--loops", type=int, default=4)
    parser.add_argument("--rounds", nargs=2, type=int, default=[5, 2], help="alone, and beside the loops")
    parser.add_argument("--steps", type=int, default=10, help="of an epoch")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--serve", default=None, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve is not None:
        serve(given.serve, given.steps, given.batch)
        return
    started, cores = time.perf_counter(), len(os.sched_getaffinity(0))
    sizes, rounds = (given.steps, given.batch), tuple(given.rounds)
    threads, times = measure(given.waiting, loops=given.loops, rounds=rounds, sizes=sizes)
    fair = slowdown(threads, given.loops, cores)
    print(
        f"{cores} cores, {threads} threads, {given.loops} busy loops: the fair share is {fair:.2f} times the time alone"
    )
    print("\n".join(lines(times, fair=fair)))
    print(f"measured in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
