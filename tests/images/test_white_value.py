"""16-bit pictures whose values stop far below 65535: found, told, and read by `ingestion.white_value`."""

import hashlib
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydantic import ValidationError

from reid_pipeline.images.cache import ImageCache
from reid_pipeline.images.check import check_images
from reid_pipeline.images.decode import TargetSize, read_image
from reid_pipeline.images.picture import describe
from reid_pipeline.images.reid_images import ReIDImages
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import IngestionParameters, SplitParameters
from reid_pipeline.schema.tables import IMAGE_FACTS
from reid_pipeline.splits import SplitTables, data_hash, require_tables, white_value, with_origin

VALUES = np.array([[0, 1, 2047, 2048], [4094, 4095, 4096, 65535]], dtype=np.uint16)
SIZE = (2, 4)


def scaled(values: np.ndarray, white: int) -> np.ndarray:
    """Return grey by the definition: white and above are 255, and what lies between is in proportion."""
    return np.rint(255 * np.minimum(values.astype(float), white) / white)[..., None].repeat(3, axis=2)


@pytest.fixture(params=["png", "tif", "pgm"])
def path(request, tmp_path):
    made = tmp_path / f"deep.{request.param}"
    Image.fromarray(VALUES).save(made)
    return made


@pytest.mark.parametrize("white", [1, 255, 1023, 4095, 16383, 65535])
def test_the_white_value_and_all_above_are_white(path, white):
    assert (read_image(path, white_value=white) == scaled(VALUES, white)).all()
    assert (read_image(path, TargetSize(*SIZE, white_value=white)) == scaled(VALUES, white)).all()


def test_without_one_65535_is_white(path):
    assert (read_image(path) == scaled(VALUES, 65535)).all()
    assert (read_image(path) == read_image(path, white_value=65535)).all()
    assert describe(path.read_bytes()).brightest == 65535


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA"])
def test_pictures_of_8_bits_are_as_they_were(tmp_path, mode):
    picture = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(2, 4, 3)).convert(mode)
    picture.save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png", white_value=9) == read_image(tmp_path / "a.png")).all()
    assert describe((tmp_path / "a.png").read_bytes()).brightest is None


@pytest.mark.parametrize("header", [b"P5 4 2 4095\n", b"P5\n# thermal\n4 2\n4095\n", b"P2 4 2 4095\n"])
def test_a_pgm_that_names_its_white_is_read_by_it(tmp_path, header):
    values = np.minimum(VALUES, 4095)
    plain = b" ".join(b"%d" % value for value in values.ravel())
    content = header + (plain if header.startswith(b"P2") else values.astype(">u2").tobytes())
    (tmp_path / "a.pgm").write_bytes(content)
    for white in (None, 4095, 65535):
        assert np.abs(read_image(tmp_path / "a.pgm", white_value=white) - scaled(values, 4095)).max() <= 1
    assert describe(content).brightest is None


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("a.pgm", b"P5 2 1 255\n\x07\xff", [7, 255]),
        ("a.pgm", b"P5 2 1 15\n\x00\x0f", [0, 255]),
        ("a.pgm", b"P2 2 1 255\n7 255\n", [7, 255]),
        ("a.pbm", b"P4 2 1\n\x40", [255, 0]),
        ("a.pbm", b"P1 2 1\n0 1\n", [255, 0]),
        ("a.pnm", b"P6 2 1 255\n\x07\x07\x07\xff\xff\xff", [7, 255]),
    ],
)
def test_portable_maps_are_read(tmp_path, name, content, wanted):
    (tmp_path / name).write_bytes(content)
    assert read_image(tmp_path / name)[0, :, 0].tolist() == wanted


def test_the_facts_have_the_brightest_value(tmp_path):
    for name, high in (("a.png", 4095), ("b.png", 100), ("black.png", 0)):
        Image.fromarray(np.array([[0, high]], dtype=np.uint16)).save(tmp_path / name)
    Image.new("RGB", (2, 2), "white").save(tmp_path / "colour.png")
    names = ["a.png", "b.png", "black.png", "colour.png"]
    facts = IMAGE_FACTS.validate(check_images(tmp_path, names))
    assert facts["brightest"].tolist()[:3] == [4095, 100, 0]
    assert facts["brightest"].isna().tolist() == [False, False, False, True]
    pd.testing.assert_frame_equal(check_images(tmp_path, names, known=facts), facts)


