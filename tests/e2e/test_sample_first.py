"""`sample=<identities>`: real sessions beside those of the whole, from folders in the archives' form."""

import json
import logging
from pathlib import Path

import pandas as pd
import pytest
from console_blocks import documented
from kedro.framework.project import configure_project
from kedro.framework.startup import bootstrap_project
from small_project import Project, make_project, run_documented, run_session

from reid_drawings import SyntheticBenchmark, draw_pictures
from reid_pipeline.readers import lay_out
from reid_pipeline.schema.errors import UserError

PEOPLE = SyntheticBenchmark(
    train_identities=6, test_identities=5, distractors=4, junk=4, num_cameras=3, cameras_per_identity=(2, 2),
    images_per_camera=(3, 3),
)  # fmt: skip
SMALL = {
    "backbone": {"name": "demo-vit", "pretrained": "demo", "image_size": [32, 16]},
    "clip_reid": {"plan": {"epochs": 20, "batch_size": 8}, "prompts": {"plan": {"epochs": 9, "batch_size": 8}}},
    "evaluation": {"resamples": 20},
}
FOLDER = "market1501+sample=3"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make_project(tmp_path_factory.mktemp("sample") / "project")
    made.configure("market1501", **SMALL)
    for path, content in lay_out("market1501", draw_pictures(PEOPLE)).items():
        file = made.root / "data/01_raw/market1501" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    bootstrap_project(made.root)
    configure_project("reid_pipeline")
    return made


def run(project: Project, pipeline: str, **parameters: object) -> None:
    run_session(project, pipeline, environment="market1501", **parameters)


def table_of(project: Project, benchmark: str) -> pd.DataFrame:
    return pd.read_parquet(project.root / f"data/03_primary/{benchmark}/split_table.parquet")


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and ".lock" not in path.name}


@pytest.fixture(scope="module")
def sampled(project: Project) -> tuple[Project, list[str], dict[str, dict[str, bytes]]]:
    """The whole under zero_shot, then a sample under clip_reid; lines of the second, and what the first wrote."""
    run_documented(project, documented("docs/market1501.md", "kedro run --env=market1501 --pipeline=zero_shot"))
    written = {
        layer.name: bytes_below(layer / "market1501")
        for layer in (project.root / "data").glob("0[2-9]_*")
    }  # fmt: skip
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logging.getLogger().addHandler(handler)
    try:
        run(project, "clip_reid", sample=3)
    finally:
        logging.getLogger().removeHandler(handler)
    return project, lines, written


def test_three_identities_are_trained_on_and_three_tested(sampled) -> None:
    project, lines, _ = sampled
    whole, table = table_of(project, "market1501"), table_of(project, FOLDER)
    pids = table[table["pid"] > 0].groupby("split")["pid"].nunique()
    assert (pids["train"], pids["query"], pids["gallery"]) == (3, 3, 3)
    rows = whole[whole["pid"].isin(table["pid"]) & (whole["pid"] > 0)]
    pd.testing.assert_frame_equal(
        table[table["pid"] > 0].drop(columns="label").reset_index(drop=True),
        rows.drop(columns="label").reset_index(drop=True),
    )
    facts = pd.read_parquet(project.root / f"data/02_intermediate/{FOLDER}/image_facts.parquet")
    junk = facts["path"].str.contains("/-1_")  # of the sampled images alone were the files read
    assert set(facts.loc[~junk, "path"]) == set(table["path"])
    assert any("3 of 6 training identities" in line and "3 of 5 test identities" in line for line in lines)


def test_nothing_of_the_whole_is_touched(sampled) -> None:
    project, _, written = sampled
    for layer, files in written.items():
        assert files == bytes_below(project.root / "data" / layer / "market1501"), layer
        if files:
            assert bytes_below(project.root / "data" / layer / FOLDER), layer


