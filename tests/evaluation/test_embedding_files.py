"""Files embedded in parts: what a killed run has finished is not done again, and the result is an unbroken run's."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.evaluation import embedding_files
from reid_pipeline.evaluation.embedded_parts import EmbeddedParts
from reid_pipeline.evaluation.embedding_files import EmbeddingOfFiles
from reid_pipeline.evaluation.loaded_embedder import LoadedEmbedder
from reid_pipeline.io.embedded_images import write_embedded_images
from reid_pipeline.io.listed_images import read_listed
from reid_pipeline.models.reid_model import ReIDModel
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.parameters import BackboneParameters

pytestmark = pytest.mark.slow

COUNT = 11  # in parts of 4 images, of two batches each


class Killed(BaseException):
    """As a signal is: nothing handles it."""


@pytest.fixture(scope="module")
def loaded():
    torch.manual_seed(0)
    backbone = BackboneParameters(name="demo-vit", pretrained="demo", image_size=(32, 16))
    embedder = ReIDModel.from_backbone(backbone, neck="before").embedder()
    embedder.origin = Origin(
        made_by="pcl.export", benchmark="zoo", method="pcl", code="0", weights="ab" * 32, label_use="partial"
    )
    return LoadedEmbedder(embedder, Runtime(torch.device("cpu"), threads=1), batch_size=2)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(embedding_files, "_PART", 4)
    (tmp_path / "images").mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (COUNT, 32, 16, 3), dtype=np.uint8)
    for number, each in enumerate(pixels):
        Image.fromarray(each).save(tmp_path / f"images/{number:02d}.png")
    return tmp_path / "images"


def embedding(loaded, folder, name="out") -> EmbeddingOfFiles:
    return EmbeddingOfFiles(loaded, read_listed(folder), EmbeddedParts(folder.parent / "scratch" / name))


def watch(monkeypatch, *, kill_at: int = -1) -> list[int]:
    """Return a list of how many images went through the network, batch by batch; stop at one part's end."""
    seen, kept = [], []
    original, keep = embedding_files.embedded_batches, EmbeddedParts.keep_vectors

    def batches(embedder, inputs, runtime):
        for batch in original(embedder, inputs, runtime):
            seen.append(len(batch))
            yield batch

    def keeping(self, name, vectors):
        if len(kept) == kill_at:
            raise Killed
        kept.append(name)
        keep(self, name, vectors)

    monkeypatch.setattr(embedding_files, "embedded_batches", batches)
    monkeypatch.setattr(EmbeddedParts, "keep_vectors", keeping)
    return seen


def test_each_row_is_the_embedding_of_its_file(loaded, folder):
    made, left_out = embedding(loaded, folder).run({"embed": {}}, skip_unreadable=False)
    assert made.rows["path"].tolist() == [f"{number:02d}.png" for number in range(COUNT)]
    assert np.array_equal(made.vectors, loaded.embed(made.files())), "in the same batches, to the bit"
    assert left_out.empty
    assert (made.model, made.root) == (loaded.digest, str(folder))
    origin = made.origin
    assert (origin.made_by, origin.method, origin.label_use, origin.weights) == ("embed", "pcl", "partial", "ab" * 32)
    assert origin.made_from == {"embedder": loaded.digest}
    assert origin.threads == 1


@pytest.mark.parametrize("parts", [0, 1, 2])
def test_a_killed_run_goes_on(loaded, folder, monkeypatch, parts):
    """The Parquet file is that of an unbroken run, byte for byte, and no finished part is embedded again."""
    whole, _ = embedding(loaded, folder, "whole").run({}, skip_unreadable=False)
    write_embedded_images(whole, folder.parent / "whole.parquet")
    with monkeypatch.context() as patched:
        watch(patched, kill_at=parts)
        with pytest.raises(Killed):
            embedding(loaded, folder).run({}, skip_unreadable=False)
    seen = watch(monkeypatch)
    made, _ = embedding(loaded, folder).run({}, skip_unreadable=False)
    assert sum(seen) == COUNT - 4 * parts
    write_embedded_images(made, folder.parent / "made.parquet")
    assert (folder.parent / "made.parquet").read_bytes() == (folder.parent / "whole.parquet").read_bytes()


def test_what_changed_meanwhile_is_embedded_anew(loaded, folder, monkeypatch):
    embedding(loaded, folder).run({}, skip_unreadable=False)
    Image.new("RGB", (16, 32), "red").save(folder / "05.png")
    stored = sorted(file for file in (folder.parent / "scratch/out").iterdir() if not file.suffix)
    assert len(stored) == 3
    seen = watch(monkeypatch)
    made, _ = embedding(loaded, folder).run({}, skip_unreadable=False)
    assert sum(seen) == 4, "of the part with that image alone"
    assert np.array_equal(made.vectors, loaded.embed(made.files()))


def test_a_damaged_part_is_embedded_anew(loaded, folder, monkeypatch):
    before, _ = embedding(loaded, folder).run({}, skip_unreadable=False)
    for file, content in zip(
        [each for each in sorted((folder.parent / "scratch/out").iterdir()) if not each.suffix],
        (lambda whole: whole[:-4], lambda whole: whole[:40] + b"\0\0\0\0" + whole[44:]),
        strict=False,
    ):
        file.write_bytes(content(file.read_bytes()))
    (folder.parent / "scratch/out/image_facts.parquet").write_bytes(b"no table")
    seen = watch(monkeypatch)
    made, _ = embedding(loaded, folder).run({}, skip_unreadable=False)
    assert 4 < sum(seen) <= 8
    assert np.array_equal(made.vectors, before.vectors)


def test_unreadable_files_by_the_rule_of_ingestion(loaded, folder):
    (folder / "03.png").write_bytes((folder / "03.png").read_bytes()[:300])
    (folder / "07.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"2 of 11 images cannot be decoded: 03\.png \(.*on_unreadable=skip"):
        embedding(loaded, folder).run({}, skip_unreadable=False)
    made, left_out = embedding(loaded, folder).run({}, skip_unreadable=True)
    assert left_out["path"].tolist() == ["03.png", "07.png"]
    assert left_out["fault"].tolist()[1] == "empty file, 0 bytes"
    assert len(made.rows) == COUNT - 2
    assert np.array_equal(made.vectors, loaded.embed(made.files()))
    for file in folder.iterdir():
        file.write_bytes(b"no picture")
    with pytest.raises(UserError, match="None of the 11 images can be decoded"):
        embedding(loaded, folder).run({}, skip_unreadable=True)


def test_one_process_at_a_time_under_one_name(loaded, folder):
    first = embedding(loaded, folder)
    with (
        first.parts.only_writer(),
        pytest.raises(UserError, match="Another process is embedding under the name out"),
        EmbeddedParts(first.parts.folder).only_writer(),
    ):
        pass
    shutil.rmtree(first.parts.folder)
    assert first.parts.facts() is None
    assert isinstance(first.run({}, skip_unreadable=False)[1], pd.DataFrame)
