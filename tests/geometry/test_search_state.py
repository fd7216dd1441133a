"""A search in rounds: every tile once, watched, killed and gone on; and the bound on what is stored."""

import errno
import itertools
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from k_reciprocal_oracle import clustered

from reid_pipeline.clustering import ClusteringSettings, cluster_features
from reid_pipeline.geometry import candidates, neighbours
from reid_pipeline.geometry.jaccard import jaccard_similarity
from reid_pipeline.geometry.neighbours import own_neighbours
from reid_pipeline.geometry.watch import Watch
from reid_pipeline.schema.errors import UserError

ROWS = 230


class KilledError(Exception):
    """The process ends here."""


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight bands of rows, the last one shorter."""
    monkeypatch.setattr(candidates, "_TILE", 32)


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ROWS, 12)).astype(np.float32)


@pytest.mark.parametrize("bands", range(1, 12))
def test_each_pair_of_bands_meets_once_and_no_band_is_in_two_pairs_of_a_round(bands: int) -> None:
    rounds = candidates._rounds(bands)
    for pairs in rounds:
        met = [band for pair in pairs for band in set(pair)]
        assert len(met) == len(set(met))
    wanted = list(itertools.combinations_with_replacement(range(bands), 2))
    assert sorted(pair for pairs in rounds for pair in pairs) == wanted


def by_full_sort(features: np.ndarray, k: int) -> np.ndarray:
    """Return each row's k nearest by float64 differences, itself first."""
    squared = ((features[:, None].astype(np.float64) - features[None].astype(np.float64)) ** 2).sum(axis=-1)
    squared[np.arange(len(features)), np.arange(len(features))] = -1.0
    return np.argsort(squared.astype(np.float32), axis=1, kind="stable")[:, :k]


def killed_after(rounds: int) -> Any:
    """Return a report that ends the search after so many rounds."""

    def report(what: str, done: int, total: int) -> None:
        if (what, done) == ("neighbours", rounds):
            assert total == 8
            raise KilledError

    return report