def test_a_line_a_history_and_the_card_say_what_the_whole_will_cost(sampled) -> None:
    project, lines, _ = sampled
    folder = project.root / f"data/08_reporting/{FOLDER}/clip_reid/seed_0"
    history, card = (json.loads((folder / f"{name}.json").read_text()) for name in ("history", "run_card"))
    costs = {record["stage"]: record["facts"]["whole"] for record in history if record["facts"]}
    # 36 training images of 6 people, 6 of each: 9 epochs of 5 random batches; 6 groups of 4 make 3 PK batches.
    assert {stage: (cost["epochs"], cost["steps"]) for stage, cost in costs.items()} == {
        "prompt_learning": (9, 45),
        "visual_fine_tuning": (20, 60),
    }
    assert [record["epoch"] for record in history] == [1, 2, 3, 4, 5, 6] * 2
    for stage, cost in costs.items():
        assert cost["seconds"] == pytest.approx(
            cost["steps"] / cost["steps_per_second"] + cost["embedding_seconds"], rel=0.02, abs=0.1
        )
        assert any(line.startswith(f"clip_reid, {stage}: the whole will take about") for line in lines)
    assert card["whole_training_seconds"] == pytest.approx(sum(cost["seconds"] for cost in costs.values()), abs=0.1)
    assert any(line.startswith("Embedding the ") for line in lines)


def test_pages_say_so_and_nothing_published_stands_beside_it(sampled) -> None:
    project, _, _ = sampled
    run(project, "report", sample=3)
    run(project, "leaderboard")
    pages = project.root / "data/08_reporting"
    words = "a sample of up to 3 identities"
    comparison = (pages / FOLDER / "comparison/comparison.md").read_text()
    leaderboard = (pages / "leaderboard/leaderboard.md").read_text()
    assert f"# Methods on market1501, {words}" in comparison
    assert "published mAP" not in comparison
    whole, of_sample = leaderboard.split(f"## Methods on market1501, {words}")
    assert "published mAP" in whole
    assert "published mAP" not in of_sample
    assert "no results of market1501" in of_sample
    for page in (f"{FOLDER}/clip_reid/report_seed_0.html", f"{FOLDER}/comparison/comparison.html"):
        assert words in (pages / page).read_text()
    dataset = (pages / FOLDER / "dataset/dataset.html").read_text()
    assert "A sample: 3 of 6 training identities" in dataset
    assert "Of the sample." in dataset


def test_counts_are_those_of_the_whole(sampled) -> None:
    project, _, _ = sampled
    summaries = [
        json.loads((project.root / f"data/08_reporting/{name}/dataset/summary.json").read_text())
        for name in ("market1501", FOLDER)
    ]
    assert summaries[0]["warnings"] == summaries[1]["warnings"]
    assert "train has 36 images of 6 identities" in summaries[1]["warnings"][0]
    assert summaries[1]["counts"]["version"] is None
    assert "sample" not in summaries[0]


def test_a_study_lies_with_the_sample(sampled) -> None:
    project, _, _ = sampled
    tuning = {"trials": 1, "dev_fraction": 0.5}  # which takes two identities at least
    run(project, "tuning", sample=4, method="clip_reid", tuning=tuning)
    study = project.root / "data/08_reporting/market1501+sample=4/tuning/clip_reid/main"
    assert "sample=4,tuned=clip_reid" in (study / "tuning.html").read_text()
    assert not (project.root / "data/08_reporting/market1501/tuning").exists()


def test_across_benchmarks_samples_are_left_out(sampled) -> None:
    project, _, _ = sampled
    run(project, "cross_benchmark")
    found = json.loads((project.root / "data/08_reporting/cross_benchmark/cross_benchmark.json").read_text())
    assert found["benchmarks"] == ["market1501"]
    assert {result["trained_on"] for result in found["results"]} == {"market1501"}


def test_in_conf_it_names_no_folder(project: Project) -> None:
    file = project.root / "conf/dukemtmc/parameters.yml"
    file.write_text(f"{file.read_text()}sample: 20\n")
    with pytest.raises(UserError, match=r"sample is 20 in conf/, and names folders: give it on the command line"):
        run_session(project, "ingestion", environment="dukemtmc")
