"""Records as files: written whole, read back as they were, refused by name where they are none."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from kedro.io import DatasetError, Version
from made_records import make_epoch, make_metrics

from reid_pipeline.io.records import RecordDataset
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.records import EpochRecord


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "metrics.json"


def dataset(file: Path, record: str = "Metrics", **options: Any) -> RecordDataset:
    return RecordDataset(filepath=str(file), record=record, **options)


def error_of(made: RecordDataset) -> str:
    with pytest.raises(DatasetError) as caught:
        made.load()
    assert isinstance(caught.value.__cause__, UserError)
    return str(caught.value.__cause__)


def test_a_record_is_read_back_as_it_was(file: Path) -> None:
    signed = make_metrics().with_origin(Origin(made_by="pcl.evaluate", code="1"))
    dataset(file).save(signed)
    loaded = dataset(file).load()
    assert loaded.origin.file == str(file)
    assert loaded.content() == signed.content()
    assert json.loads(file.read_text())["version"] == 2
    assert next(iter(json.loads(file.read_text()))) == "version"
    assert "mAP_low" not in file.read_text(), "what was not given is not written"


def test_many_are_a_list(file: Path) -> None:
    history = [make_epoch(1), make_epoch(2)]
    many = dataset(file, "EpochRecord", many=True)
    many.save(history)
    assert many.load() == history
    assert [each["epoch"] for each in json.loads(file.read_text())] == [1, 2]
    many.save([])
    assert many.load() == []


def test_rows_of_a_list_have_the_same_fields_and_stay_as_they_are(file: Path) -> None:
    """As DVC's plots need it; what was read and written again is the same file."""
    first = make_epoch(1)
    last = EpochRecord.model_validate({**make_epoch(2).content(), "stability": 0.5, "facts": {"whole": 1}})
    many = dataset(file, "EpochRecord", many=True)
    many.save([first, last])
    rows, written = json.loads(file.read_text()), file.read_bytes()
    assert list(rows[0]) == list(rows[1])
    assert [(row["stability"], row["facts"]) for row in rows] == [(None, {}), (0.5, {"whole": 1})]
    many.save(many.load())
    assert file.read_bytes() == written


def test_a_link_to_the_old_file_keeps_the_old_content(file: Path) -> None:
    made = dataset(file)
    made.save(make_metrics())
    before = file.read_bytes()
    os.link(file, file.with_name("cache"))
    made.save(make_metrics("other"))
    assert file.with_name("cache").read_bytes() == before != file.read_bytes()


def test_it_has_versions(file: Path) -> None:
    for version in ("2024-01-01T00.00.00.000Z", "2024-01-02T00.00.00.000Z"):
        dataset(file, version=Version(None, version)).save(make_metrics(version))
    made = dataset(file, version=Version(None, None))
    assert made.load().method == "2024-01-02T00.00.00.000Z"
    assert len(made.list_versions()) == 2
    earlier = dataset(file, version=Version("2024-01-01T00.00.00.000Z", None))
    assert earlier.load().method == "2024-01-01T00.00.00.000Z"


def test_a_version_is_named_once(file: Path) -> None:
    made = dataset(file, version=Version(None, None))
    made.save(make_metrics())
    assert len(list(file.iterdir())) == 1
    assert made.load() == make_metrics()


def test_kedro_viz_previews_the_json(file: Path) -> None:
    dataset(file).save(make_metrics())
    assert json.loads(dataset(file).preview()) == json.loads(file.read_text())
    assert RecordDataset.preview.__annotations__["return"].__name__ == "JSONPreview"


def test_only_its_own_kind_is_written(file: Path) -> None:
    for given in ({"mAP": 0.5}, make_epoch(1)):
        with pytest.raises(DatasetError, match="takes Metrics, not") as caught:
            dataset(file).save(given)
        assert isinstance(caught.value.__cause__, TypeError)
    with pytest.raises(DatasetError, match="takes EpochRecord, not Metrics"):
        dataset(file, "EpochRecord", many=True).save([make_metrics()])
    assert not file.exists()


def test_an_unknown_record_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"There is no record 'Metric'\. Did you mean 'Metrics'"):
        dataset(Path("x.json"), "Metric")


def test_what_is_none_names_field_and_node(file: Path) -> None:
    content = make_metrics().with_origin(Origin(made_by="pcl.evaluate", code="1")).content()
    file.write_text(json.dumps({**content, "mAP": "high"}))
    message = error_of(dataset(file))
    assert message.startswith(f"{file} is no whole record of a run: mAP: Input should be a valid number, given")
    assert message.endswith(
        "Make it anew: run the pipeline from node pcl.evaluate (--from-nodes=pcl.evaluate), or the whole."
    )


@pytest.mark.parametrize("content", ["[1]", '"text"', "3", "null"])
def test_another_kind_of_json_is_refused(file: Path, content: str) -> None:
    file.write_text(content)
    kind = type(json.loads(content)).__name__
    assert error_of(dataset(file)).startswith(f"{file} holds a {kind}, not the record of a run. Run the pipel")


def test_a_list_is_wanted_where_there_are_many(file: Path) -> None:
    many = dataset(file, "EpochRecord", many=True)
    file.write_text("{}")
    assert error_of(many).startswith(f"{file} holds a dict, not a list of records. Run the pipeline that")
    file.write_text(json.dumps([make_epoch(1).content(), {**make_epoch(2).content(), "loss": float("nan")}]))
    assert error_of(many).startswith(
        f"{file}, entry 2 is no whole record of a run: loss: Input should be a finite number, given nan."
    )


@pytest.mark.parametrize("content", [b'{"mAP": 0.4', b"", b"\xff\xfe{}"])
def test_half_a_file_is_named(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert error_of(dataset(file)).startswith(f"{file} cannot be read as JSON: ")
