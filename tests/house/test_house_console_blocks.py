"""Each console block is executed by a test, or checked by the project's own schema, or listed with a reason."""

import re

import pytest
from command_checks import UncheckedError, check, kind_of
from console_blocks import DOCUMENTS, blocks_of, claims
from project_copy import ROOT

NAMES = [each.relative_to(ROOT).as_posix() for each in DOCUMENTS]


@pytest.fixture(scope="module", autouse=True)
def registered() -> None:
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(ROOT)


@pytest.mark.slow
@pytest.mark.parametrize("document", [name for name in NAMES if blocks_of(name)])
def test_every_block_is_executed_parsed_or_listed(document: str) -> None:
    assert {kind_of(block) for block in blocks_of(document)} <= {"executed", "parsed", "listed"}
    assert all(block.commands for block in blocks_of(document)), "a console block has lines that begin with `$ `"


def test_what_tests_say_they_execute_is_documented() -> None:
    documented = {(name, command) for name in NAMES for block in blocks_of(name) for command in block.commands}
    assert set(claims()) <= documented
    assert {"tests/e2e/test_who_is_this.py", "tests/e2e/test_tonight.py"} <= set(claims().values())


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("kedro run --pipeline=pcll", "there is no such pipeline"),
        ("kedro run --pipeline=pcl --params pcl.plan.epoch=4", "Did you mean 'epochs'"),
        ("kedro run --pipeline=pcl --params pcl.plan.epochs=none", "pcl.plan.epochs"),
        ("kedro run --pipeline=pcl --env=market", "There is no environment 'market'"),
        ("kedro run --pipeline=pcl --params overlay=rn51", "rn51"),
        ("kedro run --pipeline=pcl --from-nodes=pcl.extrac", "Did you mean 'pcl.extract'"),
        ("kedro run --pipelin=pcl", "pipelin"),
        ("kedro vizz run", "vizz"),
        ("make demmo", "no target demmo"),
        ("make demo DATEN=vehicles", "no variable DATEN"),
        ("dvc rpro", "rpro"),
        (".venv/bin/python bench/galleries.py", "there is no bench/galleries.py"),
        (".venv/bin/python bench/chunks.py --size=3", "no option --size"),
        ("curl example.org", "LISTED in tests/command_checks.py does not name it"),
    ],
)
def test_what_is_wrong_is_found(command: str, wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UncheckedError) as caught:
        check("README.md", command)
    assert wrong in str(caught.value) + capsys.readouterr().err


def test_commands_within_the_text_are_right() -> None:
    """Those of tables and sentences, but for what is left open in them."""
    inline = re.compile(r"`((?:kedro|reid-pipeline) run [^`<>]+?)(?: \.\.\.)?`")
    found = {
        (" ".join(command.split()), name)
        for name in NAMES
        if name != "CHANGELOG.md"
        for command in inline.findall((ROOT / name).read_text())
        if "..." not in command
    }
    assert len(found) > 25
    assert {check(name, command) for command, name in found} <= {"executed", "parsed"}
