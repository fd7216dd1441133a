"""Paths that users give: the home folder, what is missing, what is no file; wherever a parameter takes one."""

import os
from pathlib import Path

import pytest

from reid_pipeline.config.overlays import read_overlay
from reid_pipeline.config.starts import as_address, start_file
from reid_pipeline.models.backbone import build_image_encoder
from reid_pipeline.models.importers import read_published
from reid_pipeline.models.model_folders import read_model_folder
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import BackboneParameters
from reid_pipeline.schema.user_paths import user_file, user_path

NOBODY = "~nosuchuser/x.pth"


def test_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/a/b.pt", "it is") == tmp_path / "a" / "b.pt"
    assert user_path("a/b.pt", "it is") == Path("a/b.pt")


@pytest.mark.parametrize(
    "taken",
    [
        lambda folder: read_overlay(folder, NOBODY, "base"),
        lambda folder: start_file(NOBODY, folder, folder),
        lambda _: read_published(NOBODY),
        lambda _: read_model_folder(NOBODY),
        lambda _: build_image_encoder("demo-vit", pretrained=NOBODY),
        lambda _: BackboneParameters(name="demo-vit", pretrained=NOBODY),
    ],
)
def test_a_home_that_is_not_known_is_refused_wherever_a_path_is_taken(taken, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'~nosuchuser/x\.pth', and the home folder that it begins with is not known"):
        taken(tmp_path)


def test_what_is_no_path_is_no_address(tmp_path: Path) -> None:
    assert as_address(NOBODY, tmp_path, tmp_path) == NOBODY


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").touch()
    assert user_file("weights.pt", "it is", "Give one.", folder=tmp_path) == tmp_path / "weights.pt"
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for given, why in (
        ("wights.pt", r"there is no such file\. Did you mean 'weights\.pt'\? Give one\.$"),
        ("weights.pt/inner", r"there is no such file\. Give one\.$"),
        ("folder", r"which is a folder\. Give one\.$"),
        ("pipe", r"which is a FIFO \(named pipe\)\. Give one\.$"),
        ("a\0b", "which no file is called"),
    ):
        with pytest.raises(UserError, match=why):
            user_file(given, "it is", "Give one.", folder=tmp_path)
