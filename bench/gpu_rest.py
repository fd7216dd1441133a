"""What bench/gpu.py measures beside training steps: matrix products, loaders, extraction, search, a long run."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import torch
from evaluation import SHAPES, TORCH_CPU, make_case
from gpu_sizes import Bench, Known, Row, groups, with_precision
from gpu_steps import Switches, as_written, forward_flops, guarded, switched
from neighbourhoods import draw_features, split

from reid_pipeline.clustering import cluster_features
from reid_pipeline.engine.batches import batches_of_rows
from reid_pipeline.engine.loop import fit
from reid_pipeline.evaluation.extraction import extract_embeddings
from reid_pipeline.geometry.neighbours import nearest_neighbours
from reid_pipeline.retrieval import evaluate_retrieval, rerank_k_reciprocal

EPOCHS, PUBLISHED_EPOCHS = 3, 60
WIDTH = 1280  # of an embedding of a ViT-B/16


def matmul_rows(bench: Bench) -> Iterator[Row]:
    """Yield the rate of square matrix products of the precision of the steps, and of the tower's largest product."""
    dtype = getattr(torch, bench.runtime.precision)
    shapes = {f"{side} x {side} x {side}": (side, side, side) for side in bench.sizes.sides}
    rows = bench.sizes.step_batches[0] * 129
    shapes |= {f"{rows} x 768 x 3072, as in the tower": (rows, 768, 3072)} if bench.device.type == "cuda" else {}
    for name, (height, inner, width) in shapes.items():
        left = torch.randn(height, inner, device=bench.device, dtype=dtype)
        right = torch.randn(inner, width, device=bench.device, dtype=dtype)
        rate = 2 * height * inner * width / bench.seconds(partial(torch.matmul, left, right), 20)
        bench.matmul = max(rate, bench.matmul or 0.0)
        yield Row(f"matmul {bench.runtime.precision}, {name}", flops=rate)


def loader_row(bench: Bench, source: str) -> Row:
    """Measure the loader alone: images gathered or decoded, copied to the device, augmented there."""
    batch = bench.sizes.step_batches[0]
    parameters = bench.parameters("unsupervised_pcl", batch=batch, steps=1)
    data = bench.data(source=source)
    pixels = (parameters.backbone, parameters.augmentation)
    rows = list(groups(len(data.labels), batch))[: 1 if bench.device.type == "cpu" else None]

    def epoch() -> None:
        for _ in batches_of_rows(rows, data.labels, data, pixels=pixels, position=("bench", 1)):
            pass

    epoch()
    bench.wait()
    began = time.perf_counter()
    epoch()
    bench.wait()
    rate = len(rows) * batch / (time.perf_counter() - began)
    return Row(f"loader alone, {source}, augmented", rate)


def extraction_rows(bench: Bench) -> Iterator[Row]:
    """Yield embedding all images, decoded before, in float32 and in the precision of the steps."""
    model, _ = bench.built("unsupervised_pcl", batch=bench.sizes.step_batches[0], steps=1)
    data = bench.data()
    list(data.images.batches(groups(len(data.labels), 1)))  # decoded once
    for precision in ("float32", bench.runtime.precision):
        runtime = with_precision(data, precision).runtime

        def embedded(runtime: Any = runtime) -> Any:
            return extract_embeddings(model.embedder(), data.images, runtime)

        rate = len(data.labels) / bench.seconds(embedded, 1)
        yield Row(f"extraction, {precision}", rate, rate * forward_flops(model.encoder, whole=False))


def compared(name: str, host: Callable[[], Any], card: Callable[[], Any], same: Callable[[Any, Any], bool]) -> Row:
    """Return how long the CPU and the card take, and whether they find the same; the card's first call is left out."""
    began = time.perf_counter()
    expected = host()
    on_host = time.perf_counter() - began
    card()
    began = time.perf_counter()
    found = card()
    on_card = time.perf_counter() - began
    result = "equal" if same(expected, found) else "DIFFERENT"
    return Row(name, note=f"CPU {on_host:.3f} s, card {on_card:.3f} s, {on_host / on_card:.1f} x; results {result}")


