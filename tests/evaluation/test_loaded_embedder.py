"""`load_embedder` in a Python shell: the pipeline's own embeddings, from files or pictures, by a cell or a file."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import reid_pipeline
from reid_pipeline import load_embedder
from reid_pipeline.engine.runtime import resolve_runtime
from reid_pipeline.evaluation.embedding import Extraction
from reid_pipeline.io.weights import EmbedderDataset, TensorsDataset
from reid_pipeline.models.reid_model import ReIDModel
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.parameters import BackboneParameters, ComputeParameters, EvaluationParameters
from reid_pipeline.schema.population import Population
from reid_pipeline.schema.raw_folder import RawFolder

pytestmark = pytest.mark.slow

COUNT, SIZE = 7, (32, 16)
BACKBONE = {"name": "demo-vit", "pretrained": "demo", "image_size": SIZE}


def model(neck: str = "before", **backbone: object):
    torch.manual_seed(1)
    population = Population(identities=0, cameras=3) if "sie" in backbone else None
    made = ReIDModel.from_backbone(BackboneParameters(**BACKBONE | backbone), population, neck=neck)
    if "sie" in backbone:
        torch.nn.init.normal_(made.encoder.side_embedding)
        made.encoder.side_seen.fill_(True)
    return made.embedder()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with images of several kinds, and two cells."""
    root = tmp_path_factory.mktemp("project")
    (root / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 40, 21, 3), dtype=np.uint8)
    for number, each in enumerate(pixels):
        Image.fromarray(each).save(root / f"images/{number}.{'png' if number % 2 else 'jpg'}", quality=90)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(pixels[0]).save(root / "images/6.jpg", exif=turned)
    (root / "images/6.jpg").rename(root / "images/7.jpg")
    Image.fromarray(pixels[6]).convert("L").save(root / "images/6.jpg")
    for folder, made in {"pcl+a%3Ab": model("after"), "zero_shot": model(), "baseline": model(sie="camera")}.items():
        made.origin = Origin(made_by="export", method=folder.split("+")[0], code="0")
        EmbedderDataset(filepath=str(root / f"data/06_models/market/{folder}/seed_0/embedder.safetensors")).save(made)
    return root


def files_of(project: Path) -> list[Path]:
    return sorted((project / "images").iterdir())


def by_the_pipeline(project: Path, cell: str, *, batch_size: int, camids=None) -> np.ndarray:
    """What the node `extract` computes, from the same file, through the split table."""
    table = pd.DataFrame({"path": [file.name for file in files_of(project)]})
    empty = pd.array([pd.NA] * len(table), dtype="Int64")
    table = table.assign(camid=empty if camids is None else pd.array(camids, dtype="Int64"), viewid=empty)
    embedder = EmbedderDataset(filepath=str(project / f"data/06_models/{cell}/embedder.safetensors")).load()
    runtime = resolve_runtime(ComputeParameters(device="cpu"))
    extraction = Extraction(RawFolder(project / "images", ()), runtime, EvaluationParameters(batch_size=batch_size))
    return extraction.vectors(embedder, table, np.arange(len(table)))


@pytest.mark.parametrize("cell", ["market/zero_shot/seed_0", "market/pcl+a:b/seed_0"])
def test_the_pipelines_own_embeddings(project, cell):
    loaded = load_embedder(cell, root=project)
    folder = cell.replace(":", "%3A")
    files = files_of(project)
    found = loaded.embed(files, batch_size=3)
    assert found.dtype == np.float32
    assert found.shape == (COUNT + 1, loaded.width)
    assert np.array_equal(found, by_the_pipeline(project, folder, batch_size=3)), "to the bit, by the same batches"
    assert np.array_equal(loaded.embed(files), by_the_pipeline(project, folder, batch_size=64))
    assert np.abs(loaded.embed(files, batch_size=1) - found).max() < 1e-6
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_cameras_count_where_the_model_has_learnt_them(project):
    loaded, files = load_embedder("market/baseline/seed_0", root=project), files_of(project)
    camids = [0, 1, 2, 0, 1, 2, 0, 1]
    found = loaded.embed(files, camids=camids, batch_size=8)
    assert np.array_equal(found, by_the_pipeline(project, "market/baseline/seed_0", batch_size=8, camids=camids))
    assert np.abs(found - loaded.embed(files, camids=camids[::-1])).max() > 1e-3
    with pytest.raises(UserError, match=r"camids are int64 \[2\]; give a whole number for each of the 8 images"):
        loaded.embed(files, camids=[0, 1])


