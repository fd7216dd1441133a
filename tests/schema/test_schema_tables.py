"""The tables that the catalog validates."""

import pandas as pd
import pandera.errors
import pytest

from reid_pipeline.schema.columns import SPLITS, SUBSETS
from reid_pipeline.schema.tables import MANIFEST, SPLIT_TABLE

# Pandera raises the plural where the columns themselves are wrong.
REFUSED = (pandera.errors.SchemaError, pandera.errors.SchemaErrors)


@pytest.fixture
def manifest(make_manifest):
    return make_manifest([(1, 0, "train"), (2, None, "query"), (0, 5, "gallery"), (-1, 1, "gallery")])


@pytest.fixture
def split_table(make_manifest):
    table = make_manifest([(1, 0, "train"), (2, 1, "query"), (0, 5, "gallery")])
    return table.drop(columns="subset").assign(split=["train", "query", "gallery"], label=[0, -1, -1])


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


@pytest.mark.parametrize("schema", [MANIFEST, SPLIT_TABLE])
def test_every_column_is_described(schema):
    assert all(column.description for column in schema.columns.values())


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("pid", -2, "pid"),
        ("camid", -1, "camid"),
        ("viewid", -1, "viewid"),
        ("trackid", -1, "trackid"),
        ("sha256", "0" * 63, "sha256"),
        ("sha256", "G" * 64, "sha256"),
        ("subset", "val", "subset"),
        ("path", "query/0002_00001.jpg", "path"),  # a second row of that path
    ],
)
def test_a_bad_manifest_cell_is_refused(manifest, column, value, says):
    with pytest.raises(REFUSED, match=says):
        MANIFEST.validate(changed(manifest, column, value))


@pytest.mark.parametrize("column", ["path", "pid", "camid", "viewid", "trackid", "sha256", "subset"])
def test_a_missing_column_is_refused(manifest, column):
    with pytest.raises(REFUSED, match=column):
        MANIFEST.validate(manifest.drop(columns=column))


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
        ("label", -1, "label is set for the rows of train and for no others"),
        ("split", "query", "label is set for the rows of train and for no others"),
        ("label", -2, "label"),
        ("pid", -1, "junk"),
    ],
)
def test_a_bad_split_table_cell_is_refused(split_table, column, value, says):
    with pytest.raises(REFUSED, match=says):
        SPLIT_TABLE.validate(changed(split_table, column, value))


def test_each_subset_and_split_is_allowed(make_manifest):
    MANIFEST.validate(make_manifest([(1, 0, subset) for subset in SUBSETS]))
    table = make_manifest([(1, 0, "train")] * len(SPLITS)).drop(columns="subset")
    SPLIT_TABLE.validate(table.assign(split=list(SPLITS), label=[0, -1, -1, -1, -1]))
