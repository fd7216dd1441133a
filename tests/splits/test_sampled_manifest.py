"""A sample of identities: which ones, what comes with them, and what is noted of the whole."""

import hashlib
from collections import Counter

import pandas as pd
import pytest

from reid_drawings import SyntheticVehicles, draw_pictures
from reid_pipeline.readers import lay_out, reader
from reid_pipeline.schema.parameters import IngestionParameters, SplitParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.splits import data_hash, normalise_splits
from reid_pipeline.splits.sample import noted_sample, sampled_manifest, with_sample

SPLITS = SplitParameters()


def smallest_hashes(names, count, seed=0):
    """The rule of ADR 9, written out."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}\0sample\0{name}".encode()).digest()[:8])[:count]


@pytest.fixture
def market(make_manifest) -> pd.DataFrame:
    """20 people to train on, 12 to test on, 8 whom the gallery alone shows, 24 distractors, 36 images of junk."""
    rows = [(pid, camid, "train") for pid in range(1, 21) for camid in (0, 1, 2)]
    rows += [(pid, 0, "query") for pid in range(101, 113)]
    rows += [(pid, camid, "gallery") for pid in range(101, 113) for camid in (1, 2)]
    rows += [(pid, camid, "gallery") for pid in range(201, 209) for camid in (0, 1)]
    return make_manifest([*rows, *[(0, 0, "gallery")] * 24, *[(-1, 1, "gallery")] * 36])


def test_so_many_of_each_with_all_their_images_and_a_share_of_the_rest(market, make_facts):
    manifest = market
    found, facts = sampled_manifest(manifest, SPLITS, 3)
    trained = {int(pid) for pid in smallest_hashes(map(str, range(1, 21)), 3)}
    tested = {int(pid) for pid in smallest_hashes(map(str, range(101, 113)), 3)}
    alone = {int(pid) for pid in smallest_hashes(map(str, range(201, 209)), 2)}  # 3 of 12 of these 8
    assert set(found["pid"]) == trained | tested | alone | {0, -1}
    whole = Counter(manifest["pid"])
    counts = Counter(found["pid"])
    assert all(counts[pid] == whole[pid] for pid in trained | tested | alone)
    assert (counts[0], counts[-1]) == (6, 9)
    junk = manifest.loc[manifest["pid"] == -1, "path"]
    assert set(found.loc[found["pid"] == -1, "path"]) == set(smallest_hashes(junk, 9))
    assert list(found.columns) == list(manifest.columns)
    assert found["path"].tolist() == [path for path in manifest["path"] if path in set(found["path"])]
    table = normalise_splits(found, make_facts(found), SPLITS).split_table
    identities = table[table["pid"] > 0].groupby("split")["pid"].unique().map(set)
    assert identities["train"] == trained
    assert identities["query"] == tested
    assert facts.train.model_dump() == {"identities": 3, "of_identities": 20, "images": 9, "of_images": 60}
    assert facts.test.model_dump() == {"identities": 3, "of_identities": 12, "images": 28, "of_images": 112}
    assert (facts.images_per_identity, facts.training_images, facts.test_images) == (((3, 20),), 60, 76)
    assert facts.sentence == (
        "A sample: 3 of 20 training identities (9 of 60 images) and 3 of 12 test identities (28 of 112 images)."
    )


def test_fewer_are_among_more_another_seed_has_others_and_all_are_the_whole(market):
    manifest = market
    paths = [set(sampled_manifest(manifest, SPLITS, count)[0]["path"]) for count in (2, 5, 11)]
    assert paths[0] < paths[1] < paths[2]
    other = SplitParameters(seed=1)
    assert set(sampled_manifest(manifest, other, 5)[0]["path"]) != paths[1]
    pd.testing.assert_frame_equal(sampled_manifest(manifest, SPLITS, 50)[0], manifest)


@pytest.mark.parametrize(("fraction", "trained"), [(0.5, 4), (0.25, 6)])
def test_a_collection_without_splits_is_parted_as_the_whole_is(fraction, trained, make_manifest, make_facts):
    manifest = make_manifest([(pid, camid, "unassigned") for pid in range(1, 31) for camid in (0, 1, 2)])
    splits = SplitParameters(test_fraction=fraction)
    whole = normalise_splits(manifest, make_facts(manifest), splits).split_table
    found, _ = sampled_manifest(manifest, splits, 4)
    table = normalise_splits(found, make_facts(found), splits).split_table
    assert found["pid"].nunique() == 8
    assert table.loc[table["split"] == "train", "pid"].nunique() == trained
    in_whole = whole.set_index("path")["split"] == "train"
    assert (table.set_index("path")["split"] == "train").eq(in_whole[table["path"]]).all()


def test_a_share_of_every_identity_stays_one(make_manifest):
    manifest = make_manifest([(pid, camid, "unassigned") for pid in range(1, 9) for camid in (0, 1, 2, 3)])
    found, _ = sampled_manifest(manifest, SplitParameters(disjoint=False), 3)
    assert Counter(found["pid"]) == dict.fromkeys(map(int, smallest_hashes(map(str, range(1, 9)), 3)), 4)


def test_without_identities_there_are_twenty_images_for_each_asked_for(make_manifest):
    manifest = make_manifest([(-2, 0, "unassigned")] * 300)
    found, facts = sampled_manifest(manifest, SPLITS, 4)
    assert set(found["path"]) == set(smallest_hashes(manifest["path"], 80))
    assert facts.sentence == "A sample: 80 of 300 images for training, of no known identity."
    assert facts.images_per_identity == ()


def test_a_dev_split_is_cut_from_the_sampled_identities(market, make_facts):
    splits = SplitParameters(dev_fraction=0.3)
    found, facts = sampled_manifest(market, splits, 10)
    table = normalise_splits(found, make_facts(found), splits).split_table
    assert facts.train.identities == 10
    assert facts.training_images == 42  # of the whole: 14 of its 20 are trained on
    assert table[table["split"].str.startswith("dev")]["pid"].nunique() == 3


def test_vehicleid_has_its_three_test_sets_in_their_shares(tmp_path, make_facts):
    vehicles = SyntheticVehicles(
        train_identities=4, test_identities=9, num_cameras=2, cameras_per_identity=(2, 2), images_per_camera=(2, 2)
    )
    files = lay_out("vehicleid", draw_pictures(vehicles))
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    raw = RawFolder(tmp_path, tuple(sorted(files)))
    manifest = reader("vehicleid").read(raw, IngestionParameters(reader="vehicleid")).manifest
    found, facts = sampled_manifest(manifest, SPLITS, 6)
    assert (facts.train.identities, facts.test.identities, facts.test.of_identities) == (4, 6, 9)
    tables = normalise_splits(found, make_facts(found), SPLITS)
    sizes = tables.galleries.groupby(["test_set", "repeat"]).size()
    for name in ("800", "1600", "2400"):
        listed = found[(" " + found["test_sets"] + " ").str.contains(f" {name} ")]
        assert (sizes[name] == listed["pid"].nunique()).all()
    assert sizes["2400"].eq(6).all()


def test_the_table_says_so_and_its_hash_does_not_depend_on_it(market, make_facts):
    found, facts = sampled_manifest(market, SPLITS, 3)
    table = normalise_splits(found, make_facts(found), SPLITS).split_table
    before = data_hash(table)
    assert noted_sample(with_sample(table, None)) is None
    assert noted_sample(with_sample(table, facts.model_dump(mode="json"))) == facts
    assert data_hash(table) == before