@pytest.mark.parametrize("rounds", range(1, 9))
def test_a_killed_search_goes_on_to_the_same_neighbours(features: np.ndarray, rounds: int, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        own_neighbours(features, 9, Watch(killed_after(rounds), tmp_path, seconds=0.0))
    seen: list[tuple[str, int, int]] = []
    distances, indices = own_neighbours(features, 9, Watch(lambda *given: seen.append(given), tmp_path, seconds=0.0))
    # A round is reported, and then stored: that in which the search was killed is searched again.
    assert seen == [("neighbours", done, 8) for done in range(max(1, rounds - 1), 9)]
    np.testing.assert_array_equal(indices, by_full_sort(features, 9))
    whole = own_neighbours(features, 9)
    np.testing.assert_array_equal(distances, whole[0])
    np.testing.assert_array_equal(indices, whole[1])
    assert [file.name for file in tmp_path.iterdir()] == ["search.npz"]


def test_states_are_stored_after_so_many_seconds_and_at_the_end(features: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        own_neighbours(features, 9, Watch(killed_after(8), tmp_path, seconds=3600.0))
    assert not list(tmp_path.iterdir())
    own_neighbours(features, 9, Watch(folder=tmp_path, seconds=3600.0))
    seen: list[int] = []
    own_neighbours(features, 9, Watch(lambda _, done, __: seen.append(done), tmp_path))
    assert seen == [8]


@pytest.mark.parametrize("change", ["features", "k", "damaged", "cut off"])
def test_a_state_of_another_search_is_named_and_not_used(
    features: np.ndarray, change: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own_neighbours(features, 9, Watch(folder=tmp_path))
    file, k = tmp_path / "search.npz", 9
    if change == "features":
        features = features.copy()
        features[7] += 1.0
    elif change == "k":
        k = 5
    else:
        content = file.read_bytes()
        file.write_bytes(b"no archive" if change == "damaged" else content[: len(content) // 2])
    with caplog.at_level(logging.WARNING):
        _, indices = own_neighbours(features, k, Watch(folder=tmp_path))
    np.testing.assert_array_equal(indices, by_full_sort(features, k))
    (warning,) = caplog.records
    assert str(file) in warning.getMessage()
    assert "begins anew" in warning.getMessage()


def changed_archive(file: Path, change: str) -> None:
    with np.load(file) as stored:
        content = dict(stored)
    if change == "an entry is missing":
        del content["near_rows"]
    elif change == "another shape":
        content["near_rows"] = content["near_rows"][:-1]
    elif change == "another type":
        content["near_values"] = content["near_values"].astype(np.float64)
    else:
        content["done"] = np.array(99 if change == "too many rounds" else -1)
    np.savez(file, allow_pickle=False, **content)


@pytest.mark.parametrize(
    "change", ["an entry is missing", "another shape", "another type", "too many rounds", "minus one round"]
)
def test_a_state_that_is_not_whole_is_named_and_not_used(
    features: np.ndarray, change: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own_neighbours(features, 9, Watch(folder=tmp_path))
    changed_archive(tmp_path / "search.npz", change)
    _, indices = own_neighbours(features, 9, Watch(folder=tmp_path))
    np.testing.assert_array_equal(indices, by_full_sort(features, 9))
    (warning,) = (record for record in caplog.records if record.levelname == "WARNING")
    assert "begins anew" in warning.getMessage()


def test_a_search_goes_on_where_its_state_cannot_be_stored(
    features: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(file: Any, **_: Any) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    _, indices = own_neighbours(features, 9, Watch(folder=tmp_path, seconds=0.0))
    np.testing.assert_array_equal(indices, by_full_sort(features, 9))
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 8
    assert all("No space left on device" in text and "it goes on" in text for text in warnings)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_search_left_half_stored_is_removed(features: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / ".search.npz.123").write_bytes(b"half")
    own_neighbours(features, 9, Watch(folder=tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ["search.npz"]


def test_a_folder_that_cannot_be_one_is_refused_before_the_search(features: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match=r"folder for the state of a search cannot be used: .*Name another"):
            own_neighbours(features, 9, Watch(folder=folder))


def test_rows_that_tie_with_many_are_named_and_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(neighbours, "_WORTH_A_WARNING", 1000)
    monkeypatch.setattr(neighbours, "_MOST_TIED_PAIRS", 1000)  # ten rows at once
    seen: list[tuple[str, int, int]] = []
    found = own_neighbours(np.ones((100, 4), np.float32), 9, Watch(lambda *given: seen.append(given)))
    assert [given for given in seen if given[0] != "neighbours"] == [
        ("rows with ties", done, 100) for done in range(10, 101, 10)
    ]
    np.testing.assert_array_equal(found[1], by_full_sort(np.ones((100, 4)), 9))
    (warning,) = (record for record in caplog.records if record.levelname == "WARNING")
    assert "100 of 100 rows" in warning.getMessage()


def test_a_clustering_reports_both_parts_and_its_labels_do_not_depend_on_it(tmp_path: Path) -> None:
    features, settings = clustered(np.random.default_rng(1), 150, 8, 12, 0.2), ClusteringSettings(k1=8, k2=3)
    reported: dict[str, list[int]] = {}
    totals: dict[str, int] = {}

    def report(what: str, done: int, total: int) -> None:
        reported.setdefault(what, []).append(done)
        totals[what] = total

    found = cluster_features(features, settings, Watch(report, tmp_path))
    assert list(reported) == ["neighbours", "similarity"]
    assert all(sorted(done) == list(range(1, totals[what] + 1)) for what, done in reported.items())
    np.testing.assert_array_equal(found.labels, cluster_features(features, settings).labels)


def test_more_pairs_than_may_be_stored_end_it_with_the_reason() -> None:
    features = clustered(np.random.default_rng(1), 150, 8, 12, 0.2)
    similarity = jaccard_similarity(features, k1=8, k2=3)
    pairs = (similarity.nnz - len(features)) // 2  # of different rows
    assert similarity.indices.dtype == similarity.indptr.dtype == np.int32
    assert jaccard_similarity(features, k1=8, k2=3, most_pairs=pairs).nnz == similarity.nnz
    with pytest.raises(UserError, match=r"More than .* pairs of rows are alike .* clustering\.most_pairs"):
        jaccard_similarity(features, k1=8, k2=3, most_pairs=pairs - 1)
    with pytest.raises(UserError, match="would not fit"):
        cluster_features(np.ones((300, 4), dtype=np.float32), ClusteringSettings(k1=300, most_pairs=1000))
