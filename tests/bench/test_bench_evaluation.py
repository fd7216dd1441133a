"""bench/evaluation.py compares like with like, and runs; the figures are in docs/performance.md."""

import re
from types import ModuleType

import pytest
from bench_programs import bench_program
from project_copy import ROOT
from warm_python import run

PROGRAM = ROOT / "bench" / "evaluation.py"


@pytest.fixture(scope="module")
def evaluation() -> ModuleType:
    return bench_program("evaluation")


@pytest.mark.parametrize("kind", ["clustered", "random"])
def test_all_sides_find_the_same(evaluation, kind):
    case = evaluation.make_case(evaluation.SHAPES["msmt17"].scaled(0.01, 0.01), kind)
    found = evaluation.ours(case)
    assert evaluation.ours_by_torch(case) == found
    assert evaluation.plain(case) == pytest.approx(found, abs=1e-6)
    assert found > 0.5 if kind == "clustered" else found < 0.5


def test_the_figures_that_are_fitted(evaluation):
    assert evaluation.exponent([1, 2, 4, 8], [3.0, 12.0, 48.0, 192.0]) == pytest.approx(2)
    shape = evaluation.SHAPES["msmt17"]
    names = list(evaluation.SIDES)
    lines = evaluation.table(
        shape, {name: [2.0, 4.0 + place, 9.0] for place, name in enumerate(names)}, dict.fromkeys(names, 7.0)
    ).splitlines()
    assert lines[1].split()[-3:] == ["4.000", "1.00", "7"]
    assert lines[4].startswith("open-set figures, 20 draws ")
    assert re.search(r"~ *8\.000 +2\.00 ~ *7$", lines[5])  # scaled up, and marked
    assert len(evaluation.share_of(evaluation.make_case(shape.scaled(0.01, 0.001), "random"), 0.5)[0]) == 58


def test_it_runs():
    done = run(PROGRAM, "--quick", "--shapes", "market1501", "--kinds", "clustered", folder=ROOT)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^(\w+) features$", done.stdout, flags=re.MULTILINE) == ["clustered"]
    assert len(re.findall(r"^plain: dense, argsort, loop +\d", done.stdout, flags=re.MULTILINE)) == 1
    assert len(re.findall(r"gallery rows +\d+\.\d+ s", done.stdout)) == 4
