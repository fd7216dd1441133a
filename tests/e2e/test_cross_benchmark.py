"""`kedro run --pipeline=cross_benchmark` over what sessions in two environments left on disk."""

import csv
import json
from collections.abc import Iterator

import pytest
from console_blocks import documented
from kedro.framework.project import configure_project
from kedro.framework.startup import bootstrap_project
from small_project import (
    LEAST_BACKBONE,
    LEAST_DRAWING,
    LEAST_PEOPLE,
    Project,
    make_project,
    run_documented,
    run_session,
)

from reid_pipeline.user_errors import user_error_text


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    made = make_project(tmp_path_factory.mktemp("crossed") / "project")
    bootstrap_project(made.root)
    yield made
    configure_project("reid_pipeline")


def test_every_embedder_on_every_test_split(project: Project) -> None:
    with pytest.raises(Exception, match="There is no embedder in") as caught:
        run_session(project, "cross_benchmark")
    assert user_error_text(caught.value).endswith("kedro run --pipeline=zero_shot")
    other = "synthetic_vehicles"
    project.configure(backbone=LEAST_BACKBONE, synthetic=LEAST_PEOPLE)
    project.configure(other, backbone=LEAST_BACKBONE, synthetic=LEAST_DRAWING)
    for given in ({}, {"seed": 1}, {"environment": other}):
        run_session(project, "zero_shot", to_nodes=("zero_shot.evaluate",), **given)
    run_documented(project, documented("docs/evaluation.md", "kedro run --pipeline=cross_benchmark"))
    folder = project.root / "data/08_reporting/cross_benchmark"
    matrix = json.loads((folder / "cross_benchmark.json").read_text())
    assert matrix["benchmarks"] == ["synthetic", "synthetic_vehicles"]
    found = {(each["trained_on"], each["seed"], each["tested_on"]): each["mAP"] for each in matrix["results"]}
    assert len(found) == 3 * 2
    # zero_shot learns nothing, so that on each split all three are the same model: what its own run measured.
    for tested, environment in (("synthetic", "synthetic"), ("synthetic_vehicles", "synthetic_vehicles")):
        own = project.root / "data/08_reporting" / environment / "zero_shot/seed_0/metrics.json"
        measured = json.loads(own.read_text())["mAP"]
        for trained, seed in (("synthetic", 0), ("synthetic", 1), ("synthetic_vehicles", 0)):
            assert found[trained, seed, tested] == pytest.approx(measured, abs=1e-6)
    rows = list(csv.DictReader((folder / "cross_benchmark.csv").read_text().splitlines()))
    assert [float(row["mAP"]) for row in rows] == pytest.approx(list(found.values()))
    text = (folder / "cross_benchmark.md").read_text()
    assert text.count("| zero_shot |") == 3
    assert text.count(" * |") == 3  # its own benchmark, marked
    assert "<h1>Trained on one benchmark, tested on another</h1>" in (folder / "cross_benchmark.html").read_text()
