"""The tables that the catalog validates."""

import pandas as pd
import pandera.errors
import pytest

from reid_pipeline.schema.columns import SPLITS, SUBSETS
from reid_pipeline.schema.tables import GALLERIES, IMAGE_FACTS, MANIFEST, SPLIT_TABLE, TUNING_TABLE

# Pandera raises the plural where the columns themselves are wrong.
REFUSED = (pandera.errors.SchemaError, pandera.errors.SchemaErrors)


@pytest.fixture
def manifest(make_manifest):
    return make_manifest([(1, 0, "train"), (2, None, "query"), (0, 5, "gallery"), (-1, 1, "gallery")])


@pytest.fixture
def split_table(make_manifest):
    table = make_manifest([(1, 0, "train"), (2, 1, "query"), (0, 5, "gallery"), (-2, 1, "train")])
    splits = ["train", "query", "gallery", "train"]
    return used(table, splits, [0, -1, -1, -1])


def used(manifest: pd.DataFrame, splits: list[str], labels: list[int]) -> pd.DataFrame:
    """The manifest's images as a split table."""
    hashes = [f"{place:064x}" for place in range(len(manifest))]
    return manifest.drop(columns="subset").assign(sha256=hashes, split=splits, rule="published", label=labels)


@pytest.fixture
def image_facts(manifest, make_facts):
    return make_facts(manifest)


def changed(table: pd.DataFrame, column: str, value: object) -> pd.DataFrame:
    """The table with its first cell of `column` replaced, of the column's own type."""
    copy = table.copy()
    copy.loc[0, column] = value
    return copy


def test_a_good_manifest_passes_unchanged(manifest):
    pd.testing.assert_frame_equal(MANIFEST.validate(manifest), manifest)


def test_a_good_split_table_passes_unchanged(split_table):
    pd.testing.assert_frame_equal(SPLIT_TABLE.validate(split_table), split_table)


def test_column_order_and_row_order_do_not_matter(manifest):
    MANIFEST.validate(manifest[sorted(manifest.columns)].iloc[::-1])


@pytest.mark.parametrize("schema", [MANIFEST, SPLIT_TABLE, IMAGE_FACTS, GALLERIES])
def test_every_column_is_described(schema):
    assert all(column.description for column in schema.columns.values())


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("pid", -3, "pid"),
        ("camid", -1, "camid"),
        ("viewid", -1, "viewid"),
        ("trackid", -1, "trackid"),
        ("subset", "val", "subset"),
        ("path", "query/0002_00001.jpg", "path"),  # a second row of that path
    ],
)
def test_a_bad_manifest_cell_is_refused(manifest, column, value, says):
    with pytest.raises(REFUSED, match=says):
        MANIFEST.validate(changed(manifest, column, value))


@pytest.mark.parametrize(
    "column", ["path", "pid", "camid", "camera", "viewid", "trackid", "identity", "subset", "test_sets"]
)
def test_a_missing_column_is_refused(manifest, column):
    with pytest.raises(REFUSED, match=column):
        MANIFEST.validate(manifest.drop(columns=column))


@pytest.mark.parametrize(
    ("cameras", "says"),
    [
        (["gate", "gate", "", "pond", "pond"], None),
        (["gate", "mill", "", "pond", "pond"], "a camid has one name"),
        (["gate", "gate", "", "gate", "gate"], "a camera has one camid"),
        (["gate", "gate", "pond", "pond", "pond"], "an image has a camid and its camera's name, or neither"),
        (["", "", "", "pond", "pond"], "an image has a camid and its camera's name, or neither"),
    ],
)
def test_a_camera_has_one_number_and_one_name(make_manifest, cameras, says):
    camids = [0, 0, None, 1, 1]
    manifest = make_manifest([(1, camid, "train") for camid in camids]).assign(camera=cameras)
    for schema, table in (
        (MANIFEST, manifest),
        (SPLIT_TABLE, used(manifest, ["train"] * 5, [0] * 5)),
        (TUNING_TABLE, used(manifest, ["train"] * 5, [0] * 5)),
    ):
        if says is None:
            schema.validate(table)
            continue
        with pytest.raises(REFUSED, match=says):
            schema.validate(table)


def test_a_further_column_is_refused(manifest):
    with pytest.raises(REFUSED, match="mood"):
        MANIFEST.validate(manifest.assign(mood="good"))


@pytest.mark.parametrize(("column", "dtype"), [("pid", "float64"), ("pid", str), ("camid", "float64")])
def test_a_wrong_type_is_refused(manifest, column, dtype):
    with pytest.raises(REFUSED, match=column):
        MANIFEST.validate(manifest.astype({column: dtype}))


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("split", "val", "split"),
        ("label", -1, "label is set for the rows of train with an identity and for no others"),
        ("split", "query", "label is set for the rows of train with an identity and for no others"),
        ("label", -2, "label"),
        ("sha256", "0" * 63, "sha256"),
        ("sha256", "G" * 64, "sha256"),
        ("pid", -1, "junk"),
    ],
)
def test_a_bad_split_table_cell_is_refused(split_table, column, value, says):
    with pytest.raises(REFUSED, match=says):
        SPLIT_TABLE.validate(changed(split_table, column, value))


def test_each_subset_and_split_is_allowed(make_manifest):
    MANIFEST.validate(make_manifest([(1, 0, subset) for subset in SUBSETS]))
    everything = make_manifest([(1, 0, "train")] * len(SPLITS))
    SPLIT_TABLE.validate(used(everything, list(SPLITS), [0] + [-1] * (len(SPLITS) - 1)))


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("fault", "the file is empty", "a fault that says why it has none"),
        ("width", pd.NA, "an image has a size"),
        ("height", 0, "height"),
        ("bytes", -1, "bytes"),
        ("sha256", "x", "sha256"),
    ],
)
def test_bad_image_facts_are_refused(image_facts, column, value, says):
    IMAGE_FACTS.validate(image_facts)
    with pytest.raises(REFUSED, match=says):
        IMAGE_FACTS.validate(changed(image_facts, column, value))


def test_a_gallery_image_is_drawn_once_in_a_repeat_of_a_test_set():
    rows = [("800", 0, "a.jpg"), ("800", 1, "a.jpg"), ("1600", 0, "a.jpg")]
    galleries = pd.DataFrame(rows, columns=["test_set", "repeat", "path"])
    GALLERIES.validate(galleries)
    with pytest.raises(REFUSED, match="test_set"):
        GALLERIES.validate(pd.concat([galleries, galleries.iloc[[0]]], ignore_index=True))
