"""What is typed: `reid-pipeline`, its short commands and demo; `kedro run` with its help, and what it is given."""

from typing import Any


def __getattr__(name: str) -> Any:
    """Return `cli`, the commands that Kedro looks for here; `reid-pipeline --help` does without Kedro."""
    if name != "cli":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from reid_pipeline.cli.command import cli

    return cli
