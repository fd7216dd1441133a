"""12-bit pictures in 16: the warning, and `ingestion.white_value` from ingestion to model and pages."""

import json
import os
from collections.abc import Iterator

import numpy as np
import pytest
from kedro.framework.project import configure_project
from kedro.framework.startup import bootstrap_project
from PIL import Image
from small_project import LEAST_BACKBONE, Project, make_project, run_session

from reid_pipeline.io.weights import EmbedderDataset, EmbeddingsDataset
from reid_pipeline.user_errors import user_error_text

GIVEN = {"collection": "thermal", "ingestion": {"on_unreadable": "skip"}}
RIGHT = {**GIVEN, "ingestion": {"on_unreadable": "skip", "white_value": 4095}}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project with the same pictures twice, in 12 bits and in 16: `thermal` and `scaled`."""
    made = make_project(tmp_path_factory.mktemp("deep") / "project")
    bootstrap_project(made.root)
    made.configure("custom", backbone=LEAST_BACKBONE)
    generator = np.random.default_rng(0)
    for individual in range(6):
        for number in range(3):
            values = generator.integers(0, 4096, (32, 16), dtype=np.uint16)
            values[0, 0] = 4095
            for name, factor in (("thermal", 1), ("scaled", 65535 / 4095)):
                file = made.root / "data/01_raw" / name / f"fox-{individual}" / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.rint(values * factor).astype(np.uint16)).save(file)
    os.mkfifo(made.root / "data/01_raw/thermal/fox-0/pipe.png")
    yield made
    configure_project("reid_pipeline")


def summary(project: Project, collection: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(
        (project.root / f"data/08_reporting/{collection}/dataset/summary.json").read_text()
    )
    return found


def test_dark_collections_are_told_and_read_right_with_a_white_value(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    run_session(project, "ingestion", environment="custom", **GIVEN)
    assert "the brightest value in any of them is 4,095" in " ".join(capsys.readouterr().out.split())
    assert summary(project, "thermal")["deep"] == {"images": 18, "brightest": 4095, "white_value": 65535}
    assert summary(project, "thermal")["skipped"] == [
        {"path": "fox-0/pipe.png", "fault": "it is a FIFO (named pipe), not a regular file"}
    ]
    page = (project.root / "data/08_reporting/thermal/dataset/dataset.html").read_text()
    assert "18 pictures have 16 bits, and the brightest value in any of them is 4,095, where 65,535 is white" in page
    assert "--params ingestion.white_value=4095" in page

    with pytest.raises(Exception) as caught:  # noqa: PT011 - whose text is compared
        run_session(project, "zero_shot", environment="custom", from_nodes=("zero_shot.build",), **RIGHT)
    assert "ingestion.white_value was None and is 4095" in str(user_error_text(caught.value))

    vectors = {}
    for name, given in (("thermal", RIGHT), ("scaled", {"collection": "scaled"})):
        run_session(project, "zero_shot", environment="custom", **given)
        (results,) = (project.root / "data/07_model_output" / name).glob("zero_shot*/seed_0/embeddings.safetensors")
        vectors[name] = EmbeddingsDataset(filepath=str(results)).load().vectors
        assert "are nearly black" not in (project.root / f"data/08_reporting/{name}/dataset/dataset.html").read_text()
    assert np.abs(vectors["thermal"] - vectors["scaled"]).max() < 0.02
    (model,) = (project.root / "data/06_models/thermal").glob("zero_shot*/seed_0/embedder.safetensors")
    assert EmbedderDataset(filepath=str(model)).load().description()["white_value"] == 4095
