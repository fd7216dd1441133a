"""One of two processes is killed at a random moment, again and again: what becomes of the training, and of its result.

    .venv/bin/python bench/faults.py [--kills 10] [--epochs 6] [--nodes 1]

A small tower trains on drawn people in two processes, unbroken once, then as often as `--kills` says with one of the
workers killed (SIGKILL) at a seeded moment between the start and the end. Printed is when, whether torchrun went on
from the last epoch by itself or the training stopped in a sentence and the same call went on, whether the tensors are
those of the unbroken training to the bit, and which processes were left. With `--nodes 2` two agents of torchrun meet
at a loopback address, as on two machines.
"""

import argparse
import shlex
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reid_drawings import SyntheticBenchmark, draw_benchmark
from reid_pipeline.config.loader import LayeredConfigLoader
from reid_pipeline.engine.checkpoint import checkpoint_of
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.training import TrainingRun
from reid_pipeline.images.check import check_images
from reid_pipeline.methods import find_method
from reid_pipeline.readers.synthetic import read
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.nested import merged
from reid_pipeline.schema.parameters import ComputeParameters, IngestionParameters, SplitParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.settings import CONFIG_LOADER_ARGS
from reid_pipeline.splits import normalise_splits
from reid_pipeline.workers.beats import Watch
from reid_pipeline.workers.launch import trained_by_processes

ROOT = Path(__file__).parents[1]
DRAWING = SyntheticBenchmark(
    train_identities=6, test_identities=2, num_cameras=3, cameras_per_identity=(2, 2), images_per_camera=(3, 3),
    distractors=1, junk=1,
)  # fmt: skip
_AGENT = (
    "{python} -m torch.distributed.run --nnodes 2 --nproc-per-node 1 --max-restarts 3 --rdzv-backend c10d"
    " --rdzv-endpoint 127.0.0.1:{port} --rdzv-id faults --node-rank {node} {worker}"
)


@dataclass(frozen=True)
class Outcome:
    """How a training ended: the digest of its tensors, seconds, and the sentences in which it stopped on the way."""

    digest: str
    seconds: float
    stops: tuple[str, ...]


def training_run(root: Path, epochs: int, method: str = "baseline") -> TrainingRun:
    """Return a training of a small tower on drawn people, which are written to `root`."""
    drawn = draw_benchmark(DRAWING, processes=1)
    for path, content in drawn.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    raw = RawFolder(root, tuple(drawn))
    manifest = read(raw, IngestionParameters(reader="synthetic")).manifest
    table = normalise_splits(manifest, check_images(root, manifest["path"].tolist()), SplitParameters()).split_table
    base = LayeredConfigLoader(str(ROOT / "conf"), "base", **CONFIG_LOADER_ARGS)["parameters"][method]
    backbone = {"name": "demo-vit", "pretrained": None, "image_size": [32, 16], "patch_stride": None}
    plan = {"epochs": epochs, "iterations_per_epoch": 4, "batch_size": 9, "instances": 3, "milestones": []}
    parameters = find_method(method).params.model_validate(merged(base, {"backbone": backbone, "plan": plan}))
    runtime = Runtime(torch.device("cpu"))
    return TrainingRun(find_method(method), parameters, table, raw, runtime, 0, benchmark="drawn")


def two_nodes(folder: Path) -> str:
    """Return the launcher of two agents, which meet at a loopback address as those of two machines do."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lines = [_AGENT.replace("{port}", str(port)).replace("{node}", str(node)) for node in range(2)]
    script = folder / "two_nodes.sh"
    words = [line.replace("{python}", shlex.quote(sys.executable)).replace("{worker}", '"$@"') for line in lines]
    script.write_text(f"{words[0]} &\nfirst=$!\n{words[1]}\nsecond=$?\nwait $first && exit $second\n")
    return f"sh {shlex.quote(str(script))}"


def trained(run: TrainingRun, compute: ComputeParameters, folder: Path, kill: tuple[int, float] | None) -> Outcome:
    """Train, going on after each stop; a worker (rank, seconds) is killed once."""
    started, state, stops = time.perf_counter(), None, []
    if kill is not None:
        threading.Thread(target=_kill, args=(folder, *kill), daemon=True).start()
    while True:
        try:
            for epoch, _ in trained_by_processes(run, run.method.stage_names[0], compute, folder, state):
                state = epoch
            break
        except UserError as error:
            stops.append(str(error))
            if len(stops) > 3:
                raise
    return Outcome(_digest(state), time.perf_counter() - started, tuple(stops))


def _digest(state: Mapping[str, Any] | None) -> str:
    return "" if state is None else checkpoint_of(state).digest()


def _kill(folder: Path, rank: int, seconds: float) -> None:
    """Kill a worker after so many seconds, or as soon as it is there."""
    time.sleep(seconds)
    for _ in range(600):
        workers = Watch(folder, 2, 60).workers()
        if len(workers) == 2 and workers[rank].lives():
            workers[rank].kill()
            return
        time.sleep(0.1)


def left(folder: Path) -> list[str]:
    """Return the processes of this machine that were started for a training."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = each.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in words and "reid_pipeline.workers" in words:
            found.append(words)
    return found


def main(words: list[str] | None = None) -> None:
    """Kill, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--nodes", type=int, choices=[1, 2], default=1)
    given = parser.parse_args(words)
    generator = np.random.default_rng(0)
    compute = ComputeParameters(processes=2, threads=1, device="cpu")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        run, folder = training_run(root / "images", given.epochs), root / "workers"

        def named() -> ComputeParameters:
            return compute if given.nodes == 1 else replace_launcher(compute, two_nodes(root))

        whole = trained(run, named(), folder, None)
        print(f"unbroken: {whole.seconds:.1f} s, {len(left(folder))} processes left")
        print(f"{'killed':>8} {'after s':>8} {'seconds':>8} {'bits':>6} {'left':>5}  what became of it")
        for _ in range(given.kills):
            rank, moment = int(generator.integers(2)), float(generator.uniform(0, whole.seconds))
            found = trained(run, named(), folder, (rank, moment))
            became = f"stopped and went on: {found.stops[0]}" if found.stops else "went on by itself"
            bits = "same" if found.digest == whole.digest else "OTHER"
            print(f"{rank:>8} {moment:>8.1f} {found.seconds:>8.1f} {bits:>6} {len(left(folder)):>5}  {became}")


def replace_launcher(compute: ComputeParameters, launcher: str) -> ComputeParameters:
    """Return where to compute, started by another command."""
    return compute.model_copy(update={"launcher": launcher})


if __name__ == "__main__":
    main()