def test_any_form_of_an_image(project):
    loaded, files = load_embedder("market/zero_shot/seed_0", root=project), files_of(project)
    expected = loaded.embed(files)
    assert np.array_equal(loaded.embed(str(file) for file in files), expected)
    pictures = [Image.open(file) for file in files]
    assert np.array_equal(loaded.embed(pictures), expected), "EXIF and grey pictures as in files"
    mixed = [np.asarray(Image.open(files[1])), files[0], Image.open(files[3])]
    assert np.abs(loaded.embed(mixed) - expected[[1, 0, 3]]).max() < 1e-6
    assert loaded.embed(str(files[2])).shape == (1, loaded.width)
    assert loaded.embed(np.asarray(Image.open(files[1]))).shape == (1, loaded.width)
    assert loaded.embed([]).shape == (0, loaded.width)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([np.zeros((4, 4), np.uint8)], r"Image 0 of those given is a uint8 array \[4, 4\]. Give the path of a file"),
        ([np.zeros((4, 4, 3), np.float32)], r"is a float32 array \[4, 4, 3\]"),
        ([np.zeros((0, 4, 3), np.uint8)], "has no pixels"),
        ([3], "is of type int"),
        (["absent.jpg"], r"Image absent\.jpg does not exist"),
    ],
)
def test_what_is_no_image_is_refused(project, given, words):
    with pytest.raises(UserError, match=words):
        load_embedder("market/zero_shot/seed_0", root=project).embed(given)


def test_what_it_says_of_itself(project):
    loaded = load_embedder(project / "data/06_models/market/zero_shot/seed_0")
    assert loaded.description["backbone"] == "demo-vit"
    assert (loaded.width, loaded.projected) == (192 + 128, slice(192, 320))
    assert loaded.origin.method == "zero_shot"
    assert loaded.origin.digest == loaded.digest
    other = load_embedder(project / "data/06_models/market/pcl+a%3Ab/seed_0/embedder.safetensors")
    assert other.digest != loaded.digest
    assert other.projected is None, "after necks"


def test_a_model_that_is_not_there(project, tmp_path):
    with pytest.raises(UserError, match=r"no embedder of such a cell in .* Did you mean 'market/zero_shot/seed_0'\?"):
        load_embedder("market/zeroshot/seed_0", root=project)
    with pytest.raises(UserError, match=r"Parameter model is 'embedder.safetensor', and there is no such file"):
        load_embedder("embedder.safetensor", root=project)
    TensorsDataset(filepath=str(tmp_path / "a.safetensors")).save({"a": torch.zeros(2)})
    with pytest.raises(UserError, match=r"a\.safetensors does not describe an embedder\. .*--pipeline=import_model"):
        load_embedder(tmp_path / "a.safetensors")
    (tmp_path / "b.pth").write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match=r"b\.pth is no safetensors file"):
        load_embedder(tmp_path / "b.pth")


def test_importing_the_package_stays_light():
    said = subprocess.run(
        [sys.executable, "-c", "import sys, reid_pipeline; print(len({'torch', 'pandas', 'kedro'} & {*sys.modules}))"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert said.strip() == "0"
    assert {"load_embedder", "LoadedEmbedder"} <= {*dir(reid_pipeline)}
    with pytest.raises(AttributeError, match="no attribute 'load_embeder'"):
        _ = reid_pipeline.load_embeder
