"""`kedro run --pipeline=export` on the smallest run: files, cards, refusals, and the page that says how to use them."""

import contextlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from small_project import ROOT, Project, measured_project, run_session

from reid_pipeline import load_embedder
from reid_pipeline.export import exporting, proof
from reid_pipeline.export.card_page import card_text
from reid_pipeline.export.files import METADATA
from reid_pipeline.export.sessions import run_of_onnx
from reid_pipeline.io.exports import ExportsDataset
from reid_pipeline.schema.digests import digest_of_file
from reid_pipeline.schema.exports import ExportCard
from reid_pipeline.user_errors import user_error_text

CELL = "synthetic/zero_shot/seed_0"
RAW = "data/01_raw/synthetic"
QUICK = {"latency_seconds": 0.01, "calibration_images": 4}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with measured_project(tmp_path_factory.mktemp("exported") / "project") as made:
        yield made


@pytest.fixture(scope="module")
def folder(project: Project) -> Path:
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(proof.MAP_POINTS, "int8", 20.0)  # of six queries one that moves a rank is points
        run_session(project, "export", model=CELL, format="all", export=QUICK)
    return project.root / "data/07_model_output/exports/synthetic-zero_shot-seed_0-all"


def refusal(project: Project, **parameters: Any) -> str:
    with pytest.raises(Exception, match=r".") as caught:
        run_session(project, "export", **parameters)
    return user_error_text(caught.value) or ""


def test_every_file_has_its_proof_in_the_card(project: Project, folder: Path) -> None:
    card: ExportCard = ExportsDataset(filepath=str(folder)).load()
    names = ["float32.onnx", "float32.pt2", "float16.onnx", "float16.pt2", "int8.onnx"]
    assert [each.file for each in card.files] == names
    assert sorted(each.name for each in folder.iterdir()) == sorted([*names, "card.json", "card.md"])
    metrics = json.loads(project.result("zero_shot", "metrics.json").read_text())
    assert card.proof.mAP == pytest.approx(metrics["mAP"], abs=1e-6), "by the project's own protocol"
    assert (card.proof.images, card.proof.queries) == (
        metrics["num_queries"] + metrics["num_gallery"], metrics["num_queries"],
    )  # fmt: skip
    for each in card.files:
        file = folder / each.file
        assert (each.sha256, each.bytes) == (digest_of_file(file), file.stat().st_size)
        assert 100 * abs(each.agreement.mAP_difference) <= proof.MAP_POINTS[each.precision] or each.precision == "int8"
        assert [one.batch for one in each.latency] == [1, 32]
        assert each.file in (folder / "card.md").read_text()
    assert card.files[0].agreement.largest_difference < 1e-5
    sizes = {each.file: each.bytes for each in card.files}
    assert sizes["int8.onnx"] < sizes["float16.onnx"] < sizes["float32.onnx"]
    assert card.origin.made_from["embedder"] == load_embedder(CELL, root=project.root).digest
    assert card.resizes[0].resize.startswith("bilinear without antialiasing")
    assert "Apache-2.0" in card.licence


def test_the_files_give_the_pipelines_embeddings_and_say_what_they_are(project: Project, folder: Path) -> None:
    model = load_embedder(CELL, root=project.root)
    queries = sorted((project.root / RAW / "query").iterdir())
    wanted = model.embed(queries)
    pixels = np.stack([np.array(image) for image in resized(queries, model)]).transpose(0, 3, 1, 2)
    run = run_of_onnx((folder / "float32.onnx").read_bytes(), 1)
    assert np.allclose(run({"images": pixels}), wanted, atol=1e-6)
    written = {METADATA: ""}
    program = torch.export.load(folder / "float32.pt2", extra_files=written)
    assert np.allclose(program.module()(images=torch.from_numpy(pixels)).numpy(), wanted, atol=1e-6)
    file = onnx.load(folder / "int8.onnx")
    metadata = {each.key: each.value for each in file.metadata_props}
    content = b"".join(map(ZipFile(folder / "float32.pt2").read, ZipFile(folder / "float32.pt2").namelist()))
    assert b"site-packages" not in content, "no path of the machine that wrote it"
    assert b"reid_pipeline/export/graph.py" not in content
    assert json.loads(written[METADATA])["origin"] == metadata["origin"]
    assert json.loads(metadata["origin"])["method"] == "zero_shot"
    assert {"licence", "inputs", "outputs", "opset", "resize", "pixel_mean", "pixel_std", "arithmetic"} <= set(metadata)
    assert "unit vectors" in file.doc_string
    assert "demo-vit, not adapted, images of" in file.doc_string, "zero_shot trains nothing"
    assert str(project.root).encode() not in file.SerializeToString()
    assert any(node.op_type == "DequantizeLinear" for node in file.graph.node)


