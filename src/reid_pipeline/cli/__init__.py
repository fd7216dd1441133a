"""The command `kedro run` of this project: what it is given, what it answers, its help."""

from reid_pipeline.cli.command import cli

__all__ = ["cli"]
