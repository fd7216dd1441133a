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
from reid_pipeline.schema.tables import GALLERIES, IMAGE_FACTS, MANIFEST, SPLIT_TABLE
from reid_pipeline.splits import data_hash, normalise_splits

NO_DEV = SplitParameters()


def facts_by_path(manifest):
    """Facts whose hash depends on the path alone, so that rows may be shuffled."""
    hashes = [hashlib.sha256(path.encode()).hexdigest() for path in manifest["path"]]
    count = len(manifest)
    return pd.DataFrame(
        {
            "path": manifest["path"].to_numpy(),
            "sha256": hashes,
            "bytes": np.full(count, 2000, dtype=np.int64),
            "width": pd.array([64] * count, dtype="Int64"),
            "height": pd.array([128] * count, dtype="Int64"),
            "mode": ["RGB"] * count,
            "fault": pd.Series([""] * count, dtype="str"),
        }
    )


def tables(manifest, parameters=NO_DEV, **options):
    return normalise_splits(manifest, facts_by_path(manifest), parameters, **options)


def normalised(manifest, parameters=NO_DEV):
    return tables(manifest, parameters).split_table


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
    table = normalised(shuffled(manifest), NO_DEV)
    SPLIT_TABLE.validate(table)
    assert table["path"].tolist() == sorted(manifest.loc[manifest["pid"] != -1, "path"])
    assert (table["pid"] != -1).all()
    kept = manifest.set_index("path").loc[table["path"]]
    assert (table["split"].to_numpy() == kept["subset"].to_numpy()).all()
    facts = facts_by_path(manifest).set_index("path").loc[table["path"]]
    assert (table["sha256"].to_numpy() == facts["sha256"].to_numpy()).all()
    assert set(table["rule"]) == {"published"}