def search_rows(bench: Bench) -> Iterator[Row]:
    """Yield evaluation and neighbour search on the CPU and on the card, and what has no path on a card."""
    card = TORCH_CPU if bench.device.type == "cpu" else str(bench.device)
    shape = SHAPES["market1501"].scaled(bench.sizes.search, bench.sizes.search)
    case = make_case(shape, "clustered")
    evaluate_retrieval(*make_case(shape.scaled(0.02, 0.02), "clustered"))  # compiles
    name = f"evaluation, {shape.queries:,} x {shape.gallery:,}"
    both = partial(evaluate_retrieval, *case), partial(evaluate_retrieval, *case, device=card)
    yield guarded(bench, name, partial(compared, name, *both, same_figures))
    rows = max(200, round(bench.sizes.images * bench.sizes.search))
    features = draw_features(rows, WIDTH if bench.sizes.search == 1 else 32)
    nearest_neighbours(features[:200], 30)
    name = f"neighbours of clustering, {rows:,}, 30"
    both = partial(nearest_neighbours, features, 30), partial(nearest_neighbours, features, 30, device=card)
    yield guarded(bench, name, partial(compared, name, *both, same_arrays))
    settings = bench.parameters("unsupervised_pcl", batch=8, steps=1).clustering
    works: dict[str, Callable[[], Any]] = {
        f"clustering, {rows:,}": partial(cluster_features, features, settings),
        f"re-ranking, {rows:,}": partial(rerank_k_reciprocal, *split(features)),
    }
    for name, work in works.items():
        began = time.perf_counter()
        work()
        yield Row(name, note=f"CPU {time.perf_counter() - began:.3f} s; this project has no path on a card for it")


def same_arrays(left: Any, right: Any) -> bool:
    """Return whether all arrays are equal to the bit."""
    return all(np.array_equal(one, other) for one, other in zip(left, right, strict=True))


def same_figures(left: Any, right: Any) -> bool:
    """Return whether all figures of two evaluations are equal to the bit."""
    return same_arrays(*([np.asarray(value) for value in vars(each).values()] for each in (left, right)))


def long_run_rows(bench: Bench, switches: Switches) -> Iterator[Row]:
    """Yield three epochs of unsupervised_pcl at Market-1501's shape, each part of the last two, and 60 extrapolated.

    Extraction is real. Random weights give no clusters, so drawn features of the same shape are clustered, and steps
    contrast with identities. Blocks are compiled for the steps alone.
    """
    batch, sizes = bench.sizes.step_batches[0], bench.sizes
    data = bench.data()
    model, stages = bench.built("unsupervised_pcl", batch=batch, steps=sizes.epoch, epochs=EPOCHS)
    stage: Any = stages[0]
    drawn = draw_features(sizes.images, WIDTH if bench.device.type == "cuda" else 32)

    def embedded(model: Any, data: Any) -> np.ndarray:
        with as_written(model):
            return np.asarray(stage.embed_all(model, data, float32=True))

    def cluster(_: np.ndarray, data: Any) -> Known:
        began = time.perf_counter()
        cluster_features(drawn, stage.parameters.clustering)
        stage._facts["seconds"]["clustering"] = time.perf_counter() - began
        return Known(data.labels, 0.5)

    with switched(bench, model, switches), mock.patch.multiple(stage, _embedded=embedded, _cluster=cluster):
        *_, last = fit(stage, model, data)
    parts = [record["seconds"] for record in last.history]
    first, later = parts[0]["epoch"], parts[1:]
    means = {name: sum(each[name] for each in later) / len(later) for name in later[0]}
    for name, seconds in means.items():
        count = sizes.images if name == "extraction" else batch * sizes.epoch if name == "training" else None
        rate = None if count is None else count / seconds
        yield Row(f"long run, {name}", rate, note=f"{seconds:.2f} s an epoch, epochs 2 and 3")
    minutes = (first + (PUBLISHED_EPOCHS - 1) * means["epoch"]) / 60
    note = f"EXTRAPOLATED from {EPOCHS} epochs to {PUBLISHED_EPOCHS}: {minutes:.1f} min; first epoch {first:.1f} s"
    yield Row(f"long run, {sizes.images:,} images, {sizes.epoch} x {batch}{switches}", note=note)
