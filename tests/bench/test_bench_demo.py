"""bench/demo.py puts what it saw into a table; that it runs is what `make bench` shows."""

from types import ModuleType

import pytest
from bench_programs import bench_program


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    return bench_program("demo")


def test_the_table(demo: ModuleType) -> None:
    mebibyte = 2**20
    seen = {
        "marks": [
            {"name": "start", "begin": 0.0, "end": 2.0},
            {"name": "unsupervised_pcl.train_cluster_contrast", "begin": 2.0, "end": 9.0},
        ],
        "epochs": [5.0, 9.0],
        "memory": [[1.0, 100 * mebibyte], [2.5, 300 * mebibyte], [4.0, 400 * mebibyte], [8.0, 500 * mebibyte]],
    }
    history = [
        {"seconds": {"extraction": 1.0, "training": 2.0, "epoch": 3.0}},
        {"seconds": {"extraction": 1.5, "training": 2.5, "epoch": 4.0}},
    ]
    lines = demo.table(seen, history, 10.0).splitlines()
    assert [line.split() for line in lines[2:]] == [
        ["start", "2.0", "20%", "100"],
        ["unsupervised_pcl.train_cluster_contrast", "7.0", "70%", "500"],
        ["2", "epochs:", "extraction", "2.5", "25%", "300"],
        ["2", "epochs:", "training", "4.5", "45%", "500"],
        ["rest:", "Kedro", "between", "nodes,", "the", "end", "1.0", "10%"],
        ["whole", "10.0", "100%", "500"],
    ]
    assert len({len(line) for line in lines if "rest" not in line}) == 1
