"""`python -m reid_pipeline`, and what the installed command `reid-pipeline` calls."""

from reid_pipeline.cli.program import program


def main() -> None:
    """Run the command with the words that the process was given."""
    program(prog_name="reid-pipeline")


if __name__ == "__main__":
    main()
