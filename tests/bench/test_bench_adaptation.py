"""bench/adaptation.py finds the four models of a direction and prints their spread; that it runs is tried by hand."""

import json
from pathlib import Path
from types import ModuleType

import pytest
from bench_programs import bench_program


@pytest.fixture(scope="module")
def adaptation() -> ModuleType:
    return bench_program("adaptation")


def test_the_runs_of_a_direction(adaptation: ModuleType) -> None:
    supervised, adapted, alone = adaptation.runs_of("synthetic", "synthetic_vehicles", "baseline", 1)
    assert supervised.address == adapted.init_from == "synthetic/baseline+source/seed_1"
    assert adapted.address == "synthetic_vehicles/unsupervised_pcl+adapted-from-synthetic/seed_1"
    assert adapted.parameters("whole") == {
        "seed": 1, "variant": "adapted-from-synthetic", "init_from": "synthetic/baseline+source/seed_1"
    }  # fmt: skip
    assert alone.parameters("short")["unsupervised_pcl"]["plan"]["epochs"] == 4


def test_the_table(adaptation: ModuleType, tmp_path: Path) -> None:
    """Two seeds by hand: the gain is by seed, (30 - 20, 50 - 20), whose standard deviation is 14.1."""
    found = []
    for seed, after in ((0, 0.3), (1, 0.5)):
        runs = adaptation.runs_of("synthetic", "synthetic_vehicles", "baseline", seed)
        for cell, figure in (
            (f"synthetic_vehicles/zero_shot/seed_{seed}", 0.1),
            (f"synthetic_vehicles/zero_shot+adapted-from-synthetic/seed_{seed}", 0.2),
            (runs[1].address, after),
            (runs[2].address, 0.25),
        ):
            file = tmp_path / cell / "metrics.json"
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps({"mAP": figure, "rank1": 2 * figure}))
        found.append(adaptation.measured(tmp_path, runs))
    lines = adaptation.table("synthetic", "synthetic_vehicles", found).splitlines()
    assert lines[0] == "synthetic -> synthetic_vehicles, 2 seeds"
    assert [line.split() for line in lines[2:]] == [
        ["zero_shot", "10.0", "±", "0.0", "20.0", "±", "0.0"],
        ["source", "model,", "as", "it", "is", "20.0", "±", "0.0", "40.0", "±", "0.0"],
        ["unsupervised_pcl,", "without", "source", "25.0", "±", "0.0", "50.0", "±", "0.0"],
        ["unsupervised_pcl,", "from", "the", "source", "40.0", "±", "14.1", "80.0", "±", "28.3"],
        ["gain", "by", "adaptation", "+20.0", "±", "14.1", "+40.0", "±", "28.3"],
    ]
