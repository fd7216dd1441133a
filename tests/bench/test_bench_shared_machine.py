"""bench/shared_machine.py: what its figures mean, and that the processes it compares differ as they are called."""

import pytest
from bench_programs import bench_program

program = bench_program("shared_machine")


@pytest.mark.parametrize(
    ("threads", "loops", "cores", "times"), [(2, 4, 2, 3.0), (2, 0, 2, 1.0), (1, 1, 2, 1.0), (4, 4, 4, 2.0)]
)
def test_the_fair_share(threads, loops, cores, times):
    assert program.slowdown(threads, loops, cores) == times


def test_the_environments(monkeypatch):
    monkeypatch.setenv("GOMP_SPINCOUNT", "5")
    found = {way: program.environment(way) for way in ("ours", "untouched", "100000", "passive")}
    shown = {way: {name: each[name] for name in program.VARIABLES if name in each} for way, each in found.items()}
    settings = {"100000": {"GOMP_SPINCOUNT": "100000"}, "passive": {"OMP_WAIT_POLICY": "PASSIVE"}}
    assert shown == {"ours": {}, "untouched": {}, **settings}


def test_the_variables_are_those_of_the_package():
    from reid_pipeline import WAITING

    assert program.VARIABLES == WAITING


def test_ratios_and_verdicts():
    times = {"ours": program.Measured([0.21, 0.2, 0.19], [0.8]), "untouched": program.Measured([0.2], [2.4, 2.0])}
    _, ours, untouched, *verdicts = program.lines(times, fair=3.0)
    assert ours.split() == ["ours", "5.00", "1.25", "1.00", "1.33"]
    assert untouched.split() == ["untouched", "5.00", "0.45", "1.00", "3.67"]
    assert verdicts == [
        "ours alone, over untouched: 1.00, at most 1.05: as it must be",
        "ours beside the loops, over the fair share: 1.33, at most 1.5: as it must be",
    ]
    slow = {"ours": program.Measured([0.2], [1.0])}
    assert list(program.lines(slow, fair=3.0))[2:] == [
        "ours beside the loops, over the fair share: 1.67, at most 1.5: TOO SLOW"
    ]


def test_a_step_is_that_of_the_demo(tmp_path):
    seconds = program.epochs(tmp_path, steps=1, batch=16)
    assert next(seconds) > 0
    assert next(seconds) > 0
