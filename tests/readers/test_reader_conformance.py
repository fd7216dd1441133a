"""What holds for every reader and every environment, found by name: no line is added here for a new one."""

import re
from pathlib import Path

import pytest
import yaml
from published import published
from reader_checks import check_benchmark, check_layout, kinds_of

from reid_pipeline.readers import layouts, reader, reader_names
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import EvaluationParameters, IngestionParameters

CONF = Path(__file__).resolve().parents[2] / "conf"
ENVIRONMENTS = sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name not in ("base", "overlays"))
PUBLIC = sorted(name for name in ENVIRONMENTS if reader(name).BENCHMARK.versions)
DOCUMENTED = sorted(set(ENVIRONMENTS) - {"custom"})  # which docs/own_data.md describes


def section(project: Path, title: str) -> str:
    """Return the section of docs/datasets.md with that title."""
    text = (project / "docs" / "datasets.md").read_text()
    found: list[str] = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"docs/datasets.md needs a section '## {title}': CONTRIBUTING says what is in it"
    return found[0]


def layered(environment: str, name: str) -> dict:
    """Return conf/base's file with the environment's merged softly over it."""

    def merge(below: dict, above: dict) -> dict:
        both = {**below, **above}
        shared = [key for key in above if isinstance(above[key], dict) and isinstance(below.get(key), dict)]
        return {**both, **{key: merge(below[key], above[key]) for key in shared}}

    base = yaml.safe_load((CONF / "base" / name).read_text())
    above = CONF / environment / name
    return merge(base, yaml.safe_load(above.read_text())) if above.exists() else base


@pytest.mark.parametrize("name", reader_names())
def test_what_is_published_is_complete(name):
    check_benchmark(name)


@pytest.mark.parametrize(("layout", "kind"), [(layout, kind) for layout in layouts() for kind in kinds_of(layout)])
def test_a_reader_finds_what_was_drawn(layout, kind, tmp_path):
    check_layout(layout, kind, tmp_path)


@pytest.mark.parametrize(
    ("name", "part", "images", "identities"),
    [
        ("market1501", "train", 12_936, 751),
        ("market1501", "query", 3_368, 750),
        ("market1501", "gallery", 19_732, 750),
        ("msmt17", "train", 32_621, 1_041),
        ("msmt17", "query", 11_659, 3_060),
        ("msmt17", "gallery", 82_161, 3_060),
        ("dukemtmc", "train", 16_522, 702),
        ("dukemtmc", "query", 2_228, 702),
        ("dukemtmc", "gallery", 17_661, 702 + 408),
        ("occluded_duke", "train", 15_618, 702),
        ("occluded_duke", "query", 2_210, 519),
        ("occluded_duke", "gallery", 17_661, 1_110),
        ("veri776", "train", 37_778, 576),
        ("veri776", "query", 1_678, 200),
        ("veri776", "gallery", 11_579, 200),
        ("vehicleid", "train", 113_346, 13_164),
        # one image of each vehicle is gallery; the others are the 5,693, 11,777 and 17,377 queries
        ("vehicleid", "800", 5_693 + 800, 800),
        ("vehicleid", "1600", 11_777 + 1_600, 1_600),
        ("vehicleid", "2400", 17_377 + 2_400, 2_400),
    ],
)
def test_published_counts(name, part, images, identities, project):
    assert name in ENVIRONMENTS
    counts = reader(name).BENCHMARK.versions[0].counts[part]
    assert (counts.images, counts.identities) == (images, identities)
    text = section(project, reader(name).BENCHMARK.title)
    assert re.search(rf"^\| [^|]*{part}[^|]* \| {images:,} \| {identities:,}", text, re.MULTILINE)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_docs_have_its_section(name, project):
    known = reader(name).BENCHMARK
    text = " ".join(section(project, known.title).split())
    assert f"--env={name}" in text or name == "synthetic"
    assert known.reference in text
    assert known.licence in text
    for version in known.versions:
        assert f"`{version.name}`" in text
    if name in PUBLIC:
        assert f"data/01_raw/{name}" in text


@pytest.mark.parametrize("name", [name for name in reader_names() if reader(name).BENCHMARK.archives])
def test_an_empty_folder_is_answered(name, lay, tmp_path):
    with pytest.raises(UserError) as caught:
        reader(name).read(lay([]), IngestionParameters(reader=name))
    text = str(caught.value)
    assert text.startswith("No images in ")
    assert f" folder holds {reader(name).BENCHMARK.layout}, at its top or in " in text
    assert f"{tmp_path} holds nothing." in text


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_names_its_benchmark_and_a_reader(environment):
    assert layered(environment, "globals.yml")["benchmark"] == environment
    parameters = layered(environment, "parameters.yml")
    ingestion = IngestionParameters(**parameters["ingestion"])
    assert ingestion.reader == environment
    assert callable(reader(ingestion.reader).read)
    EvaluationParameters(**parameters["evaluation"])


def test_public_benchmarks_without_cameras_are_judged_without_them():
    without = {name for name in PUBLIC if not layered(name, "parameters.yml")["evaluation"]["camera_filter"]}
    assert without == {name for name in PUBLIC if reader(name).BENCHMARK.cameras is None} == {"vehicleid"}


@pytest.mark.parametrize("method", ["unsupervised_pcl", "zero_shot"])
def test_vehicles_are_square_and_people_are_not(method):
    sizes = {name: published(method, name)["backbone"]["image_size"] for name in PUBLIC}
    square = {name for name, size in sizes.items() if size == [256, 256]}
    assert square == {name for name in PUBLIC if reader(name).BENCHMARK.noun == "vehicle"}
    assert all(size == [256, 128] for name, size in sizes.items() if name not in square)
