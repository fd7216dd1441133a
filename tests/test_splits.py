"""Manifest to split table: labels, junk, distractors, the dev split, the data hash."""

import hashlib
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import SplitParameters
from reid_pipeline.schema.tables import MANIFEST, SPLIT_TABLE
from reid_pipeline.splits import data_hash, normalise_splits

NO_DEV = SplitParameters()


def market(make_manifest, *, identities=20, cameras=3, images=3):
    """Training pids 10, 20, ...; test pids 1 and 2; junk and distractors."""
    rows = [
        (pid, camera, "train")
        for pid in range(10, 10 * identities + 1, 10)
        for camera in range(cameras)
        for _ in range(images)
    ]
    rows += [(pid, camera, "query") for pid in (1, 2) for camera in (0, 1)]
    rows += [(pid, camera, "gallery") for pid in (1, 2, 0, -1) for camera in (0, 1)]
    return make_manifest(rows)


@pytest.fixture
def manifest(make_manifest):
    return market(make_manifest)


def shuffled(table, seed=0):
    return table.sample(frac=1, random_state=seed)


def test_every_row_but_junk_is_kept_once(manifest):
    table = normalise_splits(shuffled(manifest), NO_DEV)
    SPLIT_TABLE.validate(table)
    assert table["path"].tolist() == sorted(manifest.loc[manifest["pid"] != -1, "path"])
    assert (table["pid"] != -1).all()
    kept = manifest.set_index("path").loc[table["path"]]
    assert (table["split"].to_numpy() == kept["subset"].to_numpy()).all()
    assert (table["sha256"].to_numpy() == kept["sha256"].to_numpy()).all()


