"""A training starts from a cell, an embedder or a published model: said, recorded, resumed, refused where it cannot.

People are the source and vehicles the target: two benchmarks, two image sizes.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from kedro.framework.project import configure_project
from kedro.framework.startup import bootstrap_project
from released_models import ReleasedViT, released_model, stored
from small_project import LEAST_DRAWING, LEAST_PEOPLE, ROOT, Project, make_project, run_session

from reid_pipeline.engine.checkpoint import digest_of_tensors
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.training import TrainingRun, train_stage
from reid_pipeline.io.atomic import AtomicParquetDataset
from reid_pipeline.io.weights import EmbedderDataset
from reid_pipeline.methods import find_method
from reid_pipeline.models.positions import resize_positions
from reid_pipeline.models.pretrained import DEMO_WEIGHTS
from reid_pipeline.schema.digests import digest_of_file
from reid_pipeline.schema.nested import merged
from reid_pipeline.schema.population import Population
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.user_errors import user_error_text

SOURCE = "synthetic/pcl/seed_0"
ADAPTED = "unsupervised_pcl+init_from=synthetic-pcl-seed_0"
PLAN = {"epochs": 1, "iterations_per_epoch": 1, "batch_size": 8, "instances": 2, "warmup_epochs": 0, "milestones": []}
CLUSTERING = {"k1": 3, "k2": 1, "eps": 0.05, "min_samples": 1, "max_noise_share": 1.0}
DEMO = json.loads((ROOT / "src/reid_pipeline/models/configs/demo-vit.json").read_text())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project in which `pcl` was trained on people, and a clustering adapted from it to vehicles."""
    made = make_project(tmp_path_factory.mktemp("started") / "project")
    for environment, drawing, size in (
        ("synthetic", LEAST_PEOPLE, [48, 24]),
        ("synthetic_vehicles", LEAST_DRAWING, [36, 36]),
    ):
        made.configure(
            environment,
            synthetic=drawing,
            backbone={"name": "demo-vit", "pretrained": "demo", "image_size": size},
            pcl={"plan": PLAN},
            unsupervised_pcl={"plan": PLAN, "clustering": CLUSTERING},
            clip_reid={"plan": PLAN, "prompts": {"plan": {**PLAN, "instances": None}}},
        )
    bootstrap_project(made.root)
    run_session(made, "pcl")
    adapt(made)
    yield made
    configure_project("reid_pipeline")


def adapt(project: Project, pipeline: str = "unsupervised_pcl", init_from: str = SOURCE, **rest: Any) -> None:
    run_session(project, pipeline, environment="synthetic_vehicles", init_from=init_from, **rest)


def refused(*arguments: Any, **named: Any) -> str:
    with pytest.raises(Exception, match=r".") as caught:
        adapt(*arguments, **named)
    text = user_error_text(caught.value)
    assert text is not None, caught.value
    return text


def embedder(project: Project, cell: str) -> Any:
    return EmbedderDataset(filepath=str(project.root / "data/06_models" / cell / "embedder.safetensors")).load()


def card(project: Project, folder: str) -> dict[str, Any]:
    return json.loads(
        (project.root / f"data/08_reporting/synthetic_vehicles/{folder}/seed_0/run_card.json").read_text()
    )


def test_the_cell_says_what_it_started_from(project: Project) -> None:
    source, adapted = embedder(project, SOURCE), embedder(project, f"synthetic_vehicles/{ADAPTED}/seed_0")
    assert adapted.origin.weights == adapted.origin.made_from["init_from"] == source.origin.digest
    assert adapted.origin.made_from["labels of synthetic"] == source.origin.data
    assert (source.origin.label_use, adapted.origin.label_use) == ("all", "source")
    found = card(project, ADAPTED)
    assert (found["init_from"], found["weights"], found["label_use"]) == (SOURCE, source.origin.digest, "source")
    assert found["differs"] == {"init_from": SOURCE}
    assert found["parameters"]["init_from"] == SOURCE, "an overlay of the card starts from it again"


