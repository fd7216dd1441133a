"""Losses and pseudo labels of several processes beside those of one, for each training stage of each method.

    .venv/bin/python bench/processes.py [--count 2] [--steps 20] [--networks demo-vit small-resnet] [--methods pcl ...]

Each stage trains so many steps from the same random weights, alone and in `count` processes that gloo joins, on drawn
people, in float64 and in float32. Printed is the largest relative difference of a loss from that of one process: of all
steps, and of the first one; whether pseudo labels are the same; and seconds of a step. Batches do not divide by the
number of processes. In float64 `float()` leaves a tensor as it is, and embeddings are compared as they are stored.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import numpy as np
import torch

from reid_drawings import SyntheticBenchmark, draw_benchmark
from reid_pipeline.config.loader import LayeredConfigLoader
from reid_pipeline.engine.loop import fit
from reid_pipeline.engine.processes import ALONE, Processes
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.seeding import seed_global_state
from reid_pipeline.engine.stage import Stage, TrainingData
from reid_pipeline.images.reid_images import ReIDImages
from reid_pipeline.methods import find_method, method_names
from reid_pipeline.schema.nested import merged
from reid_pipeline.schema.population import Population
from reid_pipeline.settings import CONFIG_LOADER_ARGS

ROOT = Path(__file__).parents[1]
SIZE = (48, 24)
IDENTITIES, CAMERAS = 6, 3
RESNET = "small-resnet"
_TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
_VISION = {"image_size": 224, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
_FLOAT = torch.Tensor.float
T = TypeVar("T")


@dataclass(frozen=True)
class Case:
    """A stage of a method on a network, in float64 or float32."""

    method: str
    place: int
    network: str = "demo-vit"
    double: bool = True
    steps: int = 20
    batch: tuple[int, int] = (9, 3)  # images, and of each identity

    @property
    def stage(self) -> str:
        """Name of the stage."""
        return find_method(self.method).stage_names[self.place]


@dataclass(frozen=True)
class Trace:
    """What a training gave: the losses of each step, the pseudo labels, weights, and seconds of a step."""

    losses: list[dict[str, float]]
    labels: list[int] = field(default_factory=list)
    weights: float = 0.0
    seconds: float = 0.0


def cases(networks: list[str], methods: list[str], steps: int) -> Iterator[Case]:
    """Yield each training stage of the methods, on each network, in both precisions."""
    for network in networks:
        for method in methods:
            for place, _ in enumerate(find_method(method).stage_names):
                yield from (Case(method, place, network, double, steps) for double in (True, False))


def drawn_data(root: Path) -> TrainingData:
    """Draw six people by three cameras, 36 images."""
    drawing = SyntheticBenchmark(
        train_identities=IDENTITIES, test_identities=1, num_cameras=CAMERAS, cameras_per_identity=(2, 2),
        images_per_camera=(3, 3), distractors=0, junk=0,
    )  # fmt: skip
    drawn = draw_benchmark(drawing, processes=1)
    files = sorted(path for path in drawn if path.startswith("bounding_box_train"))
    for path in files:
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_bytes(drawn[path])
    labels = np.unique([path.split("/")[1][:4] for path in files], return_inverse=True)[1].astype(np.int64)
    camids = np.array([int(path.split("_c")[1][0]) - 1 for path in files])
    return TrainingData(ReIDImages(root, files, SIZE), labels, camids, Runtime(torch.device("cpu")), 0)


def parameters_of(case: Case) -> Any:
    """Return the method's published parameters with a small tower and a plan of one epoch."""
    base = LayeredConfigLoader(str(ROOT / "conf"), "base", **CONFIG_LOADER_ARGS)["parameters"][case.method]
    images, instances = case.batch
    plan = {"epochs": 1, "iterations_per_epoch": case.steps, "warmup_epochs": 0, "milestones": [], "schedule": "steps"}
    plan |= {"batch_size": images, "learning_rate": 3.5e-4}
    backbone = {"name": case.network, "pretrained": None, "image_size": list(SIZE), "patch_stride": None}
    if case.network == RESNET:
        backbone["sie"] = "none"
    small: dict[str, Any] = {
        "backbone": backbone,
        "plan": plan | {"instances": instances},
        "prompts": {"plan": plan | {"instances": None, "warmup_learning_rate": None}},
        "projection_head": {"hidden_width": 64, "output_width": 16},
        "clustering": {"k1": 8, "k2": 2, "eps": 0.7, "min_samples": 2, "max_noise_share": 1.0},
    }
    own = {name: value for name, value in small.items() if name in base}
    return find_method(case.method).params.model_validate(merged(base, own))


def network_known(name: str) -> None:
    """Let open_clip list the small ResNet, whose batch norms are in the tower."""
    import open_clip

    if name == RESNET:
        config = {"embed_dim": 24, "vision_cfg": dict(_VISION), "text_cfg": dict(_TEXT)}
        open_clip.factory._MODEL_CONFIGS[name] = config


