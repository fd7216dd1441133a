"""After `forget` no eight consecutive components of a vector are in any file, for every kind of index."""

import json
from pathlib import Path

import numpy as np
import pytest
from small_gallery import MODEL, WIDTH, clustered, files_with, filled, rows, units

from reid_pipeline.gallery import Gallery, segments
from reid_pipeline.gallery.kinds import KINDS
from reid_pipeline.schema.errors import UserError


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of 60 rows at most, of which those of 20 have an index."""
    monkeypatch.setattr(segments, "SEGMENT_BYTES", dict.fromkeys(KINDS, segments._HEADER + 60 * 4 * WIDTH))
    monkeypatch.setattr(segments, "INDEXED_FROM", 20)


def outlier_and_others() -> tuple[np.ndarray, list[str]]:
    """100 vectors near each other, and three that are far from those: a list of inverted lists has but one of them."""
    vectors = np.concatenate([clustered(0, 1, 100), units(9, 3)])
    return vectors, [f"crowd {i % 25}" for i in range(100)] + ["Anna", "Anna", "Bert"]


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("index", ["exact", "ivf", "hnsw"])
def test_no_eight_components_are_left(index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reid_pipeline.gallery.kinds.ivf._ROWS_PER_LIST", 3)
    vectors, names = outlier_and_others()
    gallery = filled(tmp_path / "g", vectors, rows(names), index)
    gallery.merge("Bert", "Anna")
    before = [files_with(vector, tmp_path) for vector in vectors[[-3, -2, -1]]]
    assert all(".npy" in each for each in before)
    if index == "ivf":
        assert any(".npz" in each for each in before), "a mean of one row is that row: the trap is there"
    entries = gallery.entries()
    gone = [*np.flatnonzero(entries["identity"] == "crowd 7"), 100, 101, 102]
    assert gallery.forget(identity="crowd 7").entries == 4
    assert gallery.forget(identity="Bert").entries == 3
    for row in gone[-4:]:
        assert files_with(vectors[row], tmp_path) == set()
    assert files_with(vectors[0], tmp_path) == {".npy"}
    text = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"Anna" not in text
    assert b"Bert" not in text
    assert {record["index"] for record in json.loads((tmp_path / "g/gallery.json").read_text())["segments"]} == {index}
    left = np.setdiff1d(np.arange(len(vectors)), gone)
    np.testing.assert_array_equal(gallery.vectors(), vectors[left])
    found = gallery.search(vectors[left], 1).ids[:, 0]
    assert (found == left).mean() > 0.99


def test_by_camera_and_time_together(tmp_path: Path) -> None:
    names = ["Anna", "Anna", "Bert", "Bert", "Cleo"]
    times = ["2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-01-01T00:00:00+01:00", "", "2025-12-31"]
    entries = rows(names, camera=["door", "door", "yard", "door", "door"], time=times)
    gallery = filled(tmp_path / "g", units(0, 5), entries)
    assert gallery.forget(camera="door", before="2026-02-01").entries == 2
    assert gallery.entries()["identity"].tolist() == ["Anna", "Bert", "Bert"]
    assert gallery.forget(before="2026-01-01T00:00:00Z").entries == 1, "23:00 of the year before, in UTC"
    assert gallery.entries()["time"].tolist() == ["2026-03-01T00:00:00Z", ""]
    with pytest.raises(UserError, match=r"no entry that meets.*1 entries have no time"):
        gallery.forget(before="2020-01-01")
    assert gallery.forget(camera="door").entries == 2
    assert len(gallery) == 0
    assert gallery.identities().empty
    assert gallery.search(units(1, 1), 2).ids.tolist() == [[-1, -1]]
    assert (gallery.enrol(units(3, 1), rows(["Anna"]), model=MODEL) == [5]).all(), "ids are never used again"


def test_refusals(tmp_path: Path) -> None:
    gallery = filled(tmp_path / "zoo", units(0, 2), rows(["Anna", "Bert"], camera=["door", "yard"]))
    for arguments, text in (
        ({}, "Nothing says what is to be forgotten"),
        ({"identity": "Ana"}, r"no identity 'Ana'\. Did you mean 'Anna'\? It has 2 identities: Anna, Bert\."),
        ({"camera": "dor"}, r"no entry of camera 'dor'\. Did you mean 'door'\?"),
        ({"before": "yesterday"}, r"before is 'yesterday'; a date or time is needed"),
        ({"before": ""}, "before is ''; a date or time is needed"),
        ({"identity": "Anna", "camera": "yard"}, "no entry that meets all"),
    ):
        with pytest.raises(UserError, match=text):
            gallery.forget(**arguments)
    assert len(gallery) == 2


def test_copies_outside_are_listed(tmp_path: Path) -> None:
    """Parquet files that vectors came from; and what DVC's cache has of them and of the segments that are gone."""
    source = tmp_path / "data" / "zoo.parquet"
    source.parent.mkdir()
    source.write_bytes(b"vectors")
    gallery = Gallery.create(tmp_path / "data" / "g", model=MODEL, width=WIDTH)
    gallery.enrol(units(0, 2), rows(["Anna", "Bert"]), model=MODEL, sources=[source, tmp_path / "gone.parquet"])
    assert gallery.forget(identity="Anna").copies == (str(source),)
    cache = tmp_path / "elsewhere" / "files" / "md5"
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[cache]\n    dir = ../elsewhere\n")
    listing = [
        {"md5": "11" + "a" * 30, "relpath": "segments/000001.npy"},
        {"md5": "12" + "a" * 30, "relpath": "segments/000009.npy"},
        {"md5": "13" + "a" * 30, "relpath": "gallery.json"},
    ]
    for md5 in ("11" + "a" * 30, "12" + "a" * 30, "13" + "a" * 30, "14" + "a" * 30):
        (cache / md5[:2]).mkdir(parents=True)
        (cache / md5[:2] / md5[2:]).write_bytes(b"")
    (cache / "15").mkdir()
    (cache / "15" / ("a" * 30 + ".dir")).write_text(json.dumps(listing))
    (tmp_path / "data" / "g.dvc").write_text(f"outs:\n- md5: 15{'a' * 30}.dir\n  path: g\n")
    (tmp_path / "dvc.lock").write_text(
        f"stages:\n  embed:\n    outs:\n    - path: data/zoo.parquet\n      md5: 14{'a' * 30}\n"
    )
    copies = gallery.forget(identity="Bert").copies
    assert copies == (str(source), str(cache / "14" / ("a" * 30)), str(cache / "11" / ("a" * 30)))


def test_a_file_stays_listed_when_the_gallery_is_embedded_anew(tmp_path: Path) -> None:
    source = tmp_path / "zoo.parquet"
    source.write_bytes(b"vectors of the model before")
    gallery = Gallery.create(tmp_path / "g", model=MODEL, width=WIDTH)
    ids = gallery.enrol(units(0, 2), rows(["Anna", "Bert"]), model=MODEL, sources=[source])
    gallery.embed_anew(ids, units(1, 2), model="another")
    assert gallery.forget(identity="Anna").copies == (str(source),)


def test_an_empty_camera_forgets_nobody(tmp_path: Path) -> None:
    gallery = filled(tmp_path / "g", units(0, 2), rows(["Anna", "Bert"]))
    with pytest.raises(UserError, match="camera whose entries are to be forgotten is empty"):
        gallery.forget(identity="Anna", camera="")
    assert len(gallery) == 2
