"""Training images that the methods' tests share."""

from pathlib import Path

import numpy as np
import pytest
import torch

from reid_drawings import SyntheticBenchmark, draw_benchmark
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.stage import TrainingData
from reid_pipeline.images.reid_images import ReIDImages


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    """Four drawn people, six images each, by two of three cameras, read at 48 x 24."""
    root: Path = tmp_path_factory.mktemp("four")
    parameters = SyntheticBenchmark(
        train_identities=4, test_identities=1, num_cameras=3, cameras_per_identity=(2, 2),
        images_per_camera=(3, 3), distractors=0, junk=0,
    )  # fmt: skip
    drawn = draw_benchmark(parameters, processes=1)
    files = sorted(path for path in drawn if path.startswith("bounding_box_train"))
    for path in files:
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_bytes(drawn[path])
    pids = [path.split("/")[1][:4] for path in files]
    labels = np.unique(pids, return_inverse=True)[1].astype(np.int64)
    camids = np.array([int(path.split("_c")[1][0]) - 1 for path in files])
    return TrainingData(ReIDImages(root, files, (48, 24)), labels, camids, Runtime(torch.device("cpu")), 0)
