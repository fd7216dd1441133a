"""The golden runs, what is kept of each, and how it is recorded: make golden REASON="why numbers change"."""

import datetime
import hashlib
import json
import logging
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from golden_problem import HERE, RUNS, Run, input_digests, make_project

TRACES = HERE / "traces"
HISTORY = (
    "stage", "epoch", "learning_rate", "trainable_parameters", "loss", "losses", "clusters", "noise_share",
    "proxies", "cluster_sizes", "ground_truth",
)  # fmt: skip
SAMPLES = 24
METRICS = (
    "mAP", "mINP", "rank1", "rank5", "rank10", "num_queries", "num_valid_queries", "num_gallery", "cmc",
)  # fmt: skip
Trace = dict[str, Any]


@contextmanager
def golden_project(root: Path) -> Iterator[Path]:
    """Make the project of the golden runs, and leave this process as it was."""
    import torch
    from kedro.framework.project import configure_project
    from kedro.framework.startup import bootstrap_project
    from threadpoolctl import threadpool_limits

    make_project(root)
    threads = torch.get_num_threads()
    with mock.patch.object(sys, "path", list(sys.path)), mock.patch.dict(os.environ), threadpool_limits(1):
        bootstrap_project(root)
        logging.disable(logging.INFO)
        yield root
    logging.disable(logging.NOTSET)
    torch.set_num_threads(threads)
    configure_project("reid_pipeline")


def trace_of(root: Path, run: Run) -> Trace:
    """Run a method's pipeline, up to its figures, in a session of Kedro; return what is kept of it."""
    from kedro.framework.session import KedroSession

    with kept_pseudo_labels() as labels, KedroSession.create(root, env=run.environment) as session:
        session.run(pipeline_names=[run.method], to_nodes=[f"{run.method}.evaluate"])
    found = results(catalog_of(root, run.environment), run.method)
    return {"inputs": input_digests(), "pseudo_labels": labels, **found}


@cache
def catalog_of(root: Path, environment: str) -> Any:
    """Return the catalog of an environment, which knows where results lie."""
    from kedro.framework.session import KedroSession

    with KedroSession.create(root, env=environment) as session:
        return session.load_context().catalog


@contextmanager
def kept_pseudo_labels() -> Iterator[list[list[int]]]:
    """Give a list to which each clustering within the block adds its labels."""
    from reid_pipeline import clustering

    found: list[list[int]] = []
    cluster = clustering.cluster_features

    def kept(*given: Any, **named: Any) -> clustering.Clustering:
        clusters = cluster(*given, **named)
        found.append(clusters.labels.tolist())
        return clusters

    with mock.patch.object(clustering, "cluster_features", kept):
        yield found


def results(catalog: Any, method: str) -> Trace:
    """Read what a run wrote. Which catalog entries those are is known here alone."""

    def file(entry: str) -> Path:
        return Path(catalog.get(f"{method}.{entry}")._filepath)

    def read(entry: str) -> Any:
        return json.loads(file(entry).read_text())

    history, metrics = read("history"), read("metrics")
    stages = dict.fromkeys(record["stage"] for record in history)
    stored = [*(f"{stage}_checkpoint" for stage in stages), "embedder", "embeddings"]
    return {
        "history": [_numbers(record) for record in history],
        "metrics": {name: metrics[name] for name in METRICS},
        "average_precision": read("breakdown")["average_precision"],
        "tensors": {entry: summary(file(entry)) for entry in stored},
    }


def _numbers(record: Trace) -> Trace:
    """Return the fields of an epoch's record that are compared: no time, and none that came later."""
    kept = {name: record[name] for name in HISTORY if name in record}
    if "cluster_sizes" in kept:
        kept["cluster_sizes"] = kept["cluster_sizes"]["quantiles"]
    return kept


def summary(path: Path) -> Trace:
    """Return the digest of a file's tensors; in the order of their names, norms and some of their numbers."""
    from safetensors.numpy import load_file

    tensors = dict(sorted(load_file(path).items()))
    digest = hashlib.sha256()
    for name, value in tensors.items():
        digest.update(f"{name} {value.dtype} {value.shape}\n".encode() + value.tobytes())
    flat = [value.ravel().astype(np.float64) for value in tensors.values()]
    share = max(1, SAMPLES // len(flat))
    return {
        "digest": digest.hexdigest(),
        "numbers": sum(map(len, flat)),
        "norms": [float(np.sqrt((value * value).sum())) for value in flat],
        "samples": [float(value[len(value) * (2 * i + 1) // (2 * share)]) for value in flat for i in range(share)],
    }


def this_machine() -> dict[str, str]:
    """Return what decides whether floats are the same to the last bit."""
    import torch

    return {
        "torch": torch.__version__,
        "processor": _processor(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def _processor() -> str:
    """Return the processor's name; on Linux with family and model, as virtual machines shorten the name."""
    listed = Path("/proc/cpuinfo")
    text = listed.read_text() if listed.is_file() else ""
    facts = dict(re.findall(r"^([\w ]+?)\s*: (.*)$", text.split("\n\n")[0], re.MULTILINE))
    if "model name" not in facts:
        return platform.processor() or platform.machine()
    return f"{facts['model name']}, family {facts.get('cpu family')}, model {facts.get('model')}"


def as_text(content: Mapping[str, Any]) -> str:
    """Return indented JSON, the innermost lists on one line, floats as `repr` writes them."""
    text = json.dumps(content, indent=1)
    return re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text) + "\n"


def record(reason: str) -> None:
    """Make all runs and write their traces, the reason at the top of each file.

    Raises:
        SystemExit: There is no reason.
    """
    if not reason.strip():
        raise SystemExit('Say why the numbers change: make golden REASON="..."')
    head = {"reason": reason.strip(), "date": datetime.datetime.now(datetime.UTC).date().isoformat()}
    head |= this_machine() | {"numpy": np.__version__}
    with tempfile.TemporaryDirectory() as folder, golden_project(Path(folder) / "project") as root:
        traces = {name: trace_of(root, run) for name, run in RUNS.items()}
    for name, trace in traces.items():
        (TRACES / f"{name}.json").write_text(as_text({"recorded": head, "trace": trace}))


if __name__ == "__main__":
    record(" ".join(sys.argv[1:]))
