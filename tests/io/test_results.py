"""Finished runs are found, in order; whatever is not whole is named with its remedy."""

import json
from pathlib import Path
from typing import Any

import pytest
from kedro.io import DatasetError

from reid_pipeline.io.everything import AllResultsDataset
from reid_pipeline.io.results import RunResultsDataset
from reid_pipeline.schema.errors import UserError

BENCHMARK = "market1501"


def write_run(root: Path, method: str, seed: int, **others: Any) -> Path:
    folder = root / method / f"seed_{seed}"
    folder.mkdir(parents=True)
    head = {"benchmark": BENCHMARK, "method": method, "seed": seed}
    card = {**head, "data_hash": "ab", "parameters": {"seed": seed}}
    (folder / "metrics.json").write_text(json.dumps({**head, "mAP": 0.5, **others}))
    (folder / "run_card.json").write_text(json.dumps(card))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / BENCHMARK


def load(root: Path) -> list[dict[str, Any]]:
    return RunResultsDataset(filepath=str(root)).load()


def mistake(root: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        load(root)
    assert isinstance(caught.value.__cause__, UserError)
    return str(caught.value.__cause__)


def test_runs_by_method_and_then_by_number_of_the_seed(root: Path) -> None:
    for method, seed in (("zero_shot", 2), ("zero_shot", 10), ("baseline", 3), ("zero_shot", 0)):
        write_run(root, method, seed)
    found = load(root)
    assert [(run["method"], run["seed"]) for run in found] == [
        ("baseline", 3),
        ("zero_shot", 0),
        ("zero_shot", 2),
        ("zero_shot", 10),
    ]
    assert found[0]["metrics"]["mAP"] == 0.5
    assert found[0]["run_card"]["data_hash"] == "ab"


def test_other_folders_and_runs_under_way_are_none(root: Path) -> None:
    write_run(root, "zero_shot", 0)
    write_run(root, "dataset", 0).rename(root / "dataset" / "other")
    write_run(root, "zero_shot", 1).rename(root / "zero_shot" / "seed_1_old")
    (root / "pcl/seed_0").mkdir(parents=True)
    (root / "pcl/seed_0/history.json").write_text("[]")
    (root / "comparison").mkdir()
    assert [(run["method"], run["seed"]) for run in load(root)] == [("zero_shot", 0)]


@pytest.mark.parametrize("prepare", ["nothing", "empty", "training"])
def test_no_results_name_the_command(root: Path, prepare: str) -> None:
    if prepare != "nothing":
        root.mkdir()
    if prepare == "training":
        (root / "pcl/seed_0").mkdir(parents=True)
    said = mistake(root)
    assert said.startswith(f"There are no results of {BENCHMARK}")
    assert "kedro run --pipeline=zero_shot --env=market1501" in said
    assert not RunResultsDataset(filepath=str(root)).exists()


@pytest.mark.parametrize("name", ["metrics", "run_card"])
@pytest.mark.parametrize("content", [b'{"mAP": 0.4', b"", b"\xff\xfe{}", b"\x00"])
def test_a_half_written_file_is_named(root: Path, name: str, content: bytes) -> None:
    write_run(root, "baseline", 0)
    folder = write_run(root, "zero_shot", 4)
    (folder / f"{name}.json").write_bytes(content)
    said = mistake(root)
    assert said.startswith(f"{folder / name}.json cannot be read as JSON: ")
    assert said.endswith(f"Run that method and seed again, or remove {folder}.")


def test_a_folder_in_the_place_of_a_file_is_named(root: Path) -> None:
    folder = write_run(root, "zero_shot", 4)
    (folder / "metrics.json").unlink()
    (folder / "metrics.json").mkdir()
    assert mistake(root).startswith(f"{folder / 'metrics.json'} cannot be read")


@pytest.mark.parametrize("name", ["metrics", "run_card"])
def test_one_file_of_two_is_a_run_that_did_not_finish(root: Path, name: str) -> None:
    folder = write_run(root, "zero_shot", 4)
    (folder / f"{name}.json").unlink()
    other = {"metrics": "run_card", "run_card": "metrics"}[name]
    said = mistake(root)
    assert said.startswith(f"{folder / name}.json is missing, though {other}.json is there")


def test_a_list_is_no_record(root: Path) -> None:
    folder = write_run(root, "zero_shot", 4)
    (folder / "metrics.json").write_text("[1, 2]")
    assert "holds a list, not the record of a run" in mistake(root)


@pytest.mark.parametrize("change", [{"data_hash": None}, {"parameters": []}])
def test_a_card_without_what_decides_on_averages_is_refused(root: Path, change: dict[str, Any]) -> None:
    folder = write_run(root, "zero_shot", 4)
    card = json.loads((folder / "run_card.json").read_text())
    (folder / "run_card.json").write_text(json.dumps(card | change))
    assert f"does not tell {next(iter(change))}: " in mistake(root)


@pytest.mark.parametrize("moved", [("zero_shot", 1), ("baseline", 0)])
def test_a_copied_run_is_not_counted_twice(root: Path, moved: tuple[str, int]) -> None:
    folder = write_run(root, "zero_shot", 0)
    target = root / moved[0] / f"seed_{moved[1]}"
    target.parent.mkdir(exist_ok=True)
    folder.rename(target)
    said = mistake(root)
    assert "is of zero_shot on market1501, seed 0" in said
    assert f"folder of {moved[0]} on market1501, seed {moved[1]}" in said


def test_variants_are_runs_of_their_method(root: Path) -> None:
    for folder, variant in (
        ("pcl+rn50", "rn50"),
        ("pcl", ""),
        ("pcl+a+b%2Fc", "a+b%2Fc"),
        ("baseline+z", "z"),
    ):
        for seed in (1, 0):
            written = write_run(root, folder, seed)
            for file in written.glob("*.json"):
                said = json.loads(file.read_text()) | {"method": folder.partition("+")[0]}
                file.write_text(json.dumps(said | ({"variant": variant} if variant else {})))
    assert [(run["method"], run["variant"], run["seed"]) for run in load(root)] == [
        ("baseline", "z", 0),
        ("baseline", "z", 1),
        ("pcl", "", 0),
        ("pcl", "", 1),
        ("pcl", "a+b%2Fc", 0),
        ("pcl", "a+b%2Fc", 1),
        ("pcl", "rn50", 0),
        ("pcl", "rn50", 1),
    ]


@pytest.mark.parametrize(("said", "folder"), [("", "pcl+rn50"), ("rn50", "pcl"), ("rn50", "pcl+sie_olp")])
def test_a_run_of_another_variant_is_not_counted(root: Path, said: str, folder: str) -> None:
    written = write_run(root, "pcl", 0)
    for file in written.glob("*.json"):
        file.write_text(json.dumps(json.loads(file.read_text()) | ({"variant": said} if said else {})))
    if folder != "pcl":
        (root / "pcl").rename(root / folder)
    told, found = (f"pcl ({name})" if name else "pcl" for name in (said, folder.partition("+")[2]))
    assert f"is of {told} on {BENCHMARK}, seed 0, and lies in the folder of {found} on" in mistake(root)


def test_it_is_read_only(root: Path) -> None:
    write_run(root, "zero_shot", 0)
    with pytest.raises(DatasetError, match="read only") as caught:
        RunResultsDataset(filepath=str(root)).save([])
    assert isinstance(caught.value.__cause__, UserError)


def test_the_breakdown_is_read_where_it_is_there(root: Path) -> None:
    (write_run(root, "pcl", 0) / "breakdown.json").write_text(
        json.dumps({"benchmark": BENCHMARK, "method": "pcl", "seed": 0, "average_precision": [0.5, None]})
    )
    write_run(root, "zero_shot", 0)
    first, second = load(root)
    assert first["breakdown"]["average_precision"] == [0.5, None]
    assert "breakdown" not in second


def test_all_benchmarks_that_have_results(root: Path) -> None:
    everything = AllResultsDataset(filepath=str(root.parent))
    (root.parent / "leaderboard").mkdir()
    with pytest.raises(DatasetError, match="There are no results in"):
        everything.load()
    write_run(root, "pcl", 0)
    write_run(root.parent / "veri776", "pcl", 1, benchmark="veri776")
    card = root.parent / "veri776/pcl/seed_1/run_card.json"
    card.write_text(card.read_text().replace(BENCHMARK, "veri776"))
    found = everything.load()
    assert {name: [run["seed"] for run in runs] for name, runs in found.items()} == {
        "market1501": [0],
        "veri776": [1],
    }
