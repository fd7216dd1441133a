"""Compiled kernels for copies of the project: numba would compile them anew in each, for 12 seconds."""

import shutil
from functools import cache
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]


@cache
def compile_kernels() -> None:
    """Let numba compile, beside the project's own modules, what a run of `unsupervised_pcl` calls."""
    from reid_pipeline.clustering import cluster_pseudo_labels
    from reid_pipeline.retrieval import evaluate_retrieval

    features = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    cluster_pseudo_labels(features, k1=6, k2=2)
    pids, camids = np.arange(60) % 5, np.arange(60) % 2
    evaluate_retrieval(features[:20], features[20:], pids[:20], pids[20:], camids[:20], camids[20:])


def share_kernels(copy: Path) -> None:
    """Give a copy of the project, made with the times of its files, the kernels that were compiled here."""
    compile_kernels()
    for compiled in ROOT.glob("src/**/__pycache__/*.nb[ic]"):
        there = copy / compiled.relative_to(ROOT)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(compiled, there)