def test_zero_shot_beside_it_is_the_source_on_the_other_benchmark(project: Project) -> None:
    """Before adaptation, with the source's necks; its numbers are the source's tower at the other size."""
    folder = "zero_shot+init_from=synthetic-pcl-seed_0"
    assert card(project, ADAPTED)["zero_shot"] == f"synthetic_vehicles/{folder}/seed_0"
    direct, source = embedder(project, f"synthetic_vehicles/{folder}/seed_0"), embedder(project, SOURCE)
    assert (direct.neck, direct.origin.label_use) == ("after", "source")
    key = "encoder.visual.positional_embedding"
    ours, theirs = direct.state_dict(), source.state_dict()
    assert ours.keys() == theirs.keys()
    for name in ours:
        wanted = resize_positions(theirs[name], (4, 2), (3, 3)) if name == key else theirs[name]
        torch.testing.assert_close(ours[name], wanted, atol=0, rtol=0, msg=name)


def test_the_pages_show_whose_labels_were_used_and_the_start(project: Project) -> None:
    folder = project.root / "data/08_reporting"
    page = (folder / f"synthetic_vehicles/{ADAPTED}/report_seed_0.html").read_text()
    assert "of the source" in page
    assert SOURCE in page
    run_session(project, "leaderboard")
    rows = json.loads((folder / "leaderboard/leaderboard.json").read_text())["benchmarks"]
    notes = {
        (row["method"], row["variant"]): (row["label_use"], row["notes"])
        for each in rows
        if each["benchmark"] == "synthetic_vehicles"
        for row in each["rows"]
        if row["seeds"]
    }
    assert notes["unsupervised_pcl", "init_from=synthetic-pcl-seed_0"] == ("source", [f"started from {SOURCE}"])


