"""`kedro run --pipeline=embed` with a model that a run has left: the run's own embeddings, by path."""

import importlib
import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from console_blocks import documented
from small_project import ROOT, Project, measured_project, run_documented, run_session

from reid_pipeline import load_embedder
from reid_pipeline.evaluation.embedding import embedded_images_of
from reid_pipeline.io.embedded_images import read_embedded_images
from reid_pipeline.io.weights import EmbeddingsDataset
from reid_pipeline.user_errors import user_error_text

CELL = "synthetic/zero_shot/seed_0"
RAW = "data/01_raw/synthetic"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with measured_project(tmp_path_factory.mktemp("embedded") / "project") as made:
        yield made


def refusal(project: Project, **parameters: object) -> str:
    with pytest.raises(Exception, match=r".") as caught:
        run_session(project, "embed", **parameters)
    return user_error_text(caught.value) or ""


def test_the_same_images_have_the_runs_embeddings(project: Project) -> None:
    """By a table of the tested images in the run's order: the same batches, so the same bits; in a shell, too."""
    run = EmbeddingsDataset(filepath=str(project.root / f"data/07_model_output/{CELL}/embeddings.safetensors")).load()
    table = pd.read_parquet(project.root / "data/03_primary/synthetic/split_table.parquet").iloc[run.rows]
    assert run.paths == tuple(table["path"]), "embeddings of a run carry paths"
    listed = project.root / RAW / "tested.csv"
    table[["path", "identity", "camera"]].to_csv(listed, index=False)
    run_session(project, "embed", model=CELL, images=f"{RAW}/tested.csv", name="again")
    listed.unlink()
    folder = project.root / "data/07_model_output/embeddings"
    found = read_embedded_images(folder / "again.parquet")
    assert np.array_equal(found.vectors, run.vectors)
    assert found.rows["path"].tolist() == list(run.paths)
    assert found.rows["camera"].tolist() == table["camera"].tolist()
    assert (folder / "again.left_out.csv").read_text() == "path,fault\n"
    assert not (folder / "scratch/again").exists(), "no part is left"
    loaded = load_embedder(CELL, root=project.root)
    assert np.array_equal(loaded.embed(found.files(), batch_size=256), run.vectors)
    assert found.model == loaded.digest == run.origin.made_from["embedder"]
    assert found.origin.made_from["embedder"] == loaded.digest
    assert (found.origin.method, found.origin.weights) == ("zero_shot", run.origin.weights)
    as_images = embedded_images_of(run, pd.read_parquet(project.root / "data/03_primary/synthetic/split_table.parquet"),
                                   project.root / RAW)  # fmt: skip
    assert as_images.model == found.model
    assert np.array_equal(as_images.vectors, found.vectors)
    assert as_images.rows.drop(columns="trackid").equals(found.rows.drop(columns="trackid"))


def test_a_folder_is_named_after_itself_and_the_model(project: Project) -> None:
    """As the page has it."""
    file = project.root / "data/07_model_output/embeddings/photos-synthetic-zero_shot-seed_0.parquet"
    shutil.copytree(project.root / RAW / "query", project.root / "photos")
    assert str(file.relative_to(project.root)) in (ROOT / "docs/embedding.md").read_text()
    for page in (
        documented(
            "docs/embedding.md", "kedro run --pipeline=embed --params model=synthetic/zero_shot/seed_0,images=photos"
        ),
        documented(
            "docs/using.md", "kedro run --pipeline=embed --params model=synthetic/zero_shot/seed_0,images=photos"
        ),
    ):
        run_documented(project, page)
    found = read_embedded_images(file)
    assert len(found.rows) == len(list((project.root / RAW / "query").iterdir()))
    assert json.loads(json.dumps(found.origin.parameters))["images"] == str(project.root / "photos")


def test_what_is_missing_or_taken_is_named(project: Project) -> None:
    assert "Give --params model=" in refusal(project, images=f"{RAW}/query")
    assert "Give --params images=" in refusal(project, model=CELL)
    assert "Did you mean 'synthetic/zero_shot/seed_0'?" in refusal(project, model="synthetic/zero/seed_0", images=RAW)
    assert "there is no such file" in refusal(project, model=CELL, images=f"{RAW}/quary")
    said = refusal(project, model=CELL, images=f"{RAW}/bounding_box_test", name="photos-synthetic-zero_shot-seed_0")
    assert "There are embeddings of that name already, with images" in said
    assert "--params name=<name>" in said


def test_the_page_does_what_it_says(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)
    namespace: dict[str, Any] = {}
    for name in ("docs/embedding.md", "docs/using.md"):
        page = (ROOT / name).read_text()
        for number, block in enumerate(re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL), 1):
            exec(compile(block, f"{name} block {number}", "exec"), namespace)
    assert namespace["cosines"].shape[0] == 2


def test_the_program_that_asks_by_captions(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(ROOT / "bench")
    words = importlib.import_module("words")
    rows = words.measured(words.demo_cells(project.root), project.root)
    assert [row.asked_by for row in rows] == ["image", "image, projected part", "caption"]
    measured = json.loads(project.result("zero_shot", "metrics.json").read_text())
    assert (rows[0].rank1, rows[0].mAP) == (measured["rank1"], measured["mAP"]), "as the run was evaluated"
    assert "synthetic/zero_shot/seed_0" in capsys.readouterr().out
