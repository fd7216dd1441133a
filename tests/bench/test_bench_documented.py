"""bench/documented.py knows every documented command, and says what one did."""

import re
from pathlib import Path

from bench_programs import bench_program
from console_blocks import console_blocks

program = bench_program("documented")


def test_every_command_is_run_or_left_out_for_a_reason() -> None:
    listed = program.commands()
    assert {command for _, command in listed} == {command for block in console_blocks() for command in block.commands}
    assert len({command for _, command in listed}) == len(listed), "each once"
    run = [name for name, command in listed if not program.reason_of(command)]
    assert set(program.FIRST[:4]) <= set(run), "first the path"
    assert sorted(set(run), key=run.index)[:4] == list(program.FIRST[:4])
    for pattern in program.NOT_RUN:
        assert any(re.search(pattern, command) for _, command in listed), f"{pattern} matches nothing any more"


def test_what_a_command_did_is_one_line(tmp_path: Path) -> None:
    assert re.fullmatch(r"done, \d+ s: report a/b\.html", program.run("echo 'report  a/b.html'; echo end", tmp_path, 9))
    assert re.fullmatch(r"\*\*status 3\*\*, \d+ s: nothing printed", program.run("exit 3", tmp_path, 9))
    assert program.run("sleep 9", tmp_path, 0.2) == "**not finished** within 0 s"
