"""Small real data that several rooms' tests share: JPEG files, a drawn benchmark, its tables."""

import gc
import inspect
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from warm_python import COLLECTED_AFTER, frames

from reid_drawings import SyntheticBenchmark, draw_benchmark

PROJECT = Path(__file__).resolve().parents[1]

# Kedro looks for ibis, which is no dependency, at each value that a session passes on: some seconds of a whole suite.
sys.modules.setdefault("ibis", None)

# Processes of tests share the cores: threads of OpenMP would spin where they wait for each other. No library is loaded
# yet that reads it; the programs that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SLOW = {"bench", "e2e", "golden"}
"""Folders whose tests run whole pipelines or programs; elsewhere tests of over a second, alone or with all their
parameters, are marked `slow`."""

ONE_THREAD = {"engine", "methods", "models", "test_pretraining.py"}
"""Folders and files whose tests train and compare small networks."""

WriteJPEG = Callable[..., Path]


LONGEST_FIRST = (
    "house/test_house_dvc_and_viz.py", "e2e", "workers", "house", "export", "golden", "bench", "methods", "models",
    "engine", "tuning", "evaluation", "gallery",
)  # fmt: skip
"""Files and folders by what they take, so that none of two processes is left alone with a long file in the end."""


gc.set_threshold(*COLLECTED_AFTER)


def pytest_collection_finish() -> None:
    """Leave what was loaded and collected out of all that follows."""
    gc.collect()
    gc.freeze()


def pytest_configure() -> None:
    """Let Ctrl-C work in the programs that tests start, and settings load at once.

    A shell's background jobs, and their children, ignore Ctrl-C.
    """
    inspect.stack = frames  # type: ignore[assignment]
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {}
    for item in items:
        path = item.path.relative_to(PROJECT / "tests")
        if path.parts[0] in SLOW:
            item.add_marker(pytest.mark.slow)
        found = [LONGEST_FIRST.index(name) for name in (path.as_posix(), path.parts[0]) if name in LONGEST_FIRST]
        places[item] = min(found, default=len(LONGEST_FIRST))
    items.sort(key=places.__getitem__)


@pytest.fixture(scope="module", autouse=True)
def one_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let torch compute in one thread: equal bits need an equal number, and toy tensors gain nothing by more."""
    if not ONE_THREAD & set(request.path.relative_to(PROJECT / "tests").parts):
        yield
        return
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def project() -> Path:
    """The root of the repository."""
    return PROJECT


@pytest.fixture
def write_jpeg(tmp_path: Path) -> WriteJPEG:
    """Write a JPEG of one colour, or of given pixels, below the test's folder and return its path."""

    def write(name: str, *, colour=(200, 40, 90), size=(64, 128), pixels=None, **options) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", size, colour) if pixels is None else Image.fromarray(pixels)
        image.save(path, "JPEG", quality=95, **options)
        return path

    return write


@pytest.fixture(scope="session")
def drawn_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn benchmark of 8 + 4 people, written to disk."""
    parameters = SyntheticBenchmark(
        lighting=0.0,
        places_per_camera=1,
        tracklet_length=4,
        seed=5,
        num_cameras=3,
        train_identities=8,
        test_identities=4,
        cameras_per_identity=(2, 2),
        images_per_camera=(4, 4),
        distractors=3,
        junk=2,
    )
    root = tmp_path_factory.mktemp("drawn")
    for path, content in draw_benchmark(parameters, processes=1).items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_bytes(content)
    return root


@pytest.fixture(scope="session")
def drawn_files(drawn_folder: Path) -> list[str]:
    """Its files, as a raw folder lists them."""
    return sorted(path.relative_to(drawn_folder).as_posix() for path in drawn_folder.rglob("*.jpg"))


def manifest_of(rows: list[tuple[int, int | None, str]]) -> pd.DataFrame:
    """A valid manifest with one row per (pid, camid, subset)."""
    count = len(rows)
    return pd.DataFrame(
        {
            "path": [f"{subset}/{pid:04d}_{place:05d}.jpg" for place, (pid, _, subset) in enumerate(rows)],
            "identity": [f"{pid:04d}" if pid > -2 else "" for pid, *_ in rows],
            "pid": np.array([pid for pid, *_ in rows], dtype=np.int64),
            "camid": pd.array([camid for _, camid, _ in rows], dtype="Int64"),
            "camera": ["" if camid is None else str(camid + 1) for _, camid, _ in rows],
            "viewid": pd.array([pd.NA] * count, dtype="Int64"),
            "trackid": pd.array([pd.NA] * count, dtype="Int64"),
            "test_sets": pd.Series([""] * count, dtype="str"),
            "subset": [subset for *_, subset in rows],
        }
    )


def facts_of(manifest: pd.DataFrame) -> pd.DataFrame:
    """Facts of readable image files for a manifest; the hash is the row's number."""
    count = len(manifest)
    return pd.DataFrame(
        {
            "path": manifest["path"].to_numpy(),
            "sha256": [f"{place:064x}" for place in range(count)],
            "bytes": np.full(count, 2000, dtype=np.int64),
            "width": pd.array([64] * count, dtype="Int64"),
            "height": pd.array([128] * count, dtype="Int64"),
            "mode": ["RGB"] * count,
            "fault": pd.Series([""] * count, dtype="str"),
        }
    )


@pytest.fixture(scope="session")
def make_manifest() -> Callable[..., pd.DataFrame]:
    """`manifest_of`, for tests that cannot import from a conftest."""
    return manifest_of


@pytest.fixture(scope="session")
def make_facts() -> Callable[[pd.DataFrame], pd.DataFrame]:
    """`facts_of`, likewise."""
    return facts_of
