"""What a gallery takes, what it refuses, and the names of identities: merge, undo, rename."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_gallery import MODEL, WIDTH, filled, rows, units

import reid_pipeline
from reid_pipeline.gallery import Gallery, segments
from reid_pipeline.gallery.kinds import KINDS
from reid_pipeline.schema.errors import UserError


def names_of(gallery: Gallery) -> list[str]:
    return list(gallery.entries()["identity"])


def test_entries_come_back_as_they_were_given(tmp_path: Path) -> None:
    entries = rows(
        ["Anna", "Bert", "Anna"],
        camera=["door", "", "yard"],
        time=["2026-11-28T20:15:00+02:00", "", "2026-11-28T20:15:00.25Z"],
        collection=["zoo", "zoo", ""],
        trackid=[3, -1, 4],
    )
    filled(tmp_path / "g", units(0, 3), entries)
    expected = entries.assign(
        id=range(3), confirmed=True, time=["2026-11-28T18:15:00Z", "", "2026-11-28T20:15:00.250000Z"]
    )[["id", "path", "identity", "camera", "time", "collection", "trackid", "confirmed"]]
    again = reid_pipeline.Gallery.open(tmp_path / "g")
    pd.testing.assert_frame_equal(again.entries(), expected, check_dtype=False)
    pd.testing.assert_frame_equal(
        again.entries([2, 0]), expected.iloc[[2, 0]].reset_index(drop=True), check_dtype=False
    )
    np.testing.assert_array_equal(again.vectors([1]), units(0, 3)[[1]])
    assert again.identities().to_dict("records") == [
        {"identity": "Anna", "images": 2, "cameras": "door, yard", "first": "2026-11-28T18:15:00Z",
         "last": "2026-11-28T20:15:00.250000Z", "confirmed": True},
        {"identity": "Bert", "images": 1, "cameras": "", "first": "", "last": "", "confirmed": True},
    ]  # fmt: skip


def test_what_is_there_is_not_added_again(tmp_path: Path) -> None:
    """So that an enrolment that was interrupted can be repeated."""
    vectors, entries = units(0, 5), rows(["Anna", "Anna", "Bert", "Cleo", "Cleo"])
    gallery = filled(tmp_path / "g", vectors[:3], entries[:3])
    before = gallery._state.manifest
    assert gallery.enrol(vectors[:3], entries[:3], model=MODEL).tolist() == [0, 1, 2]
    assert gallery._state.manifest == before
    twice = np.r_[1:5, 4]
    assert gallery.enrol(vectors[twice], entries.iloc[twice], model=MODEL).tolist() == [1, 2, 3, 4, 4]
    assert len(gallery) == 5
    other_moment = entries[:1].assign(time="2026-01-01")
    assert gallery.enrol(vectors[:1], other_moment, model=MODEL).tolist() == [5], "a path may be written over"
    with pytest.raises(UserError, match=r"1 images have two names: 0_Anna\.jpg is 'Anna' and now 'Dora'"):
        gallery.enrol(vectors[:1], entries[:1].assign(identity="Dora"), model=MODEL)
    both = pd.concat([entries[3:4].assign(path="new.jpg"), entries[2:3].assign(path="new.jpg")])
    with pytest.raises(UserError, match=r"new\.jpg is 'Cleo' and now 'Bert'"):
        gallery.enrol(units(7, 1)[[0, 0]], both, model=MODEL)


def test_many_small_enrolments_make_few_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", dict.fromkeys(KINDS, segments._HEADER + 20 * 4 * WIDTH))
    monkeypatch.setattr("os.fsync", lambda _: None)
    vectors = units(0, 71)
    gallery = Gallery.create(tmp_path / "g", model=MODEL, width=WIDTH)
    for row in range(25):
        gallery.enrol(vectors[row : row + 1], rows(["Anna"]).assign(path=f"{row}.jpg"), model=MODEL)
    gallery.enrol(vectors[25:], rows(["Bert"] * 46), model=MODEL)
    sizes = [each.record.rows for each in gallery._state.segments]
    assert sum(sizes) == 71
    assert max(sizes) <= 20
    assert len(sizes) <= 8
    assert all(
        file.stat().st_size <= segments.SEGMENT_BYTES["exact"] for file in (tmp_path / "g/segments").glob("*.npy")
    )
    np.testing.assert_array_equal(gallery.vectors(), vectors)


@pytest.mark.parametrize(
    ("vectors", "entries", "model", "text"),
    [
        (units(0, 1), rows(["Anna"]), "b" * 64, "of model bbbbbbbbbbbb, and gallery g holds .* aaaaaaaaaaaa"),
        (units(0, 1, 16), rows(["Anna"]), MODEL, r"shape \[1, 16\] and dtype float32; a matrix of numbers \[n, 32\]"),
        (units(0, 2) * [[1], [np.nan]], rows(["Anna", "Bert"]), MODEL, "1 of the 2 .* NaN or infinite values: rows 1"),
        (units(0, 2) * [[1], [2]], rows(["Anna", "Bert"]), MODEL, "not of unit length: rows 1, the first with norm 2"),
        (units(0, 2), rows(["Anna", ""]), MODEL, r"1 entries have no identity: rows 1\. .*confirmed=False"),
        (units(0, 2), rows(["Anna"]), MODEL, "1 entries for 2 vectors"),
        (units(0, 1), rows(["Anna"], cammera=["door"]), MODEL, r"column 'cammera', .* Did you mean 'camera'\?"),
        (units(0, 1), rows(["Anna"]).drop(columns="path"), MODEL, "no column path"),
        (units(0, 1), rows(["Anna"], camera=[3]), MODEL, r"camera of the entries holds no text in 1 rows: 0.*'3'"),
        (units(0, 1), rows(["Anna"], time=["12:00 o'clock"]), MODEL, "not ISO 8601: rows 0, the first \"12:00"),
        (units(0, 1), rows(["Anna"], trackid=["x"]), MODEL, "trackid of the entries holds what is no whole number"),
        (units(0, 2), rows(["Anna"] * 2, trackid=[1, 1.5]), MODEL, "no whole number: rows 1, the first with 1.5"),
        (units(0, 1), rows(["Anna"], trackid=[2**70]), MODEL, "no whole number"),
        (units(0, 1), rows(["Anna"], confirmed=["False"]), MODEL, "confirmed .* neither True nor False in 1 rows: 0"),
        ([[1.0], [1.0, 2.0]], rows(["Anna"] * 2), MODEL, "vectors to enrol are no matrix .* rows differ in length"),
    ],
    ids=range(15),
)  # fmt: skip
def test_refusals(vectors: Any, entries: pd.DataFrame, model: str, text: str, tmp_path: Path) -> None:
    gallery = Gallery.create(tmp_path / "g", model=MODEL, width=WIDTH)
    with pytest.raises(UserError, match=text):
        gallery.enrol(vectors, entries, model=model)
    assert len(gallery) == 0


def test_folders_that_are_refused(tmp_path: Path) -> None:
    Gallery.create(tmp_path / "zoo", model=MODEL, width=WIDTH)
    with pytest.raises(UserError, match=r"There is a gallery in .*zoo already"):
        Gallery.create(tmp_path / "zoo", model=MODEL, width=WIDTH)
    with pytest.raises(UserError, match=r"no gallery in .*zo: .* The galleries there: zoo\."):
        Gallery.open(tmp_path / "zo")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").touch()
    with pytest.raises(UserError, match="holds files that are no gallery's"):
        Gallery.create(tmp_path / "other", model=MODEL, width=WIDTH)
    with pytest.raises(UserError, match=r"The index is 'hsnw'\. Did you mean 'hnsw'\?"):
        Gallery.create(tmp_path / "new", model=MODEL, width=WIDTH, index="hsnw")
    (tmp_path / "zoo" / "gallery.json").write_text('{"version": 2}')
    with pytest.raises(UserError, match="no manifest of a gallery that this version reads"):
        Gallery.open(tmp_path / "zoo")


def test_a_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path / "g", units(0, 2), rows(["Anna", "Bert"]))
    monkeypatch.setattr("time.sleep", lambda _: None)
    (tmp_path / "g/segments/000000.npy").unlink()
    with pytest.raises(UserError, match="lacks files of its segments, below segments/: 000000"):
        Gallery.open(tmp_path / "g")


def test_merges_are_taken_back_one_by_one(tmp_path: Path) -> None:
    gallery = filled(tmp_path / "g", units(0, 4), rows(["Anna", "Bert", "Cleo", "Dora"]))
    gallery.merge("Anna", "Bert")
    gallery.merge("Cleo", "Anna", "Dora")
    assert names_of(gallery) == ["Cleo"] * 4
    gallery.enrol(units(5, 1), rows(["Anna"]).assign(path="new"), model=MODEL)
    gallery.enrol(units(6, 1), rows(["Cleo"]).assign(path="newer"), model=MODEL)
    assert gallery.undo() == ("Cleo", ("Anna (2)", "Dora")), "another Anna was enrolled meanwhile"
    assert names_of(gallery) == ["Anna (2)", "Anna (2)", "Cleo", "Dora", "Anna", "Cleo"]
    assert Gallery.open(tmp_path / "g").undo() == ("Anna (2)", ("Bert",))
    gallery.refresh()
    assert names_of(gallery) == ["Anna (2)", "Bert", "Cleo", "Dora", "Anna", "Cleo"]
    with pytest.raises(UserError, match="Gallery g has no merge to take back"):
        gallery.undo()


def test_what_is_forgotten_has_no_merge(tmp_path: Path) -> None:
    gallery = filled(tmp_path / "g", units(0, 3), rows(["Anna", "Bert", "Cleo"], camera=["x", "y", "y"]))
    gallery.merge("Anna", "Bert")
    gallery.forget(camera="x")
    assert names_of(gallery) == ["Anna", "Cleo"], "Bert's entry is Anna's"
    assert gallery.undo() == ("Anna", ("Bert",))
    gallery.merge("Cleo", "Bert")
    gallery.forget(identity="Cleo")
    with pytest.raises(UserError, match="what was merged has been forgotten"):
        gallery.undo()


def test_a_cluster_gets_its_name(tmp_path: Path) -> None:
    entries = rows(["cluster 12", "cluster 12", "Anna"], confirmed=[False, False, True])
    gallery = filled(tmp_path / "g", units(0, 3), entries)
    assert gallery.entries()["confirmed"].tolist() == [False, False, True]
    gallery.rename("cluster 12", "Bert")
    assert names_of(gallery) == ["Bert", "Bert", "Anna"]
    assert gallery.identities()["confirmed"].all()
    for old, new, text in (
        ("Bert", "Anna", r"has an identity 'Anna' already\. .* merge 'Bert' into it"),
        ("Bert", " ", "The new name of 'Bert' is empty"),
        ("cluster 12", "Cleo", "no identity 'cluster 12'"),
    ):
        with pytest.raises(UserError, match=text):
            gallery.rename(old, new)
    with pytest.raises(UserError, match="'Anna' cannot be merged into itself"):
        gallery.merge("Anna", "Anna")
    with pytest.raises(UserError, match="Nothing is given to merge into 'Anna'"):
        gallery.merge("Anna")
    with pytest.raises(UserError, match="'Anna' is a confirmed identity of the gallery; unconfirmed entries"):
        gallery.enrol(units(3, 1), rows(["Anna"], confirmed=[False]), model=MODEL)


def test_names_that_read_alike_are_one_name(tmp_path: Path) -> None:
    """Folders of one system decompose accents, those of another do not; a table has a space too many."""
    composed, decomposed = "Zo\u00eb", "Zoe\u0308"
    gallery = filled(tmp_path / "g", units(0, 4), rows([composed, decomposed, " Anna", "Anna"]))
    assert names_of(gallery) == [composed, composed, "Anna", "Anna"]
    gallery.rename(decomposed, " Zara ")
    assert set(names_of(gallery)) == {"Zara", "Anna"}
    with pytest.raises(UserError, match="has an identity 'Anna' already"):
        gallery.rename("Zara", "Anna ")
