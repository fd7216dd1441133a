"""bench/matrices.py: it asks for the whole of what the suite runs in part."""

import subprocess

import pytest
from bench_programs import bench_program
from matrices import VARIABLE, cells

program = bench_program("matrices")


def test_it_runs_files_that_have_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr(
        program.subprocess,
        "run",
        lambda command, **named: started.append((command, named)) or subprocess.CompletedProcess(command, 1),
    )
    assert program.main(["-x"]) == 1
    ((command, named),) = started
    assert command[-1] == "-x"
    assert named["env"][VARIABLE]
    for file in program.FILES:
        assert file in command
        assert "from matrices import" in (program.ROOT / file).read_text()


@pytest.mark.parametrize(("whole", "wanted"), [(False, [2]), (True, [1, 2, 3])])
def test_some_cells_or_all(monkeypatch: pytest.MonkeyPatch, whole: bool, wanted: list[int]) -> None:
    monkeypatch.setattr("matrices.WHOLE", whole)
    assert cells([1, 2, 3], always=[2]) == wanted
    with pytest.raises(AssertionError, match=r"\[4\] are no cells"):
        cells([1, 2, 3], always=[4])
