"""DukeMTMC-reID and Occluded-Duke: Market-1501's folders, other names, no distractors by number."""

import pytest

from reid_pipeline.readers import dukemtmc, occluded_duke
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.tables import MANIFEST

BOTH = pytest.mark.parametrize(
    ("module", "archive", "title"),
    [(dukemtmc, "DukeMTMC-reID", "DukeMTMC-reID"), (occluded_duke, "Occluded_Duke", "Occluded-Duke")],
)
FILES = [
    "bounding_box_train/0001_c2_f0046182.jpg",
    "bounding_box_train/7140_c8_f0000001.jpg",
    "query/0005_c2_f0046985.jpg",
    "bounding_box_test/0005_c1_f0044158.jpg",
]
INGESTION = IngestionParameters(reader="dukemtmc")


@BOTH
def test_each_part_of_a_name(lay, rows, module, archive, title):
    table = module.read(lay([f"{archive}/{path}" for path in FILES]), INGESTION).manifest
    MANIFEST.validate(table)
    assert table["camera"].tolist() == ["1", "2", "8", "2"], "by path: test, train, query"
    assert rows(table) == {
        f"{archive}/bounding_box_train/0001_c2_f0046182.jpg": ("0001", 1, 1, "train"),
        f"{archive}/bounding_box_train/7140_c8_f0000001.jpg": ("7140", 7140, 7, "train"),
        f"{archive}/query/0005_c2_f0046985.jpg": ("0005", 5, 1, "query"),
        f"{archive}/bounding_box_test/0005_c1_f0044158.jpg": ("0005", 5, 0, "gallery"),
    }
    assert rows(module.read(lay(FILES), INGESTION).manifest).keys() == set(FILES)


@BOTH
@pytest.mark.parametrize(
    "name", ["0000_c2_f0046182.jpg", "-1_c2_f0046182.jpg", "0001_c2s1_000451_03.jpg", "0001_c2_f46182.jpg"]
)
def test_another_benchmarks_names_are_refused(lay, module, archive, title, name):
    with pytest.raises(UserError, match=rf"1 file names are not {title}'s: query/.*0001_c2_f0046182\.jpg"):
        module.read(lay([*FILES, f"query/{name}"]), INGESTION)


@BOTH
def test_there_are_eight_cameras(lay, module, archive, title):
    with pytest.raises(UserError, match=rf"camera that {title} does not have \(it has 1 to 8\)"):
        module.read(lay([*FILES, "query/0005_c9_f0046985.jpg"]), INGESTION)


@BOTH
def test_the_withdrawal_is_stated(module, archive, title):
    assert "withdrawn" in module.BENCHMARK.source.lower()
    assert "2019" in module.BENCHMARK.source


def test_one_dukes_archive_is_not_the_others(lay):
    with pytest.raises(UserError, match=r"No images in .* a DukeMTMC-reID folder holds .* holds Occluded_Duke\."):
        dukemtmc.read(lay([f"Occluded_Duke/{path}" for path in FILES]), INGESTION)
