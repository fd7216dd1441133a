"""bench/neighbourhoods.py compares like with like, and runs; the figures are in docs/performance.md."""

from types import ModuleType

import numpy as np
import pytest
from bench_programs import bench_program
from project_copy import ROOT
from warm_python import run

PROGRAM = ROOT / "bench" / "neighbourhoods.py"


@pytest.fixture(scope="module")
def program() -> ModuleType:
    return bench_program("neighbourhoods")


def test_both_sides_of_the_comparison_compute_the_same(program):
    from sklearn.metrics import adjusted_rand_score

    features = program.draw_features(260, 32)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    plain, ours = program.dense_clustering(features), program.work("clustering")(features)
    assert ours.max() == 5
    assert adjusted_rand_score(plain, ours) == pytest.approx(1)
    query, gallery = program.split(features)
    assert (len(query), len(gallery)) == (46, 214)
    ours = program.work("re-ranking 20/6")(query, gallery)
    np.testing.assert_allclose(ours, program.dense_reranking(query, gallery), atol=1e-4)


def test_the_table_and_the_growth(program):
    results = {
        rows: {
            "search": {"seconds": rows / 1000, "cpu": 2.0, "memory": 10.0},
            "ours": {"seconds": 1.5 * (rows / 1000) ** 2, "cpu": 1.0, "memory": 1.0},
        }
        for rows in (1000, 2000, 4000)
    }
    lines = [line.split() for line in program.table(1000, results[1000]).splitlines()]
    assert lines[2] == ["ours", "1.50", "1.50", "1.00", "0.50", "1"]
    assert program.growth(results).splitlines()[1] == (
        "ours: seconds rows^2.00, cpu rows^0.00, memory rows^0.00 over 3 sizes"
    )


def test_it_runs():
    done = run(PROGRAM, "--quick", "--reranking", "--dense-limit", "0", folder=ROOT)
    assert done.returncode == 0, done.stderr
    names = [line[:20].strip() for line in done.stdout.splitlines() if line.strip()]
    assert names == ["450 rows", "search of 30", "clustering"]