def resized(files: list[Path], model: Any) -> list[np.ndarray]:
    from reid_pipeline.images.decode import read_image

    return [read_image(file, model.target) for file in files]


def test_a_trackers_file_needs_no_labels_and_int8_takes_what_is_within_the_bound(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = iter(["its least cosine is low", ""])
    monkeypatch.setattr(exporting, "int8_models", lambda model, _: iter([("coarse", model), ("fine", model)]))
    monkeypatch.setattr(exporting, "refusal", lambda *_: next(faults))
    run_session(project, "export", model=CELL, signature="boxmot", images=f"{RAW}/query", name="tracked",
                export={**QUICK, "precision": "int8", "test_images": 3})  # fmt: skip
    folder = project.root / "data/07_model_output/exports/tracked"
    card = ExportsDataset(filepath=str(folder)).load()
    assert [each.file for each in card.files] == ["osnet_x0_25_int8.onnx"]
    assert card.inputs[0].shape == ("batch", 3, 256, 128)
    assert (card.proof.images, card.proof.mAP, card.files[0].agreement.mAP) == (3, None, None)
    assert str(project.root) not in "".join(file.read_text() for file in folder.glob("card.*"))
    assert "mAP" not in card_text(card)
    assert "INTER_LINEAR: least cosine 0." in card_text(card)
    assert card.files[0].bound == "every cosine at least 0.98, as no image has a label"
    assert (card.files[0].arithmetic, card.files[0].refused) == (
        "fine", ("not coarse, by which its least cosine is low",),
    )  # fmt: skip


def test_an_export_that_is_not_the_model_is_refused_and_leaves_nothing(
    project: Project, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    honest = exporting.run_of_pt2
    monkeypatch.setattr(exporting, "run_of_pt2", lambda file: lambda inputs: np.roll(honest(file)(inputs), 1, axis=0))
    parameters = {"model": CELL, "format": "pt2", "name": folder.name, "export": {**QUICK, "precision": "float32"}}
    said = refusal(project, **parameters)
    assert "as float32.pt2 is not the model: its mAP is" in said
    assert "Nothing was written. Leave that precision out, export.precision=" in said
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_what_cannot_be_exported_is_named(project: Project) -> None:
    assert "Give --params model=" in refusal(project)
    assert "int8 is written as ONNX alone" in refusal(project, model=CELL, format="pt2", export={"precision": "int8"})
    assert "Parameter signature" in refusal(project, model=CELL, signature="boxmott")
    table = project.root / "data/03_primary/synthetic/split_table.parquet"
    aside = table.rename(table.with_name("aside"))
    assert "There is nothing to prove the export on" in refusal(project, model=CELL)
    aside.rename(table)


def test_the_page_does_what_it_says(project: Project, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)
    namespace: dict[str, Any] = {}
    page = (ROOT / "docs/exporting.md").read_text().replace("synthetic-zero_shot-seed_0", folder.name)
    found = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    for number, block in enumerate(found, 1):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(block, f"docs/exporting.md block {number}", "exec"), namespace)
    table = pd.read_parquet(project.root / "data/03_primary/synthetic/split_table.parquet")
    assert namespace["vectors"].shape[0] == int((table["split"] == "query").sum())
