"""The facts of this run that no parameter holds: code, packages, machine, time and memory so far."""

import importlib.metadata
import os
import platform
import subprocess
import time
from typing import Any

from reid_pipeline import __version__
from reid_pipeline.io.base import ReadOnlyDataset
from reid_pipeline.io.memory import peak_memory
from reid_pipeline.schema.place import in_work_tree

PACKAGES = (
    "faiss-cpu", "kedro", "numba", "numpy", "open-clip-torch", "optuna", "pandas", "pillow", "scikit-learn",
    "scipy", "torch", "torchvision",
)  # fmt: skip
_STARTED = time.time()


class RunEnvironmentDataset(ReadOnlyDataset[dict[str, Any]]):
    """Facts as they are when loaded; `filepath` is a folder of the git work tree whose commit is reported."""

    _refusal = "The run environment cannot be saved; got {kind}."

    def __init__(self, *, filepath: str = ".", metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath=filepath, metadata=metadata)

    def load(self) -> dict[str, Any]:
        """Return code version, git commit, packages, machine, wall seconds and peak memory so far."""
        return {
            "reid_pipeline": __version__,
            **self._git(),
            "python": platform.python_version(),
            "packages": {name: _version(name) for name in PACKAGES},
            "machine": {"system": platform.system(), "processor": platform.machine(), "cpus": os.cpu_count()},
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(_STARTED)),
            "wall_seconds": round(time.time() - _STARTED, 1),
            "peak_memory_bytes": peak_memory(),
        }

    def _git(self) -> dict[str, Any]:
        if not in_work_tree():
            return {"git_commit": None, "git_dirty": None}

        def ask(*words: str) -> str | None:
            command = ["git", "-C", str(self._filepath), *words]
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)  # noqa: S603
            except (OSError, subprocess.SubprocessError):
                return None  # no git, or no work tree: a packaged install
            return done.stdout.strip()

        # Results, and what DVC notes of them while it makes them, are no code.
        results = (":(exclude)data", ":(exclude,glob)**/dvc.lock")
        status = ask("status", "--porcelain", "--", ".", *results)
        return {"git_commit": ask("rev-parse", "HEAD"), "git_dirty": None if status is None else bool(status)}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