def test_labels_are_the_ranks_of_the_training_pids(manifest):
    table = normalise_splits(shuffled(manifest), NO_DEV)
    train = table[table["split"] == "train"]
    assert train["label"].tolist() == [pid // 10 - 1 for pid in train["pid"]]
    assert sorted(set(train["label"])) == list(range(20))
    assert (table.loc[table["split"] != "train", "label"] == -1).all()


@pytest.mark.parametrize("dev_fraction", [0.0, 0.3])
def test_row_order_of_the_manifest_does_not_matter(manifest, dev_fraction):
    parameters = SplitParameters(dev_fraction=dev_fraction, dev_seed=4)
    first = normalise_splits(manifest, parameters)
    for seed in range(3):
        pd.testing.assert_frame_equal(normalise_splits(shuffled(manifest, seed), parameters), first)


def test_the_manifest_is_not_changed(manifest):
    before = manifest.copy(deep=True)
    normalise_splits(manifest, SplitParameters(dev_fraction=0.2))
    pd.testing.assert_frame_equal(manifest, before)


def test_distractors_stay_in_the_gallery_and_nowhere_else(make_manifest, manifest):
    strays = make_manifest([(0, 0, "train"), (0, 1, "query")])
    table = normalise_splits(pd.concat([manifest, strays], ignore_index=True), NO_DEV)
    distractors = table[table["pid"] == 0]
    assert set(distractors["split"]) == {"gallery"}
    assert len(distractors) == 2
    assert table["label"].max() == 19


def positives_elsewhere(queries, gallery):
    """For each query, how many gallery images of its pid another camera took."""
    return [
        sum(g.pid == q.pid and g.camid != q.camid for g in gallery.itertuples()) for q in queries.itertuples()
    ]


class TestDev:
    def table(self, manifest, *, fraction=0.25, seed=0):
        return normalise_splits(manifest, SplitParameters(dev_fraction=fraction, dev_seed=seed))

    def test_dev_identities_are_cut_from_train(self, manifest):
        table = self.table(manifest)
        dev = set(table.loc[table["split"].str.startswith("dev_"), "pid"])
        train = set(table.loc[table["split"] == "train", "pid"])
        assert len(dev) == 5  # a quarter of 20
        assert dev | train == set(range(10, 201, 10))
        assert dev.isdisjoint(train)
        assert sorted(set(table.loc[table["split"] == "train", "label"])) == list(range(15))
        SPLIT_TABLE.validate(table)

    def test_the_test_split_is_not_touched(self, manifest):
        plain = normalise_splits(manifest, NO_DEV).set_index("path")["split"]
        cut = self.table(manifest).set_index("path")["split"]
        outside = plain != "train"
        assert (plain[outside] == cut[outside]).all()

    def test_one_query_for_each_identity_and_camera(self, manifest):
        table = self.table(manifest)
        queries = table[table["split"] == "dev_query"]
        assert len(queries) == 5 * 3
        assert not queries.duplicated(["pid", "camid"]).any()
        gallery = table[table["split"] == "dev_gallery"]
        assert len(gallery) == 5 * 3 * 2
        assert min(positives_elsewhere(queries, gallery)) == 4  # two other cameras with two images left

    def test_the_seed_decides(self, manifest):
        pd.testing.assert_frame_equal(self.table(manifest, seed=1), self.table(manifest, seed=1))
        splits = [tuple(self.table(manifest, seed=seed)["split"]) for seed in range(4)]
        assert len(set(splits)) == 4

    def test_at_least_two_identities_are_taken(self, manifest):
        table = self.table(manifest, fraction=0.001)
        assert table.loc[table["split"].str.startswith("dev_"), "pid"].nunique() == 2

    def test_without_cameras_one_query_for_each_identity(self, manifest):
        blind = manifest.assign(camid=pd.array([pd.NA] * len(manifest), dtype="Int64"))
        table = self.table(blind)
        queries, gallery = (table[table["split"] == f"dev_{name}"] for name in ("query", "gallery"))
        assert sorted(queries["pid"]) == sorted(set(gallery["pid"]))
        assert len(queries) == 5

    @settings(max_examples=60, deadline=None)
    @given(
        counts=st.lists(
            st.dictionaries(st.integers(0, 4), st.integers(1, 3), min_size=1, max_size=4),
            min_size=2,
            max_size=4,
        ),
        seed=st.integers(0, 5),
    )
    def test_every_query_finds_a_positive_in_another_camera(self, make_manifest, counts, seed):
        """Whatever number of images each camera has of a person; as many queries as that allows."""
        rows = [
            (pid, camera, "train")
            for pid, cameras in enumerate(counts, start=1)
            for camera, images in cameras.items()
            for _ in range(images)
        ]
        rows += [(pid, 0, "train") for pid in (100, 101, 102, 103) for _ in range(2)]
        rows += [(pid, camera, "train") for pid in (104, 105) for camera in (0, 1) for _ in range(2)]
        rows += [(999, 0, "query"), (999, 1, "gallery")]
        manifest = make_manifest(rows)
        try:
            table = self.table(manifest, fraction=0.5, seed=seed)
        except UserError:
            return  # none of the chosen identities is seen by two cameras; tested by itself
        queries, gallery = (table[table["split"] == f"dev_{name}"] for name in ("query", "gallery"))
        assert min(positives_elsewhere(queries, gallery)) >= 1
        images = defaultdict(dict)
        for row in table[table["split"].str.startswith("dev_")].itertuples():
            images[row.pid][row.camid] = images[row.pid].get(row.camid, 0) + 1
        for pid, cameras in images.items():
            several = sum(number > 1 for number in cameras.values())
            most = len(cameras) if several >= 2 else len(cameras) - 1
            assert (queries["pid"] == pid).sum() == most

    def test_identities_seen_by_one_camera_only_give_no_query_and_are_refused(self, make_manifest):
        rows = [(pid, 0, "train") for pid in range(1, 9) for _ in range(3)]
        manifest = make_manifest([*rows, (99, 0, "query"), (99, 1, "gallery")])
        with pytest.raises(UserError, match=r"No image is left for dev_query\..*splits\.dev_fraction"):
            self.table(manifest)


class TestErrors:
    def test_too_few_training_identities(self, make_manifest):
        rows = [(5, 0, "train"), (-1, 0, "train"), (7, 0, "query"), (7, 1, "gallery")]
        with pytest.raises(UserError, match=r"1 training identities are left of 3.*at least 2 are needed"):
            normalise_splits(make_manifest(rows), NO_DEV)

    def test_dev_takes_too_many(self, make_manifest):
        rows = [(pid, camera, "train") for pid in (5, 6, 7) for camera in (0, 1) for _ in range(2)]
        with pytest.raises(UserError, match=r"Lower splits\.dev_fraction"):
            normalise_splits(
                make_manifest([*rows, (9, 0, "query"), (9, 1, "gallery")]), SplitParameters(dev_fraction=0.5)
            )

    @pytest.mark.parametrize(
        ("rows", "says"),
        [
            ([(9, 1, "gallery")], "No image is left for query"),
            ([(9, 1, "query"), (-1, 0, "gallery")], "No image is left for gallery"),
            ([(-1, 0, "gallery")], "No image is left for query and gallery"),
        ],
    )
    def test_an_empty_split(self, make_manifest, rows, says):
        train = [(pid, 0, "train") for pid in (5, 6, 7)]
        with pytest.raises(UserError, match=says):
            normalise_splits(make_manifest(train + rows), NO_DEV)


class TestDataHash:
    @pytest.fixture
    def table(self, manifest):
        return normalise_splits(manifest, NO_DEV)

    def test_row_order_and_index_do_not_matter(self, table):
        assert data_hash(shuffled(table)) == data_hash(table)
        assert data_hash(shuffled(table).reset_index(drop=True)) == data_hash(table)

    @pytest.mark.parametrize(
        ("column", "value"),
        [("path", "train/other.jpg"), ("sha256", "f" * 64), ("pid", 3), ("camid", 8), ("camid", pd.NA)],
    )
    def test_content_matters(self, table, column, value):
        other = table.copy()
        other.loc[4, column] = value
        assert data_hash(other) != data_hash(table)

    def test_the_split_matters(self, manifest, table):
        assert data_hash(normalise_splits(manifest, SplitParameters(dev_fraction=0.2))) != data_hash(table)

    def test_the_value_is_stable(self, make_manifest):
        """Written down once: a changed hash would set aside every killed run's state."""
        rows = [(1, 0, "train"), (2, None, "train"), (3, 0, "query"), (3, 1, "gallery")]
        table = normalise_splits(make_manifest(rows), NO_DEV)
        assert data_hash(table) == GOLDEN

    def test_it_survives_parquet(self, table, tmp_path):
        table.to_parquet(tmp_path / "table.parquet")
        assert data_hash(pd.read_parquet(tmp_path / "table.parquet")) == data_hash(table)


# sha256 of "path,sha256,pid,camid,split\n..." with the rows sorted by path, written out by hand below.
_LINES = [
    "path,sha256,pid,camid,split",
    f"gallery/0003_00003.jpg,{3:064x},3,1,gallery",
    f"query/0003_00002.jpg,{2:064x},3,0,query",
    f"train/0001_00000.jpg,{0:064x},1,0,train",
    f"train/0002_00001.jpg,{1:064x},2,,train",
    "",
]
GOLDEN = hashlib.sha256("\n".join(_LINES).encode()).hexdigest()


def test_the_manifests_used_here_are_valid(manifest):
    MANIFEST.validate(manifest)
    assert manifest["pid"].dtype == np.int64
