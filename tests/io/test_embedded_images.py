"""Embedded images in Parquet: what is written is read back, anybody can read it, and a changed file is refused."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from reid_pipeline.io.embedded_images import EmbeddedImagesDataset, read_embedded_images, write_embedded_images
from reid_pipeline.schema.embedded_images import EmbeddedImages
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import Origin

MODEL = "ab" * 32


def embedded(count: int = 5, width: int = 12) -> EmbeddedImages:
    vectors = np.random.default_rng(3).standard_normal((count, width)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = pd.DataFrame(
        {
            "path": [f"a/{number}.jpg" for number in range(count)],
            "identity": ["Zoë, the 2nd", *[""] * (count - 1)],
            "camera": "yard",
            "time": ["2024-05-06T07:08:09Z", *[""] * (count - 1)],
            "trackid": [7, *[-1] * (count - 1)],
        }
    ).astype(dict.fromkeys(["path", "identity", "camera", "time"], "str"))
    return EmbeddedImages(rows, vectors, Origin(made_by="embed", code="0", label_use="partial"), MODEL, "/photos")


@pytest.fixture
def file(tmp_path):
    write_embedded_images(embedded(), tmp_path / "new/zoo.parquet")
    return tmp_path / "new/zoo.parquet"


def test_what_is_written_is_read_back(file):
    found, given = read_embedded_images(file), embedded()
    assert found.rows.equals(given.rows)
    assert np.array_equal(found.vectors, given.vectors)
    assert (found.model, found.root) == (MODEL, "/photos")
    assert found.origin.label_use == "partial"
    assert found.origin.file == str(file)
    assert str(found.files()[0]) == "/photos/a/0.jpg"
    assert EmbeddedImagesDataset(filepath=str(file)).load().digest() == found.origin.digest


def test_the_file_is_the_same_each_time(file):
    before = file.read_bytes()
    write_embedded_images(read_embedded_images(file), file)
    assert file.read_bytes() == before


def test_any_program_reads_it(file):
    """By pandas alone, without a word of this project."""
    table = pd.read_parquet(file)
    assert list(table) == ["path", "identity", "camera", "time", "trackid", "vector"]
    assert np.array_equal(np.stack(table["vector"]), embedded().vectors)
    assert parquet.read_schema(file).field("vector").type == pa.list_(pa.float32(), 12)


def test_a_changed_file_is_refused(file):
    table = parquet.read_table(file)
    names = table["identity"].to_pylist()
    changed = table.set_column(1, "identity", pa.array(["Otto", *names[1:]], pa.string()))
    parquet.write_table(changed, file)
    with pytest.raises(UserError, match="was changed after it had been written"):
        read_embedded_images(file)


def test_a_table_of_another_program_is_refused(file):
    pd.read_parquet(file).to_parquet(file)
    with pytest.raises(UserError, match="does not say which model its vectors are of") as caught:
        read_embedded_images(file)
    assert "--pipeline=embed" in str(caught.value)


def test_a_damaged_and_a_missing_file_are_refused(file):
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(UserError, match=r"zoo\.parquet is damaged, or another kind of file"):
        read_embedded_images(file)
    with pytest.raises(UserError, match="There is no"):
        read_embedded_images(file.with_name("other.parquet"))


@pytest.mark.parametrize("value", [np.nan, np.inf, 2.0])
def test_vectors_are_finite_and_of_length_one(value):
    given = embedded()
    vectors = given.vectors.copy()
    vectors[3, 0] = value
    with pytest.raises(UserError, match=r"1 of 5 vectors are not finite unit vectors, such as that of a/3\.jpg"):
        EmbeddedImages(given.rows, vectors, given.origin, given.model, given.root)


def test_rows_and_vectors_belong_together():
    given = embedded()
    with pytest.raises(UserError, match=r"4 rows do not fit vectors float32 \[5, 12\]"):
        EmbeddedImages(given.rows[:4], given.vectors, given.origin, given.model, given.root)
