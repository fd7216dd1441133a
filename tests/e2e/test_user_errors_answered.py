"""Mistakes get answers: what was given, what is allowed, the remedy; earlier results stay as they are."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_project import Project, make_project

Prepare = Callable[[Project], None]


@pytest.fixture(scope="module")
def used(finished: tuple[Project, str], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with drawn images and earlier results, free to be broken."""
    project = make_project(tmp_path_factory.mktemp("used") / "project")
    shutil.copytree(finished[0].root / "data", project.root / "data")
    return project


def earlier_results(project: Project) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for layer in ("06_models", "07_model_output", "08_reporting")
        for path in sorted((project.root / "data" / layer).rglob("*"))
        if path.is_file()
    }


def refused(project: Project, *words: str) -> str:
    """Run, expect a refusal that leaves the results alone, and return what was printed on one line."""
    before = earlier_results(project)
    status, printed = project.kedro("run", *words)
    assert status == 1, printed
    assert "Traceback" not in printed
    assert before.items() <= earlier_results(project).items()
    return " ".join(printed.split())


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        (
            "unsupervised_pcl.plan.epocs=3",
            r"Parameter unsupervised_pcl\.plan: unknown parameter 'epocs'\. Did you mean 'epochs'\?",
        ),
        ("unsupervised_pcl.backbone.pretrained=weights/none.pt", r"no checkpoint file at 'weights/none\.pt'"),
    ],
)
def test_a_wrong_parameter(used: Project, given: str, answer: str) -> None:
    assert re.search(answer, refused(used, "--pipeline=unsupervised_pcl", f"--params={given}"))


def test_a_mistyped_pipeline_and_environment(used: Project) -> None:
    printed = refused(used, "--pipeline=unsupervised_plc")
    assert "no such pipeline. Did you mean 'unsupervised_pcl'?" in printed
    printed = refused(used, "--pipeline=unsupervised_pcl", "--env=market")
    assert "There is no environment 'market' in conf. Did you mean 'market1501'?" in printed


def test_a_device_that_is_not_there(used: Project) -> None:
    printed = refused(used, "--pipeline=unsupervised_pcl", "--params=compute.device=cuda:7")
    assert re.search(r"compute\.device is 'cuda:7', but this machine has: auto, cpu", printed)


def test_a_checkpoint_of_another_architecture(used: Project) -> None:
    narrow = {"visual.conv1.weight": torch.zeros(64, 3, 16, 16), "visual.proj": torch.zeros(64, 128)}
    narrow["visual.class_embedding"] = torch.zeros(64)
    torch.save(narrow, used.root / "narrow.pt")
    printed = refused(used, "--pipeline=unsupervised_pcl", "--params=unsupervised_pcl.backbone.pretrained=./narrow.pt")
    assert re.search(r"narrow\.pt.*demo-vit", printed)


def test_a_missing_and_an_empty_folder(used: Project) -> None:
    printed = refused(used, "--pipeline=unsupervised_pcl", "--env=market1501", "--params=raw_root=absent")
    assert re.search(r"Raw folder \S*absent does not exist\. Link the benchmark there .*raw_root", printed)
    (used.root / "empty").mkdir()
    printed = refused(used, "--pipeline=unsupervised_pcl", "--env=market1501", "--params=raw_root=empty")
    assert re.search(r"Raw folder \S*empty is empty\. Put or link", printed)


def market_folder(used: Project, name: str) -> Path:
    """Copy the drawn images as a Market-1501 folder of the user's."""
    folder = used.root / name
    shutil.copytree(used.root / "data/01_raw/synthetic", folder)
    (folder / "drawn_from.json").unlink()
    return folder


def test_a_file_name_outside_the_grammar(used: Project) -> None:
    folder = market_folder(used, "strange")
    next((folder / "query").iterdir()).rename(folder / "query" / "person12.jpg")
    printed = refused(used, "--pipeline=ingestion", "--env=market1501", "--params=raw_root=strange")
    assert re.search(r"1 file names are not Market-1501's: query/person12\.jpg\. A name is", printed)


def test_an_unreadable_image_is_named(used: Project) -> None:
    folder = market_folder(used, "broken")
    image = sorted((folder / "bounding_box_train").iterdir())[5]
    image.write_bytes(image.read_bytes()[:200])
    used.configure("market1501", backbone={"name": "demo-vit", "pretrained": "demo", "image_size": [96, 48]})
    printed = refused(used, "--pipeline=unsupervised_pcl", "--env=market1501", "--params=raw_root=broken")
    says = rf"1 of \d+ images cannot be decoded: \S*{image.name} \(.*Replace them by good copies"
    assert re.search(says, printed)


def test_a_folder_that_was_not_drawn_is_not_overwritten(used: Project) -> None:
    market_folder(used, "mine")
    printed = refused(used, "--pipeline=unsupervised_pcl", "--params=raw_root=mine")
    assert re.search(r"mine holds files that this project did not draw .* are not overwritten", printed)