def built(case: Case) -> tuple[Any, Stage]:
    """Return a stage and its model, whose numbers are float64 where the case asks for it."""
    network_known(case.network)
    parameters, method = parameters_of(case), find_method(case.method)
    seed_global_state(0, "build")
    model = method.build(parameters, Population(IDENTITIES, cameras=CAMERAS))
    stage = list(method.stages(parameters))[case.place]
    if case.double:
        model.double()
        features, batches = model.encoder._features, stage.epoch_batches
        model.encoder._features = lambda images, *ids: features(images.double(), *ids)

        def with_double_memory(*given: Any) -> Any:
            made = batches(*given)
            if getattr(stage, "_memory", None) is not None:
                stage._memory.double()
            return made

        stage.epoch_batches = with_double_memory
    return model, stage


@contextlib.contextmanager
def double_stays() -> Iterator[None]:
    """Let `float()` leave float64 as it is within the block."""
    with mock.patch.object(
        torch.Tensor, "float", lambda value: value if value.dtype == torch.float64 else _FLOAT(value)
    ):
        yield


def trained(case: Case, made: tuple[Any, Stage], data: TrainingData) -> Trace:
    """Train and note what it gives."""
    model, stage = made
    step, losses = stage.step, []

    def noted(*given: Any) -> Any:
        output = step(*given)
        losses.append({name: float(value.detach()) for name, value in output.losses.items()})
        return output

    stage.step = noted
    started = time.perf_counter()
    *_, last = fit(stage, model, data)
    seconds = (time.perf_counter() - started) / case.steps
    labels = last.state.get("labels", {}).get("present")
    weights = sum(float(value.double().square().sum()) for value in model.state_dict().values())
    return Trace(losses, [] if labels is None else labels.tolist(), weights, seconds)


def of_processes(data: TrainingData, processes: Processes) -> TrainingData:
    """Return the training data as one of several processes has them."""
    from dataclasses import replace

    return replace(data, runtime=replace(data.runtime, processes=processes))


def in_threads(count: int, work: Callable[[Processes], T]) -> list[T]:
    """Return what `work` returns in each of `count` threads, which stand for processes: gloo joins them likewise."""
    import datetime

    from torch import distributed

    store, found, errors = distributed.HashStore(), {}, []

    def run(rank: int) -> None:
        try:
            group = distributed.ProcessGroupGloo(store, rank, count, datetime.timedelta(seconds=60))
            found[rank] = work(Processes(rank, count, group))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [found[rank] for rank in range(count)]


def difference(first: Trace, second: Trace, steps: int | None = None) -> float:
    """Return the largest relative difference of a loss in the first steps, or in all."""
    if len(first.losses) != len(second.losses):
        return float("inf")
    pairs = [
        (one[name], other[name])
        for one, other in zip(first.losses[:steps], second.losses[:steps], strict=True)
        for name in one
    ]
    return max(abs(one - other) / max(abs(one), 1e-12) for one, other in pairs)


def _run(given: argparse.Namespace, processes: Processes, data: TrainingData) -> list[Trace]:
    found = []
    for case in cases(given.networks, given.methods, given.steps):
        with double_stays() if case.double else contextlib.nullcontext():
            found.append(trained(case, built(case), of_processes(data, processes)))
    return found


def _worker(given: argparse.Namespace, folder: Path, data: TrainingData) -> None:
    """Train every case as one of several processes, and write the traces."""
    from torch import distributed

    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=given.rank, world_size=given.count
    )
    found = _run(given, Processes(given.rank, given.count, distributed.group.WORLD), data)
    (folder / f"{given.rank}.json").write_text(json.dumps([asdict(each) for each in found]))
    distributed.destroy_process_group()


def _together(given: argparse.Namespace, words: list[str]) -> list[list[Trace]]:
    """Return the traces of all processes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, *words, "--folder", folder]
        started = [subprocess.Popen([*command, "--rank", str(rank)]) for rank in range(given.count)]
        if any(each.wait() for each in started):
            raise SystemExit("a process ended with an error")
        texts = [(Path(folder) / f"{rank}.json").read_text() for rank in range(given.count)]
    return [[Trace(**each) for each in json.loads(text)] for text in texts]


def main(words: list[str] | None = None) -> None:
    """Train all cases, and print a table."""
    trained_methods = [name for name in method_names() if find_method(name).stage_names]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--networks", nargs="+", default=["demo-vit", RESNET])
    parser.add_argument("--methods", nargs="+", default=trained_methods)
    parser.add_argument("--rank", type=int, help="of one of the processes, which this program starts itself")
    parser.add_argument("--folder", help="where these meet")
    words = sys.argv[1:] if words is None else words
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as root:
        data = drawn_data(Path(root))
        if given.rank is not None:
            _worker(given, Path(given.folder), data)
            return
        alone = _run(given, ALONE, data)
    together = _together(given, words)
    print(f"{'stage':>36} {'network':>13} {'type':>8} {'all steps':>10} {'first':>10} {'labels':>7} {'s a step':>9}")
    for number, case in enumerate(cases(given.networks, given.methods, given.steps)):
        one, others = alone[number], [each[number] for each in together]
        largest, first = (max(difference(one, each, steps) for each in others) for steps in (None, 1))
        same = "-" if not one.labels else "same" if all(each.labels == one.labels for each in others) else "OTHER"
        precision, name = "float64" if case.double else "float32", f"{case.method}, {case.stage}"
        times = f"{one.seconds:.3f} {others[0].seconds:.3f}"
        print(f"{name:>36} {case.network:>13} {precision:>8} {largest:>10.1e} {first:>10.1e} {same:>7} {times:>9}")


if __name__ == "__main__":
    main()
