"""`clip_reid` as a pipeline: two training nodes, what is stored between them, and going on from it."""

import json
import re
from typing import Any

import pytest
import torch
from console_blocks import documented
from kedro.framework.project import configure_project
from kedro.framework.startup import bootstrap_project
from safetensors import safe_open
from safetensors.torch import load_file
from small_project import Project, make_project, run_documented, run_session

from reid_pipeline.schema.explanations import Explanations
from reid_pipeline.user_errors import user_error_text

SECOND = ("clip_reid.train_visual_fine_tuning",)
PLAN = {"epochs": 1, "iterations_per_epoch": 2, "batch_size": 16, "instances": 4, "milestones": []}
PARAMETERS: dict[str, Any] = {
    "clip_reid": {
        "plan": {**PLAN, "warmup_epochs": 0},
        "prompts": {"plan": {"epochs": 2, "batch_size": 32, "warmup_epochs": 0}},
    }
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory):
    made = make_project(tmp_path_factory.mktemp("stages") / "project", explained=True)
    bootstrap_project(made.root)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    made.configure(**PARAMETERS)
    run_documented(made, documented("docs/methods.md", "kedro run --pipeline=clip_reid"))
    yield made
    torch.set_num_threads(threads)
    configure_project("reid_pipeline")


def explanations(project: Project) -> bytes:
    return project.result("clip_reid", "explanations.json").read_bytes()


def described_labels(project: Project) -> list[str]:
    with safe_open(models(project) / "prompt_learning.safetensors", framework="pt") as file:
        return list(json.loads(file.metadata()["header"])["checkpoint"]["label_map"])


def models(project: Project):
    return project.root / "data/06_models/synthetic/clip_reid/seed_0"


def test_each_stage_is_stored_and_says_what_it_is(project: Project) -> None:
    for stage in ("prompt_learning", "visual_fine_tuning"):
        with safe_open(models(project) / f"{stage}.safetensors", framework="pt") as file:
            described = json.loads(file.metadata()["header"])["checkpoint"]
        origin = described["origin"]
        assert (origin["method"], described["stage"], origin["seed"]) == ("clip_reid", stage, 0)
        parameters = origin["parameters"]["clip_reid"]
        assert parameters["prompts"]["noun"] == "person"
        assert (parameters.get("recipe") == "released") is (stage == "visual_fine_tuning")  # the first reads none
        assert len(described["label_map"]) == described["population"]["identities"] == 12
    assert not list(models(project).glob("scratch/*_state.pt"))


def test_the_history_holds_both_stages(project: Project) -> None:
    history = json.loads(project.result("clip_reid", "history.json").read_text())
    assert [(record["stage"], record["epoch"]) for record in history] == [
        ("prompt_learning", 1),
        ("prompt_learning", 2),
        ("visual_fine_tuning", 1),
    ]


def test_the_embedder_is_the_trained_image_side(project: Project) -> None:
    trained = load_file(models(project) / "visual_fine_tuning.safetensors")
    exported = load_file(models(project) / "embedder.safetensors")
    assert all(torch.equal(trained[name], tensor) for name, tensor in exported.items())
    assert not [name for name in exported if name.startswith(("text_encoder", "prompts", "classifiers"))]


def test_going_on_from_the_stored_first_stage_gives_the_same_bits(project: Project) -> None:
    before, explained = (models(project) / "embedder.safetensors").read_bytes(), explanations(project)
    first = (models(project) / "prompt_learning.safetensors").stat().st_mtime_ns
    run_documented(
        project,
        documented("docs/methods.md", "kedro run --pipeline=clip_reid --from-nodes=clip_reid.train_visual_fine_tuning"),
    )
    assert (models(project) / "embedder.safetensors").read_bytes() == before
    assert (models(project) / "prompt_learning.safetensors").stat().st_mtime_ns == first
    assert explanations(project) == explained


def test_the_report_draws_images_and_prompts_before_and_after(project: Project) -> None:
    """The prompts are those of the twelve training identities; what the page draws is what the record has."""
    record = Explanations.model_validate_json(explanations(project))
    assert record.texts is not None
    assert record.images is not None
    assert record.images.before is not None
    assert record.texts.identities == tuple(described_labels(project))
    assert record.texts.before.mean_cosine != record.texts.after.mean_cosine
    page = project.result("clip_reid", "").with_name("report_seed_0.html").read_text()
    points = [len(record.images.group)] * 2 + [12] * 2
    drawn = re.findall(r'<svg viewBox="0 0 400 400".*?</svg>', page, re.DOTALL)
    assert [each.count("<use ") for each in drawn] == points
    assert f"Mean cosine of two of them: {record.texts.after.mean_cosine:.3f}." in drawn[3]


def test_the_second_stages_parameters_may_change(project: Project) -> None:
    before = (models(project) / "embedder.safetensors").read_bytes()
    project.configure(clip_reid={"identity_weight": 0.5})
    run_session(project, "clip_reid", from_nodes=SECOND)
    assert (models(project) / "embedder.safetensors").read_bytes() != before


def test_the_first_stages_may_not(project: Project) -> None:
    project.configure(clip_reid={"prompts": {"context_tokens": 2}})
    with pytest.raises(Exception, match="was not made by this run") as caught:
        run_session(project, "clip_reid", from_nodes=SECOND)
    told = user_error_text(caught.value)
    assert told is not None
    assert "prompts.context_tokens was 4 and is 2" in told
