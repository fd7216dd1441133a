"""CONTRIBUTING's example method, taken from the page, trains on a micro data set."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from documents import file_block
from PIL import Image
from project_copy import ROOT

from reid_pipeline import methods
from reid_pipeline.engine.loop import fit
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.stage import Method, TrainingData
from reid_pipeline.images.reid_images import ReIDImages
from reid_pipeline.schema.population import Population

NAME = "batch_centres"
MODULE = f"src/reid_pipeline/methods/{NAME}.py"
PARAMETERS = f"conf/base/parameters_{NAME}.yml"


@pytest.fixture
def method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Method:
    (tmp_path / f"{NAME}.py").write_text(file_block(ROOT / "CONTRIBUTING.md", MODULE))
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    return methods.find_method(NAME)


@pytest.fixture
def data(tmp_path: Path) -> TrainingData:
    labels = np.repeat(np.arange(4), 3)
    generator = np.random.default_rng(0)
    colours = generator.integers(0, 256, (4, 3))
    paths = []
    for row, label in enumerate(labels):
        pixels = np.clip(colours[label] + generator.integers(-20, 20, (96, 48, 3)), 0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{row}.png")
        paths.append(f"{row}.png")
    images = ReIDImages(tmp_path, paths, (96, 48))
    return TrainingData(images, labels.astype(np.int64), None, Runtime(torch.device("cpu")), seed=0)


@pytest.mark.slow
def test_it_trains(method: Method, data: TrainingData) -> None:
    assert NAME in methods.method_names()
    given = yaml.safe_load(file_block(ROOT / "CONTRIBUTING.md", PARAMETERS))[NAME]
    given["backbone"] = {"name": "demo-vit", "pretrained": None, "image_size": [96, 48]}
    given["plan"] |= {"epochs": 2, "iterations_per_epoch": 4, "batch_size": 9, "instances": 3}
    parameters = method.params.model_validate(given)
    torch.manual_seed(0)
    model = method.build(parameters, Population(identities=4))
    before = {name: value.clone() for name, value in model.named_parameters() if value.requires_grad}
    (stage,) = method.stages(parameters)
    *_, last = fit(stage, model, data)
    assert (stage.name,) == method.stage_names
    assert [record["epoch"] for record in last.history] == [1, 2]
    assert all(np.isfinite(record["losses"]["centres"]) for record in last.history)
    assert any(not torch.equal(before[name], value) for name, value in model.named_parameters() if name in before)
    assert model.embedder()(torch.zeros(2, 3, 96, 48)).shape == (2, model.encoder.embedding_width)


def test_its_module_loads_without_torch() -> None:
    tree = ast.parse(file_block(ROOT / "CONTRIBUTING.md", MODULE))
    heavy = [
        node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) and "torch" in ast.unparse(node)
    ]
    assert heavy == []


@pytest.mark.slow
def test_its_module_is_typed_without_exceptions(tmp_path: Path) -> None:
    """Strictly, with the project's configuration; the cache is that of `mypy` at the root."""
    code = file_block(ROOT / "CONTRIBUTING.md", MODULE)
    assert "type: ignore" not in code
    file = tmp_path / f"{NAME}.py"
    file.write_text(code)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", ROOT / "pyproject.toml", file],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_module_has_the_projects_style() -> None:
    ruff = [Path(sys.executable).parent / "ruff"]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [*ruff, *command, "--stdin-filename", str(ROOT / MODULE), "-"],
            input=file_block(ROOT / "CONTRIBUTING.md", MODULE),
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout
