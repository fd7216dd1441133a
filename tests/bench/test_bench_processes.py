"""bench/processes.py prints a row for each stage and precision; tests/engine/test_processes.py uses its parts."""

import re
from unittest import mock

from bench_programs import bench_program


def test_it_prints_a_row_for_each_stage_and_precision(capsys, monkeypatch):
    program = bench_program("processes")
    found = []

    def run(given, processes, data):
        made = program.trained(case := next(program.cases(["demo-vit"], ["baseline"], 1)), program.built(case), data)
        found.append([made, made])
        return found[-1]

    with mock.patch.multiple(program, _run=run, _together=lambda *_: found * 2), program.double_stays():
        program.main(["--steps", "1", "--methods", "baseline", "--networks", "demo-vit"])
    rows = re.findall(
        r"^ +baseline, fine_tuning +demo-vit +(float\d+) +0\.0e\+00 +0\.0e\+00 +- ", capsys.readouterr().out, re.M
    )
    assert rows == ["float64", "float32"]
