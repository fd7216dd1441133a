"""bench/versions.py: which sets it tries, and what it reads from lock files and reports."""

import pytest
from bench_programs import bench_program

program = bench_program("versions")

LOCK = """\
kedro==1.7.0 ; (sys_platform == 'linux') \\
    --hash=sha256:00 \\
    --hash=sha256:11
    # via reid-pipeline (pyproject.toml)
kedro-viz==12.5.0 \\
    --hash=sha256:22
nvidia-cublas==13.1 ; sys_platform == 'linux' \\
    --hash=sha256:33
open-clip-torch==3.3.0 \\
    --hash=sha256:44
timm==1.0.31 \\
    --hash=sha256:55
torch==2.15.0 \\
    --hash=sha256:66
torchvision==0.29.2 \\
    --hash=sha256:77
"""


def test_the_pins_of_a_lock():
    pins = program.locked_pins(LOCK)
    assert pins["kedro"] == "kedro==1.7.0 ; (sys_platform == 'linux')"
    assert [program.version_of(pin) for pin in pins.values()] == [
        "1.7.0", "12.5.0", "13.1", "3.3.0", "1.0.31", "2.15.0", "0.29.2",
    ]  # fmt: skip


def test_the_locked_version_is_tried_once(monkeypatch):
    pins = program.locked_pins(LOCK)
    declared = {"timm": "timm>=1.0.17,<2", "torch": "torch>=2.15.0", "kedro": "kedro>=1.7.0"}
    monkeypatch.setattr(program, "requirements", lambda: declared)
    monkeypatch.setattr(program, "newest", lambda name, _: program.version_of(pins[name]))
    assert program.sets_of(("timm", "torch", "kedro"), pins) == {"locked": "", "timm lowest": "timm==1.0.17"}


def test_every_package_declares_its_lowest_and_an_upper_bound():
    for name in program.PACKAGES:
        requirement = program.requirements()[name]
        assert program.lowest(requirement)
        assert ",<" in requirement, requirement


def test_a_requirement_without_a_lowest_version():
    with pytest.raises(ValueError, match="declares no lowest version"):
        program.lowest("torch")


def test_the_counts_of_a_report():
    report = '<testsuites><testsuite tests="12" failures="2" errors="1" skipped="3"/></testsuites>'
    assert program.counts(report) == (6, 3)


def test_the_rows_of_the_table():
    versions = {"open-clip-torch": "3.3.0", "timm": "1.0.17", "torch": "2.15.0", "kedro": "1.7.0"}
    row = program.Tried("timm lowest", versions, 100, 2, 61.4).line()
    assert row.split() == ["timm", "lowest", "3.3.0", "1.0.17", "2.15.0", "1.7.0", "100", "2", "61", "s"]
    assert program.Tried("x", {}, problem="no test ran").line().endswith("no test ran")
