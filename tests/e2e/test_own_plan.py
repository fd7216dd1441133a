"""`--env=custom` with the small CLIP: the plan is printed before training, frozen in the card, and resumed from."""

import json
import logging
from pathlib import Path

import pytest
from kedro.framework.project import configure_project
from kedro.framework.startup import bootstrap_project
from PIL import Image
from small_project import Project, make_project, run_session

from reid_pipeline.engine import forecast, loop
from reid_pipeline.models import published_weights
from reid_pipeline.schema.errors import UserError

# Ten training images: 320 steps of 4 are 9 epochs of 36, of which 2 are given. As beyond four identities, so here.
PLAN = {"epochs": 9, "iterations_per_epoch": 2, "batch_size": 4, "instances": 2, "warmup_epochs": 1, "milestones": [7]}
GIVEN = {
    "collection": "zoo",
    "overlay": "small",
    "backbone": {"image_size": [32, 16], "pretrained": None},
    "baseline": {"plan": {"iterations_per_epoch": 2}},
    "evaluation": {"resamples": 0},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make_project(tmp_path_factory.mktemp("own_plan") / "project")
    for animal in range(4):
        for number in range(5):
            file = made.root / "data/01_raw/zoo" / f"fox-{animal}" / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 32), (60 * animal, 40 * number, 100)).save(file)
    bootstrap_project(made.root)
    configure_project("reid_pipeline")
    return made


def run(project: Project, **options: object) -> None:
    run_session(project, "baseline", environment="custom", **options, **GIVEN)


@pytest.fixture(scope="module")
def killed_and_resumed(project: Project) -> tuple[Project, list[str]]:
    """A run that ends after three epochs and goes on, on a machine with less memory; the lines of both."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logging.getLogger("reid_pipeline").addHandler(handler)
    whole_epoch = loop._Loop.run_epoch

    def three_epochs(self: loop._Loop) -> None:
        if self.epoch == 3:
            raise RuntimeError("the power is off")
        whole_epoch(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop._Loop, "run_epoch", three_epochs)
        with pytest.raises(RuntimeError, match="the power is off"):
            run(project)
    lines.append("resumed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forecast, "memory_of", lambda _device: 10)
        run(project)
    logging.getLogger("reid_pipeline").removeHandler(handler)
    return project, lines


def result(project: Project, name: str) -> dict | list:
    (folder,) = (project.root / "data/08_reporting/zoo").glob("baseline+*/seed_0")
    return json.loads((folder / name).read_text())


def place(lines: list[str], words: str) -> int:
    return next(number for number, line in enumerate(lines) if words in line)


def test_it_is_printed_before_the_first_epoch(killed_and_resumed) -> None:
    _, lines = killed_and_resumed
    first = lines[: place(lines, "resumed")]
    plan = place(first, "the plan for 10 training images is 9 epochs of 2 steps of 4 images, 2 of an identity")
    assert "Given, and not from the data: iterations_per_epoch." in first[plan]
    assert plan < place(first, "on the CPU (") < place(first, "baseline.plan.epochs=4") < place(first, "epoch 1/9")


def test_a_killed_run_goes_on_with_the_same_plan_on_another_machine(killed_and_resumed) -> None:
    project, lines = killed_and_resumed
    second = lines[place(lines, "resumed") :]
    assert place(second, "Going on after epoch 3") < place(second, "for the 6 epochs that are left")
    assert place(second, "images go through the tower at once") < place(second, "epoch 4/9")
    assert [record["epoch"] for record in result(project, "history.json")] == list(range(1, 10))


def test_the_card_holds_it_and_says_what_the_data_decided(killed_and_resumed) -> None:
    project, _ = killed_and_resumed
    card = result(project, "run_card.json")
    plan = card["parameters"]["baseline"]["plan"]
    assert {name: plan[name] for name in PLAN} == PLAN
    assert card["auto"] == sorted(f"plan.{name}" for name in PLAN if name != "iterations_per_epoch")
    assert (plan["chunk_size"], card["chunk_size"]) == (None, 1), "memory decides no more than rounding"
    assert card["label_use"] == "all"


def test_later_nodes_take_it_and_so_does_the_card_as_an_overlay(killed_and_resumed) -> None:
    project, _ = killed_and_resumed
    before = result(project, "metrics.json")
    run(project, from_nodes=("baseline.export",))
    assert result(project, "metrics.json")["mAP"] == before["mAP"]
    from reid_pipeline.config.loader import LayeredConfigLoader
    from reid_pipeline.settings import CONFIG_LOADER_ARGS

    (file,) = Path(project.root / "data/08_reporting/zoo").glob("baseline+*/seed_0/run_card.json")
    given = {"overlay": str(file)}
    loader = LayeredConfigLoader(str(project.root / "conf"), "custom", given, **CONFIG_LOADER_ARGS)
    cell = loader["parameters"]["cells"]["baseline"]
    assert (cell["variant"], "auto" in cell) == (file.parent.parent.name.removeprefix("baseline+"), False)
    assert {name: loader["parameters"]["baseline"]["plan"][name] for name in PLAN} == PLAN


def test_without_a_network_for_the_weights_the_command_is_offered(project, monkeypatch) -> None:
    def absent(*_: object) -> None:
        raise published_weights._NoDownloadError("there is no network")

    monkeypatch.setattr(published_weights, "_cached", lambda *_: None)
    monkeypatch.setattr(published_weights, "_downloaded", absent)
    with pytest.raises(UserError) as caught:
        run_session(project, "unsupervised_pcl", environment="custom", collection="zoo")
    sentence, _, rest = str(caught.value).partition(". ")
    assert (
        "weights of ViT-B-16-quickgelu here; the small CLIP that ships with this project needs no download" in sentence
    )
    assert sentence.endswith(
        ": kedro run --pipeline=unsupervised_pcl --env=custom --params=collection=zoo,overlay=small"
    )
    assert rest.startswith("The weights 'openai' of 'ViT-B-16-quickgelu' are not in the cache")