def test_each_way_of_naming_it_is_the_same_cell(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    """The path of the cell's embedder is its address; what is taken over is said once for each method."""
    file = project.root / "data/06_models" / SOURCE / "embedder.safetensors"
    before = card(project, ADAPTED)["differs"]
    with caplog.at_level(logging.INFO, "reid_pipeline"):
        adapt(project, init_from=str(file))
    assert card(project, ADAPTED)["differs"] == before
    lines = [record.getMessage() for record in caplog.records if " starts from: " in record.getMessage()]
    assert sorted(line.split(" ")[0] for line in lines) == ["unsupervised_pcl"] * 3 + ["zero_shot"] * 3
    assert "tower demo-vit" in lines[0]
    assert "resized from 4 x 2 to 3 x 3" in lines[1]
    assert "necks: taken over with their statistics" in lines[2]


def test_another_source_is_another_training(project: Project) -> None:
    """A file of its own: the same tensors changed by a little; the cell is not written over."""
    other = embedder(project, SOURCE)
    with torch.no_grad():
        other.encoder.visual.proj += 0.01
    other.origin = other.origin.replace(digest=None)
    file = project.root / "mine/embedder.safetensors"
    EmbedderDataset(filepath=str(file)).save(other)
    adapt(project, "zero_shot", init_from="mine/embedder.safetensors", variant="mine", to_nodes=("zero_shot.run_card",))
    text = refused(project, "zero_shot", init_from=SOURCE, variant="mine")
    assert "was made with init_from=embedder.safetensors" in text
    assert "init_from=synthetic-pcl-seed_0" in text


def the_run(project: Project, method: str = "unsupervised_pcl", **options: Any) -> TrainingRun:
    """A training on the vehicles, from the source's embedder."""
    folder = project.root / "data/03_primary/synthetic_vehicles"
    table = AtomicParquetDataset(filepath=str(folder / "split_table.parquet")).load()
    held = yaml.safe_load((project.root / "conf/base" / f"parameters_{method}.yml").read_text())[method]
    backbone = {"name": "demo-vit", "pretrained": "demo", "image_size": [36, 36]}
    plans = {"clip_reid": {"prompts": {"noun": "vehicle"}}, "unsupervised_pcl": {"clustering": CLUSTERING}}
    given = {"backbone": backbone, "plan": {**PLAN, **options}, **plans[method]}
    parameters = find_method(method).params.model_validate(merged(held, given))
    raw = RawFolder(project.root / "data/01_raw/synthetic_vehicles", ())
    initial = embedder(project, SOURCE)
    read = (find_method(method), parameters, table, raw, Runtime(torch.device("cpu")), 0)
    return TrainingRun(*read, benchmark="synthetic_vehicles", initial=initial)


def test_a_text_method_reads_its_text_tower_from_the_pretrained_weights(project: Project) -> None:
    run = the_run(project, "clip_reid")
    origin = run.origin(run.stage("prompt_learning"))
    assert origin.label_use == "all"
    assert origin.made_from["text_tower"] == digest_of_file(DEMO_WEIGHTS)
    assert origin.weights == embedder(project, SOURCE).origin.digest
    model = run.model()
    torch.testing.assert_close(
        model.encoder.visual.proj.detach(), run.initial.encoder.visual.proj.detach(), atol=0, rtol=0
    )
    alone = find_method("clip_reid").build(run.parameters, Population(2))
    key = "text_projection"
    assert torch.equal(model.text_encoder.state_dict()[key], alone.text_encoder.state_dict()[key])


def test_a_published_file_is_a_start_without_an_import(project: Project) -> None:
    """48 x 36 pixels at the stride of a patch of 12 are the grid of the file: 4 x 3."""
    torch.save(stored(released_model("pcl", ReleasedViT(DEMO, (48, 36), 12))), project.root / "Market.pth")
    size = {"image_size": [48, 36]}
    adapt(project, "zero_shot", init_from="Market.pth", backbone=size, variant="market", to_nodes=("zero_shot.build",))
    found = embedder(project, "synthetic_vehicles/zero_shot+market/seed_0")
    assert (found.neck, found.origin.label_use) == ("after", "source")
    text = refused(project, "zero_shot", init_from="Market.pth")
    assert "Or import it first, kedro run --pipeline=import_model" in text


def test_a_killed_run_goes_on_from_the_same_start_alone(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    """Two epochs in one go, and stopped after the first: equal to the bit; from another source it begins anew."""
    run = the_run(project, epochs=2)
    *_, (whole, _) = train_stage(run, "cluster_contrast", None)
    first, _ = next(train_stage(run, "cluster_contrast", None))
    *_, (resumed, history) = train_stage(run, "cluster_contrast", first)
    assert digest_of_tensors(whole["model"]) == digest_of_tensors(resumed["model"])
    assert len(history) == 2
    run.initial.origin = run.initial.origin.replace(digest="0" * 64)
    other = replace(run)
    assert other.origin(other.stage("cluster_contrast")).fingerprint != resumed["description"]["origin"]
    next(train_stage(other, "cluster_contrast", first))
    assert "it is of another training (weights was" in caplog.text


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ({"init_from": "synthetic/plc/seed_0"}, "no embedder of such a cell"),
        ({"init_from": "synthetic/plc/seed_0"}, "Did you mean 'synthetic/pcl/seed_0'?"),
        ({"init_from": "absent.safetensors"}, "there is no such file"),
        ({"init_from": "pyproject.toml"}, "init_from: The checkpoint"),
        ({"backbone": {"name": "ViT-B-32", "pretrained": None}}, "has the tower demo-vit, and this run has ViT-B-32"),
    ],
)
def test_what_cannot_be_a_start_is_refused_before_any_work(
    project: Project, given: dict[str, Any], answer: str, tmp_path: Path
) -> None:
    assert answer in refused(project, **given, raw_root=str(tmp_path / "absent"))


def test_it_is_given_with_the_run_and_not_to_an_import(project: Project) -> None:
    file = project.root / "conf/synthetic_vehicles/parameters.yml"
    held = file.read_text()
    assert "trains nothing" in refused(
        project, "import_model", checkpoint=str(project.root / "Market.pth"), method="pcl"
    )
    file.write_text(yaml.safe_dump({**yaml.safe_load(held), "init_from": SOURCE}))
    try:
        with pytest.raises(Exception, match="Parameter init_from stands in conf/"):
            run_session(project, "ingestion", environment="synthetic_vehicles")
    finally:
        file.write_text(held)
