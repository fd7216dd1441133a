"""The nearest entries against a loop over all of them, with filters, for every kind of index."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_gallery import WIDTH, clustered, filled, rows, units

from reid_pipeline.gallery import Filters, Gallery, segments
from reid_pipeline.gallery.kinds import KINDS
from reid_pipeline.schema.errors import UserError

VECTORS = clustered(0, 40, 8)
PROBES = clustered(0, 40, 1, noise=0.6)[:12]
ENTRIES = rows(
    [f"p{row // 8}" for row in range(320)],
    camera=[("door", "yard", "")[row % 3] for row in range(320)],
    collection=[("zoo", "farm")[row % 2] for row in range(320)],
    time=["" if row % 5 == 0 else f"2026-01-{1 + row % 28:02d}T12:00:00Z" for row in range(320)],
)


@pytest.fixture(scope="module", params=["exact", "ivf", "hnsw"])
def gallery(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """320 entries in segments of 100, of which those from 50 rows on have an index."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "SEGMENT_BYTES", dict.fromkeys(KINDS, segments._HEADER + 100 * 4 * WIDTH))
        patch.setattr(segments, "INDEXED_FROM", 50)
        patch.setattr("reid_pipeline.gallery.kinds.ivf._ROWS_PER_LIST", 10)
        found = filled(tmp_path_factory.mktemp("search") / "g", VECTORS, ENTRIES, request.param)
        assert [each.index.kind for each in found._state.segments] == [request.param] * 3 + ["exact"]
        yield found


def by_hand(probe: np.ndarray, k: int, meets: Any) -> list[tuple[float, int]]:
    """The k best (similarity, id) of the entries that meet a condition."""
    found = [(-float(np.dot(VECTORS[row].astype(float), probe.astype(float))), row) for row in range(320) if meets(row)]
    return [(-score, row) for score, row in sorted(found)[:k]]


def time_of(row: int) -> pd.Timestamp:
    return pd.Timestamp(ENTRIES["time"][row] or None)


