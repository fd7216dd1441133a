"""A published checkpoint becomes a cell like any other, by the same files, and no cell of a training is overwritten."""

import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from kedro.framework.project import configure_project
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from pydantic import TypeAdapter
from released_models import ReleasedModel, ReleasedViT, released_model, stored
from small_project import LEAST_BACKBONE, LEAST_PEOPLE, ROOT, Project, make_project, run_session

from reid_pipeline.io.weights import EmbedderDataset, EmbeddingsDataset
from reid_pipeline.pipelines.import_model import convert, require_importable
from reid_pipeline.schema.addresses import Cells
from reid_pipeline.schema.digests import digest_of_file
from reid_pipeline.schema.errors import UserError
from reid_pipeline.user_errors import user_error_text

DEMO = json.loads((ROOT / "src/reid_pipeline/models/configs/demo-vit.json").read_text())
SIZE = (48, 36)
FOLDER = "clip_reid+imported-ViT-B-16_60"


def released(method: str = "clip_reid", *, stride: int = 9, **options: Any) -> ReleasedModel:
    return released_model(method, ReleasedViT(DEMO, SIZE, stride), **options)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project in which a model with side information of two cameras and overlapping patches was imported."""
    made = make_project(tmp_path_factory.mktemp("imported") / "project")
    conf = made.root / "conf/synthetic"
    catalog = yaml.safe_load((conf / "catalog.yml").read_text())
    catalog["raw_images"]["drawing"] = LEAST_PEOPLE
    (conf / "catalog.yml").write_text(yaml.safe_dump(catalog))
    shared = yaml.safe_load((conf / "parameters.yml").read_text())
    backbone = {**LEAST_BACKBONE, "image_size": list(SIZE)}
    (conf / "parameters.yml").write_text(yaml.safe_dump({**shared, "backbone": backbone}))
    bootstrap_project(made.root)
    torch.save(stored(released(rows=2, identities=2)), made.root / "ViT-B-16_60.pth")
    imported(made)
    yield made
    configure_project("reid_pipeline")


def imported(project: Project, checkpoint: str = "ViT-B-16_60.pth", method: str = "clip_reid", **rest: Any) -> None:
    run_session(project, "import_model", checkpoint=str(project.root / checkpoint), method=method, **rest)


def refused(run: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(Exception, match=r".") as caught:
        run(*arguments, **named)
    text = user_error_text(caught.value)
    assert text is not None, caught.value
    return text


def test_the_cell_has_the_files_of_any_other(project: Project) -> None:
    data = project.root / "data"
    found = (str(path.relative_to(data)) for path in data.rglob("*") if path.is_file())
    files = {file for file in found if FOLDER in file and not file.startswith(".locks")}
    cell = f"synthetic/{FOLDER}/seed_0"
    records = {file for file in files if file.startswith("09_records")}
    assert {file.split("/")[4] for file in records} == {"metrics.json", "history.json", "run_card.json"}
    reports = ("metrics", "breakdown", "history", "run_card", "curves", "clusters", "explanations")
    assert files - records == {
        f"06_models/{cell}/embedder.safetensors",
        *(f"08_reporting/{cell}/clusters.{end}" for end in ("csv", "parquet")),
        f"07_model_output/{cell}/embeddings.safetensors",
        *(f"08_reporting/{cell}/{name}.json" for name in reports),
        f"08_reporting/synthetic/{FOLDER}/report_seed_0.html",
    }


def test_the_embedder_is_the_released_model_and_says_where_it_comes_from(project: Project) -> None:
    file = project.root / f"data/06_models/synthetic/{FOLDER}/seed_0/embedder.safetensors"
    embedder = EmbedderDataset(filepath=str(file)).load()
    images, camids = torch.randn(3, 3, *SIZE), torch.tensor([1, 0, 1])
    expected = released(rows=2, identities=2).embedding(images, camids)
    torch.testing.assert_close(embedder(images, camids).double(), expected, atol=1e-6, rtol=0)
    description, origin = embedder.description(), embedder.origin
    assert (description["patch_stride"], description["num_cameras"], description["neck"]) == (9, 2, "before")
    assert description["evaluation_resize"] == "bilinear"
    assert (origin.made_by, origin.method, origin.label_use) == ("import_model.convert", "clip_reid", "all")
    assert origin.made_from == {"published_checkpoint": digest_of_file(project.root / "ViT-B-16_60.pth")}
    assert origin.weights is None
    embeddings = EmbeddingsDataset(
        filepath=str(project.root / f"data/07_model_output/synthetic/{FOLDER}/seed_0/embeddings.safetensors")
    ).load()
    assert embeddings.vectors.shape[1] == embedder.encoder.embedding_width


def test_the_card_and_the_leaderboard_say_that_it_was_imported(project: Project) -> None:
    card = json.loads((project.root / f"data/08_reporting/synthetic/{FOLDER}/seed_0/run_card.json").read_text())
    assert card["imported"] == digest_of_file(project.root / "ViT-B-16_60.pth")
    assert card["differs"] == {"checkpoint": card["imported"][:12]}
    assert card["training_seconds"] == 0
    backbone = card["parameters"]["clip_reid"]["backbone"]
    assert (backbone["sie"], backbone["patch_stride"]) == ("camera", 9), "what published figures are found by"
    page = (project.root / f"data/08_reporting/synthetic/{FOLDER}/report_seed_0.html").read_text()
    assert "Imported: its authors trained it" in page
    run_session(project, "leaderboard")
    board = json.loads((project.root / "data/08_reporting/leaderboard/leaderboard.json").read_text())
    (row,) = [row for row in board["benchmarks"][0]["rows"] if row["seeds"]]
    assert (row["method"], row["variant"]) == ("clip_reid", "imported-ViT-B-16_60")
    assert row["notes"] == ["imported: trained by its authors, not here"]


def test_the_card_of_an_import_makes_its_cell_again(project: Project) -> None:
    file = project.root / f"data/08_reporting/synthetic/{FOLDER}/seed_0/run_card.json"
    before = json.loads(file.read_text())
    imported(project, overlay=str(file))
    again = json.loads(file.read_text())
    assert again["parameters"] == before["parameters"]
    assert again["differs"] == before["differs"]
    assert "was made with checkpoint=" in refused(run_session, project, "clip_reid", overlay=str(file))


def test_part_of_an_import_goes_on_from_its_files(project: Project) -> None:
    given = {"checkpoint": str(project.root / "ViT-B-16_60.pth"), "method": "clip_reid"}
    run_session(project, "import_model", from_nodes=("import_model.evaluate",), **given)
    text = refused(
        run_session,
        project,
        "import_model",
        from_nodes=("import_model.evaluate",),
        **{**given, "variant": "imported-ViT-B-16_60", "evaluation": {"flip_averaging": True}},
    )
    assert "was made with" in text or "--from-nodes=import_model.extract" in text


def test_a_model_of_other_identities_counts_as_trained_on_anothers_labels(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    file = project.root / "another.pth"
    torch.save(stored(released(rows=2, identities=7)), file)
    given = {"checkpoint": str(file), "method": "clip_reid"}
    with KedroSession.create(project.root, env="synthetic", runtime_params=given) as session:
        context = session.load_context()
        table, parameters = context.catalog.load("split_table"), context.params
    logging.getLogger("reid_pipeline").addHandler(caplog.handler)
    found = convert(parameters, table, TypeAdapter(Cells).validate_python(parameters["cells"]))[0].origin
    logging.getLogger("reid_pipeline").removeHandler(caplog.handler)
    assert "another.pth has a classifier of 7 identities, and the training images of synthetic show 2" in caplog.text
    assert (found.label_use, set(found.made_from)) == ("source", {"published_checkpoint", "labels of another"})


def test_no_other_cell_is_overwritten(project: Project) -> None:
    """Another file of the same name, the same under the name of a training, and a training under its name."""
    (project.root / "other").mkdir()
    torch.save(stored(released(rows=2, identities=2, seed=1)), project.root / "other/ViT-B-16_60.pth")
    text = refused(imported, project, "other/ViT-B-16_60.pth")
    assert "was made with checkpoint=" in text
    assert "--params variant=<name>" in text
    text = refused(run_session, project, "clip_reid", variant="imported-ViT-B-16_60", clip_reid={"margin": 0.4})
    assert "was made with checkpoint=" in text
    results = project.root / "data/08_reporting/synthetic"
    card = json.loads((results / FOLDER / "seed_0/run_card.json").read_text())
    trained = results / "clip_reid+mine/seed_0/run_card.json"
    trained.parent.mkdir(parents=True)
    trained.write_text(json.dumps({**card, "variant": "mine", "differs": {}}))
    text = refused(imported, project, variant="mine")
    assert "was made with the parameters in conf/, and this run has checkpoint=" in text
    shutil.rmtree(results / "clip_reid+mine")


def test_what_is_missing_or_wrong_is_asked_for_before_any_work(project: Project, tmp_path: Path) -> None:
    absent = str(tmp_path / "absent")  # nothing is read: the tables would be made first
    for given, answer in (
        ({}, "Which method is the checkpoint of? Give method=clip_reid, as in kedro run --pipeline=import_model"),
        ({"method": "pcl"}, "is no model of PCL-CLIP, which has classifier.*"),
    ):
        checkpoint = str(project.root / "ViT-B-16_60.pth")
        text = refused(run_session, project, "import_model", checkpoint=checkpoint, raw_root=absent, **given)
        assert answer in text
    for parameters, answer in (
        ({"method": "pcl"}, "Which file is imported? Give checkpoint=<file>"),
        ({"method": "clip-reid"}, "no method 'clip-reid'. Did you mean 'clip_reid'?"),
    ):
        assert answer in refused(require_importable, parameters)


def test_a_checkpoint_beside_a_training_is_refused(project: Project) -> None:
    given = {"checkpoint": str(project.root / "ViT-B-16_60.pth"), "method": "clip_reid"}
    assert "--pipeline=import_model" in refused(run_session, project, "clip_reid", **given)


def test_conf_cannot_make_what_the_run_makes(project: Project) -> None:
    with pytest.raises(UserError, match="Parameter import_model is made by the run"):
        run_session(project, "ingestion", import_model={"method": "pcl"})
