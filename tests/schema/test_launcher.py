"""`compute.launcher` is refused before a run where it could not be filled in when it trains."""

import pytest
from pydantic import ValidationError

from reid_pipeline.schema.errors import explain
from reid_pipeline.schema.parameters import ComputeParameters


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("srun -N {nodes}", r"'{nodes}' cannot be filled in: words in braces are {python}, {processes}, {restarts}, "),
        ("srun {", "'{' cannot be filled in"),
        ("x {python.name} {worker}", "'{python.name}' cannot be filled in"),
        ("x {processes[a]}", "'{processes[a]}' cannot be filled in"),
        ("bash -c '{python} {worker}'", "'{python} {worker}' holds {worker}, which stands for several words"),
        ("srun 'x", '"srun \'x" is no command of a shell: No closing quotation'),
        ("  ", "blanks name no program: null is torchrun on this machine"),
        ("a\0b", r"'a\x00b' is no command in a line"),
    ],
)
def test_what_cannot_be_filled_in_is_refused(command: str, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ComputeParameters(launcher=command)
    assert explain(caught.value, "compute").startswith(f"Parameter compute.launcher: {text}")


@pytest.mark.parametrize(
    "command",
    [None, "", "srun --ntasks={processes} {python}", "sh -c 'x ${{A}} \"$@\"' x {python} {worker} --max {restarts}"],
)
def test_what_can_be_filled_in_is_taken(command: str | None) -> None:
    assert ComputeParameters(launcher=command).launcher == command
