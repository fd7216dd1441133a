"""bench/refresh.py: a small training by each of its variants, and its table."""

from pathlib import Path

import pytest
from bench_programs import bench_program

from reid_pipeline.images.check import check_images
from reid_pipeline.readers.synthetic import read
from reid_pipeline.schema.parameters import IngestionParameters, SplitParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.splits import normalise_splits

PLAN = {"epochs": 2, "iterations_per_epoch": 1, "batch_size": 8, "instances": 4, "milestones": []}


def test_less_is_embedded_and_a_row_says_how_much(
    drawn_folder: Path, drawn_files: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = bench_program("refresh")
    conf = program.configured("synthetic")
    backbone = {**conf["backbone"], "pretrained": None, "image_size": [32, 16]}
    monkeypatch.setattr(program, "configured", lambda _: {**conf, "backbone": backbone, "keep": "last"})
    raw = RawFolder(drawn_folder, tuple(drawn_files))
    manifest = read(raw, IngestionParameters(reader="synthetic")).manifest
    facts = check_images(drawn_folder, manifest["path"].tolist())
    collection = program.Collection("synthetic", raw, normalise_splits(manifest, facts, SplitParameters()).split_table)
    asked = program.variants()
    assert list(asked) == ["every 1", "every 2", "every 3", "changed"]
    found = {}
    for name in ("every 1", "every 2"):
        parameters = program.parameters_of("synthetic", {**asked[name], "k1": 6}, PLAN)
        found[name] = program.stored(tmp_path / name, lambda: program.trained(collection, parameters, 0))  # noqa: B023
    images = found["every 1"]["images"]
    assert [each["seconds"]["images"] / images for each in found.values()] == [2, 1]
    assert all(0 < each["exported"] == each["last"] <= 1 for each in found.values())
    cells = program.line("every 2", 0, found["every 2"], found["every 1"]).split("|")
    assert len(cells) == len(program.HEAD.splitlines()[0].split("|"))
    assert [each.strip() for each in cells[1:3]] == ["every 2", "0"]
    assert cells[6].strip() == "1.0"