def test_labels_are_the_ranks_of_the_training_pids(manifest):
    table = normalised(shuffled(manifest), NO_DEV)
    train = table[table["split"] == "train"]
    assert train["label"].tolist() == [pid // 10 - 1 for pid in train["pid"]]
    assert sorted(set(train["label"])) == list(range(20))
    assert (table.loc[table["split"] != "train", "label"] == -1).all()


@pytest.mark.parametrize("dev_fraction", [0.0, 0.3])
def test_row_order_of_the_manifest_does_not_matter(manifest, dev_fraction):
    parameters = SplitParameters(dev_fraction=dev_fraction, dev_seed=4)
    first = normalised(manifest, parameters)
    for seed in range(3):
        pd.testing.assert_frame_equal(normalised(shuffled(manifest, seed), parameters), first)


def test_the_manifest_is_not_changed(manifest):
    before = manifest.copy(deep=True)
    normalised(manifest, SplitParameters(dev_fraction=0.2))
    pd.testing.assert_frame_equal(manifest, before)


def test_distractors_stay_in_the_gallery_and_nowhere_else(make_manifest, manifest):
    strays = make_manifest([(0, 0, "train"), (0, 1, "query")])
    table = normalised(pd.concat([manifest, strays], ignore_index=True), NO_DEV)
    distractors = table[table["pid"] == 0]
    assert set(distractors["split"]) == {"gallery"}
    assert len(distractors) == 2
    assert table["label"].max() == 19


def positives_elsewhere(queries, gallery):
    """For each query, how many gallery images of its pid another camera took."""
    return [sum(g.pid == q.pid and g.camid != q.camid for g in gallery.itertuples()) for q in queries.itertuples()]


class TestDev:
    def table(self, manifest, *, fraction=0.25, seed=0):
        return normalised(manifest, SplitParameters(dev_fraction=fraction, dev_seed=seed))

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
        plain = normalised(manifest, NO_DEV).set_index("path")["split"]
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

    @pytest.mark.slow
    @settings(max_examples=60, deadline=None)
    @given(
        counts=st.lists(
            st.dictionaries(st.integers(0, 4), st.integers(1, 3), min_size=1, max_size=4), min_size=2, max_size=4
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
            assert (queries["pid"] == pid).sum() == min(most, sum(cameras.values()) // 2)

    def test_identities_seen_by_one_camera_only_give_no_query_and_are_refused(self, make_manifest):
        rows = [(pid, 0, "train") for pid in range(1, 9) for _ in range(3)]
        manifest = make_manifest([*rows, (99, 0, "query"), (99, 1, "gallery")])
        with pytest.raises(UserError, match=r"No image is left for dev_query\..*splits\.dev_fraction"):
            self.table(manifest)


class TestErrors:
    def test_too_few_training_identities(self, make_manifest):
        rows = [(5, 0, "train"), (-1, 0, "train"), (7, 0, "query"), (7, 1, "gallery")]
        with pytest.raises(UserError, match=r"1 training identities are left of 2.*at least 2 are needed"):
            normalised(make_manifest(rows), NO_DEV)

    def test_dev_takes_too_many(self, make_manifest):
        rows = [(pid, camera, "train") for pid in (5, 6, 7) for camera in (0, 1) for _ in range(2)]
        with pytest.raises(UserError, match=r"Lower splits\.dev_fraction"):
            normalised(make_manifest([*rows, (9, 0, "query"), (9, 1, "gallery")]), SplitParameters(dev_fraction=0.5))

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
            normalised(make_manifest(train + rows), NO_DEV)


class TestDataHash:
    @pytest.fixture
    def table(self, manifest):
        return normalised(manifest, NO_DEV)

    def test_row_order_and_index_do_not_matter(self, table):
        assert data_hash(shuffled(table)) == data_hash(table)
        assert data_hash(shuffled(table).reset_index(drop=True)) == data_hash(table)

    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("path", "train/other.jpg"),
            ("sha256", "f" * 64),
            ("pid", 3),
            ("camid", 8),
            ("camid", pd.NA),
            ("viewid", 1),
            ("test_sets", "800"),
        ],
    )
    def test_content_matters(self, table, column, value):
        other = table.copy()
        other.loc[4, column] = value
        assert data_hash(other) != data_hash(table)

    def test_what_cameras_are_called_does_not_matter(self, table):
        assert data_hash(table.assign(camera="camera " + table["camera"])) == data_hash(table)

    def test_the_split_matters(self, manifest, table):
        assert data_hash(normalised(manifest, SplitParameters(dev_fraction=0.2))) != data_hash(table)

    def test_the_value_is_stable(self, make_manifest):
        """Written down once: a changed hash would set aside every killed run's state."""
        rows = [(1, 0, "train"), (2, None, "train"), (3, 0, "query"), (3, 1, "gallery")]
        table = normalised(make_manifest(rows), NO_DEV)
        assert data_hash(table) == GOLDEN

    def test_it_survives_parquet(self, table, tmp_path):
        table.to_parquet(tmp_path / "table.parquet")
        assert data_hash(pd.read_parquet(tmp_path / "table.parquet")) == data_hash(table)


# sha256 of "path,sha256,pid,camid,viewid,split,test_sets\n..." with the rows sorted by path, by hand.
_PLACES = [
    ("gallery/0003_00003.jpg", "3,1,,gallery,"),
    ("query/0003_00002.jpg", "3,0,,query,"),
    ("train/0001_00000.jpg", "1,0,,train,"),
    ("train/0002_00001.jpg", "2,,,train,"),
]
_LINES = [
    "path,sha256,pid,camid,viewid,split,test_sets",
    *(f"{path},{hashlib.sha256(path.encode()).hexdigest()},{rest}" for path, rest in _PLACES),
    "",
]
GOLDEN = hashlib.sha256("\n".join(_LINES).encode()).hexdigest()


def test_the_manifests_used_here_are_valid(manifest):
    MANIFEST.validate(manifest)
    assert manifest["pid"].dtype == np.int64
    IMAGE_FACTS.validate(facts_by_path(manifest))


class TestUnreadable:
    def faulty(self, manifest):
        facts = facts_by_path(manifest)
        facts.loc[[3, 8], ["fault", "width", "height"]] = ["the file is empty", pd.NA, pd.NA]
        return facts, manifest["path"].iloc[[3, 8]].tolist()

    def test_they_are_refused_by_name(self, manifest):
        facts, paths = self.faulty(manifest)
        says = (
            rf"2 of {len(manifest)} images cannot be decoded: {paths[0]} \(the file is empty\), {paths[1]} .*"
            r"ingestion\.on_unreadable=skip"
        )
        with pytest.raises(UserError, match=says):
            normalise_splits(manifest, facts, NO_DEV)

    def test_or_left_out_when_asked(self, manifest):
        facts, paths = self.faulty(manifest)
        kept = normalise_splits(manifest, facts, NO_DEV, skip_unreadable=True).split_table
        everything = normalised(manifest)
        assert sorted(set(everything["path"]) - set(kept["path"])) == sorted(paths)


def pool(make_manifest, *, identities=12, cameras=2, images=3):
    """Identities that nobody assigned; every image its own row."""
    return make_manifest(
        [
            (pid, camera, "unassigned")
            for pid in range(1, identities + 1)
            for camera in (range(cameras) if cameras else [None])
            for _ in range(images)
        ]
    )


class TestUnassigned:
    def test_identities_are_parted_and_queries_drawn_by_camera(self, make_manifest):
        table = normalised(pool(make_manifest), SplitParameters(test_fraction=0.25))
        SPLIT_TABLE.validate(table)
        tested = table[table["split"] != "train"]
        assert tested["pid"].nunique() == 3
        assert set(tested["pid"]).isdisjoint(table.loc[table["split"] == "train", "pid"])
        assert set(tested["rule"]) == {"one_query_per_camera"}
        assert set(table.loc[table["split"] == "train", "rule"]) == {"training_identities"}
        queries = tested[tested["split"] == "query"]
        assert queries.groupby(["pid", "camid"]).size().tolist() == [1] * 6
        assert min(positives_elsewhere(queries, tested[tested["split"] == "gallery"])) == 2

    def test_with_one_image_a_camera_half_are_queries_and_galleries_come_from_all_cameras(self, make_manifest):
        table = normalised(pool(make_manifest, identities=60, cameras=6, images=1))
        tested = table[table["split"] != "train"]
        assert tested.groupby(["pid", "split"]).size().unique().tolist() == [3]
        assert set(tested.loc[tested["split"] == "gallery", "camid"]) == set(range(6))

    def test_without_cameras_one_query_for_each_identity_with_a_second_image(self, make_manifest):
        manifest = pool(make_manifest, cameras=0)
        alone = make_manifest([(50, None, "unassigned")]).assign(path="alone.jpg")
        table = normalised(pd.concat([manifest, alone], ignore_index=True), SplitParameters(test_fraction=0.7))
        tested = table[table["split"] != "train"]
        queries = tested[tested["split"] == "query"]
        assert set(tested["rule"]) == {"one_query_per_identity"}
        assert sorted(queries["pid"]) == sorted(set(tested["pid"]) - {50})
        assert (table.loc[table["pid"] == 50, "split"] != "query").all()

    def test_sharing_identities_parts_each_ones_images(self, make_manifest):
        table = normalised(pool(make_manifest, images=4), SplitParameters(disjoint=False, test_fraction=0.5))
        share = table.assign(train=table["split"] == "train").groupby("pid")["train"].sum()
        assert share.tolist() == [4] * 12  # of 2 cameras x 4 images
        assert set(table.loc[table["split"] == "train", "rule"]) == {"training_images"}

    def test_given_training_images_stay_and_the_rest_is_tested_on(self, make_manifest):
        given = make_manifest([(pid, 0, "train") for pid in range(30, 40)])
        table = normalised(pd.concat([given, pool(make_manifest)], ignore_index=True))
        assert set(table.loc[table["split"] == "train", "pid"]) == set(range(30, 40))
        assert set(table.loc[table["split"] != "train", "pid"]) == set(range(1, 13))

    def test_an_image_more_moves_no_other(self, make_manifest):
        """Hashes depend on names, so that a collection may grow without its test being sampled anew."""
        manifest = pool(make_manifest, images=4)
        parameters = SplitParameters(test_fraction=0.5)
        before = normalised(manifest, parameters).set_index("path")["split"]
        extra = manifest.iloc[[0]].assign(path="unassigned/0001_99999.jpg")
        after = normalised(pd.concat([manifest, extra], ignore_index=True), parameters).set_index("path")
        moved = before[before != after.loc[before.index, "split"]]
        assert len(moved) <= 2  # at most: the new image is drawn as query in the place of another

    def test_the_seed_decides(self, make_manifest):
        manifest = pool(make_manifest)
        drawn = {tuple(normalised(manifest, SplitParameters(seed=seed))["split"]) for seed in range(4)}
        assert len(drawn) == 4

    def test_the_drawing_is_written_down(self, make_manifest):
        """By hand: the SHA-256 of seed, purpose and pid orders the identities; the first two are tested."""
        manifest = pool(make_manifest, identities=4)
        digests = {pid: hashlib.sha256(f"7\0training_identities\0{pid}".encode()).digest()[:8] for pid in range(1, 5)}
        table = normalised(manifest, SplitParameters(seed=7))
        assert set(table.loc[table["split"] != "train", "pid"]) == set(sorted(digests, key=digests.get)[:2])

    def test_one_identity_alone_cannot_be_parted(self, make_manifest):
        with pytest.raises(UserError, match=r"1 training identities are left of 1 in the manifest"):
            normalised(pool(make_manifest, identities=1))

    def test_one_image_each_gives_no_query(self, make_manifest):
        with pytest.raises(UserError, match=r"No image is left for query\..*a second image of it"):
            normalised(pool(make_manifest, cameras=0, images=1))


class TestUnlabelled:
    def test_all_are_trained_on_without_a_label(self, make_manifest):
        table = normalised(make_manifest([(-2, None, "train")] * 5))
        SPLIT_TABLE.validate(table)
        assert set(table["split"]) == {"train"}
        assert set(table["label"]) == {-1}

    def test_beside_labelled_ones(self, make_manifest):
        manifest = pd.concat(
            [pool(make_manifest), make_manifest([(-2, 0, "unassigned")]).assign(path="who.jpg")], ignore_index=True
        )
        table = normalised(manifest).set_index("path")
        SPLIT_TABLE.validate(table.reset_index())
        assert table.loc["who.jpg", "split"] == "train"
        assert table.loc["who.jpg", "label"] == -1
        assert table["label"].max() == 5

    def test_those_set_aside_for_a_test_are_left_out_where_training_is_given(self, make_manifest):
        rows = [(pid, 0, "train") for pid in (30, 31) for _ in range(2)]
        nobody = make_manifest([(-2, 0, "unassigned")]).assign(path="who.jpg")
        manifest = pd.concat([make_manifest(rows), pool(make_manifest), nobody], ignore_index=True)
        assert "who.jpg" not in set(normalised(manifest)["path"])

    def test_a_single_image_is_not_enough(self, make_manifest):
        with pytest.raises(UserError, match="at least 2 are needed"):
            normalised(make_manifest([(-2, None, "train")]))


class TestRepeatedGalleries:
    @pytest.fixture
    def manifest(self, make_manifest):
        """Ten vehicles: six in the small test set, all in the large one."""
        rows = [(pid, None, "test") for pid in range(1, 11) for _ in range(4)]
        table = make_manifest(rows)
        sets = pd.Series(np.where(table["pid"] <= 6, "6 10", "10"), dtype="str")
        train = make_manifest([(pid, None, "train") for pid in (20, 21) for _ in range(2)])
        return pd.concat([table.assign(test_sets=sets), train], ignore_index=True)

    def test_one_image_of_every_identity_and_set(self, manifest):
        made = tables(manifest, SplitParameters(repeats=5))
        GALLERIES.validate(made.galleries)
        pid = made.split_table.set_index("path")["pid"]
        for (test_set, _), drawn in made.galleries.groupby(["test_set", "repeat"]):
            assert sorted(pid[drawn["path"]]) == list(range(1, int(test_set) + 1))
        assert made.galleries.groupby("test_set")["repeat"].nunique().to_dict() == {"6": 5, "10": 5}
        assert made.galleries["test_set"].unique().tolist() == ["6", "10"]
        assert set(made.split_table["split"]) == {"train", "test"}
        assert set(made.split_table.loc[made.split_table["split"] == "test", "rule"]) == {"repeated_galleries"}

    def test_repeats_differ_and_seeds_differ(self, manifest):
        first = tables(manifest, SplitParameters(repeats=4)).galleries
        draws = {tuple(drawn["path"]) for _, drawn in first[first["test_set"] == "10"].groupby("repeat")}
        assert len(draws) == 4
        other = tables(manifest, SplitParameters(repeats=4, seed=1)).galleries
        assert not first.equals(other)
        pd.testing.assert_frame_equal(tables(shuffled(manifest), SplitParameters(repeats=4)).galleries, first)

    def test_without_a_pool_there_are_none(self, make_manifest):
        galleries = tables(market(make_manifest)).galleries
        GALLERIES.validate(galleries)
        assert galleries.empty