def test_facts_of_an_earlier_version_are_made_anew(tmp_path):
    """They have no brightest values, and their faults are those that the earlier version saw."""
    Image.fromarray(VALUES).save(tmp_path / "a.png")
    facts = check_images(tmp_path, ["a.png"])
    earlier = (
        facts.drop(columns="brightest").assign(width=pd.NA, height=pd.NA, fault="truncated").astype({"width": "Int64"})
    )
    IMAGE_FACTS.validate(facts.drop(columns="brightest"))
    pd.testing.assert_frame_equal(check_images(tmp_path, ["a.png"], known=earlier), facts)


def test_the_loader_reads_by_it(path):
    for white in (None, 4095):
        target = TargetSize(*SIZE, white_value=white)
        image = ReIDImages(path.parent, [path.name], target).batch([0])[0].permute(1, 2, 0).numpy()
        assert (image == scaled(VALUES, white or 65535)).all()


def test_the_cache_keeps_white_values_apart(path, tmp_path):
    cache, digest = ImageCache(tmp_path / "cache"), hashlib.sha256(path.read_bytes()).hexdigest()
    for white in (None, 4095, 255):
        target = TargetSize(*SIZE, white_value=white)
        stored = cache.of_size(target)
        assert not stored.places()
        stored.fill({digest: path}, limit=10**6)
        assert (stored.pixels()[stored.places()[digest]] == read_image(path, target)).all()


def table_with(white: int | None) -> SplitTables:
    columns = ["path", "sha256", "pid", "camid", "viewid", "split", "test_sets"]
    table = pd.DataFrame([["a.png", "0" * 64, 1, 0, 0, "train", ""]], columns=columns)
    galleries = pd.DataFrame({"test_set": [], "repeat": [], "path": []})
    return with_origin(SplitTables(table, galleries), ingestion(white), SplitParameters())


def ingestion(white: int | None) -> IngestionParameters:
    return IngestionParameters(reader="custom", white_value=white)


def test_it_travels_with_the_table_and_its_rows(tmp_path):
    table = table_with(4095).split_table
    table.to_parquet(tmp_path / "table.parquet")
    stored = pd.read_parquet(tmp_path / "table.parquet")
    assert [white_value(each) for each in (table, stored, stored[stored["pid"] > 0], stored.iloc[[0]])] == [4095] * 4
    assert white_value(table_with(None).split_table) is None


def test_another_white_value_is_other_data():
    hashes = [data_hash(table_with(white).split_table) for white in (None, 4095, 1023)]
    assert len(set(hashes)) == 3
    plain = table_with(None).split_table
    plain.attrs.clear()
    assert data_hash(plain) == hashes[0]


def test_a_table_of_another_white_value_is_refused_and_one_without_is_null():
    made = table_with(None)
    del made.split_table.attrs["origin"]["parameters"]["ingestion"]["white_value"]  # as an earlier version noted it
    require_tables(made.split_table, made.galleries, ingestion(None), SplitParameters())
    with pytest.raises(UserError, match=r"ingestion\.white_value was None and is 4095\. Make the tables anew"):
        require_tables(made.split_table, made.galleries, ingestion(4095), SplitParameters())


@pytest.mark.parametrize("given", [0, -1, 65536, "white", 4095.5])
def test_what_is_no_16_bit_number_is_refused(given):
    with pytest.raises(ValidationError, match="white_value"):
        ingestion(given)


def test_pixels_beyond_16_bits_stay_a_fault():
    buffer = io.BytesIO()
    Image.fromarray(np.array([[0, 70_000]], dtype=np.int32)).save(buffer, "TIFF")
    assert describe(buffer.getvalue()).fault == "its pixels go from 0 to 70000, beyond 16 bits; save it with 8 bits"