FILTERS: list[tuple[dict[str, Any], Any]] = [
    ({}, lambda _: True),
    ({"cameras": ["yard"]}, lambda row: row % 3 == 1),
    ({"cameras": ["yard", "door"], "collections": ["farm"]}, lambda row: row % 3 < 2 and row % 2 == 1),
    ({"identities": ["p3", "p30"]}, lambda row: row // 8 in (3, 30)),
    ({"since": "2026-01-20"}, lambda row: time_of(row) >= pd.Timestamp("2026-01-20", tz="UTC")),
    (
        {"since": pd.Timestamp("2026-01-04T12:00:00", tz="UTC"), "before": "2026-01-05T13:00:00+01:00"},
        lambda row: str(time_of(row))[:13] == "2026-01-04 12",
    ),
    ({"before": "1990-01-01"}, lambda _: False),
    ({"cameras": [""]}, lambda row: row % 3 == 2),
]


@pytest.mark.parametrize(
    ("filters", "meets"), FILTERS, ids=lambda value: "+".join(value) if isinstance(value, dict) else ""
)
def test_filters(gallery: Gallery, filters: dict[str, Any], meets: Any) -> None:
    hits = gallery.search(PROBES, 7, filters=Filters(**filters))
    wanted = shared = 0
    for probe, ids, scores in zip(PROBES, hits.ids, hits.scores, strict=True):
        true = by_hand(probe, 7, meets)
        found = ids[ids >= 0].tolist()
        assert len(found) == len(true), "as many as there are"
        assert all(meets(row) for row in found)
        assert np.isnan(scores[len(found) :]).all()
        np.testing.assert_allclose(scores[: len(found)], VECTORS[found] @ probe, atol=1e-6)
        assert (np.diff(scores[: len(found)]) <= 0).all()
        wanted, shared = wanted + len(true), shared + len({row for _, row in true} & set(found))
        if gallery.index == "exact":
            assert found == [row for _, row in true]
    assert shared >= 0.99 * wanted


def test_a_probe_does_not_find_its_own_camera(gallery: Gallery) -> None:
    own = ["door", "yard", "", "cellar"] * 3
    hits = gallery.search(PROBES, 5, filters=Filters(not_camera=own))
    for probe, camera, ids in zip(PROBES, own, hits.ids.tolist(), strict=True):
        true = by_hand(probe, 5, lambda row, camera=camera: not camera or ENTRIES["camera"][row] != camera)
        assert len({row for _, row in true} & set(ids)) >= (5 if gallery.index == "exact" else 4)
        assert not camera or camera not in set(ENTRIES["camera"][ids])


def test_recall_is_measured(gallery: Gallery) -> None:
    assert gallery.recall() == 1 if gallery.index == "exact" else gallery.recall() > 0.97


def test_an_answer_does_not_depend_on_what_is_asked_with_it(gallery: Gallery) -> None:
    together = gallery.search(PROBES, 5)
    for row, probe in enumerate(PROBES):
        alone = gallery.search(probe[None], 5)
        np.testing.assert_array_equal(alone.ids[0], together.ids[row])
        np.testing.assert_array_equal(alone.scores[0], together.scores[row])


def test_equal_entries_by_id_and_more_than_there_are(tmp_path: Path) -> None:
    same = units(0, 1)
    gallery = filled(tmp_path / "g", np.concatenate([same, units(1, 1), same]), rows(["Anna", "Bert", "Anna"]))
    assert gallery.search(same, 9).ids.tolist() == [[0, 2, 1] + [-1] * 6]


def test_refusals(tmp_path: Path) -> None:
    gallery = filled(tmp_path / "g", units(0, 2), rows(["Anna", "Bert"], camera="door"))
    for arguments, text in (
        ({"k": 0}, "k is 0; a whole number of at least 1"),
        ({"k": 10**9}, "k is 1,000,000,000, and gallery g has 2 entries; at most 1,000"),
        ({"filters": Filters(identities=["Berta"])}, r"no identity 'Berta'\. Did you mean 'Bert'"),
        ({"filters": Filters(since="soon")}, "The filter since is 'soon'; a date or time is needed"),
        ({"filters": Filters(not_camera=["door"])}, "1 cameras for 2 probes"),
        (
            {"filters": Filters(cameras=["dor"])},
            r"cameras names 'dor', .* no such entry\. Did you mean 'door'\? Its cam",
        ),
        ({"filters": Filters(collections=["zoo"])}, "collections names 'zoo', .* No entry has a collection"),
        ({"filters": {"cameras": ["door"]}}, "The filters are {'cameras': .*; give reid_pipeline.gallery.Filters"),
        ({"filters": Filters(identities=[3])}, "no identity 3"),
        ({"filters": Filters(since="2026-02-01", before="2026-01-01")}, "No time is since 2026-02-01 and before 2026-"),
    ):
        with pytest.raises(UserError, match=text):
            gallery.search(units(1, 2), **arguments)
    with pytest.raises(UserError, match=r"The filter cameras is the text 'door'; a list is needed: \['door'\]"):
        Filters(cameras="door")
    with pytest.raises(UserError, match="no entries with the ids 7"):
        gallery.entries([0, 7])
    with pytest.raises(UserError, match=r"The probes have shape \[1, 8\].*\[n, 32\]"):
        gallery.search(units(0, 1, 8))


def test_another_index_and_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids, names and merges stay; vectors, model and width are the new ones."""
    monkeypatch.setattr(segments, "INDEXED_FROM", 50)
    gallery = filled(tmp_path / "g", VECTORS, ENTRIES)
    gallery.merge("p0", "p1")
    gallery.forget(identity="p2")
    before = gallery.entries()
    for kind in ("hnsw", "ivf", "exact"):
        gallery.set_index(kind)
        again = Gallery.open(tmp_path / "g")
        assert {each.index.kind for each in again._state.segments if len(each.ids) >= 50} == {kind}
        pd.testing.assert_frame_equal(again.entries(), before)
        np.testing.assert_array_equal(again.vectors(), VECTORS[before["id"]])
    new, order = units(5, len(before), 16), np.random.default_rng(0).permutation(len(before))
    gallery.embed_anew(before["id"].to_numpy()[order], new[order], model="b" * 64)
    pd.testing.assert_frame_equal(gallery.entries(), before)
    np.testing.assert_array_equal(gallery.vectors(), new)
    assert (gallery.model, gallery.width) == ("b" * 64, 16)
    assert gallery.undo() == ("p0", ("p1",))
    known = gallery.enrol(new[:3], ENTRIES.iloc[:3], model="b" * 64)
    assert known.tolist() == [0, 1, 2], "the same images are known under the new model"
    with pytest.raises(UserError, match="vectors are for 2 entries, and gallery g has 312: 2, 3, 4"):
        gallery.embed_anew(np.arange(2), new[:2], model="c" * 64)
