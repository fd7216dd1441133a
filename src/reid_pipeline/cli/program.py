"""`reid-pipeline`: Kedro's run, a demo, and short commands. Its help imports neither Kedro nor torch."""

import shutil
from pathlib import Path

import click

from reid_pipeline import __version__
from reid_pipeline.cli.here import run_command, run_defaults
from reid_pipeline.cli.short_commands import SHORT, short_command
from reid_pipeline.schema.errors import nearest
from reid_pipeline.schema.place import CONF, package_conf


class Program(click.Group):
    """The commands, of which `run` is made when it is called."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is answered with its neighbour."""
        if args[0] not in self.commands and not args[0].startswith("-"):
            ctx.fail(f"There is no command {args[0]!r}.{nearest(args[0], self.commands)}")
        name, command, rest = super().resolve_command(ctx, args)
        if name != "run":
            return name, command, rest
        ctx.default_map = {"run": run_defaults()}
        return name, run_command(), rest


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def program() -> None:
    """Who is this? Embeds pictures of people, vehicles or animals by a CLIP, finds the same individual in others.

    Results lie in data/, in the folder where you are. `reid-pipeline demo` shows it in a minute.
    """


@program.command(name="run", help="Run any pipeline, a training for one: this is kedro run.")
def _run() -> None:
    """Stand in the list; `Program.resolve_command` puts the run itself in its place."""


@program.command(name="demo")
def _demo() -> None:
    """See all of it in a minute: drawn people, and who is on new pictures."""
    from reid_pipeline.cli.demo import demo

    demo()


@program.command(name="conf")
def _conf() -> None:
    """Copy the parameters into conf/ here, to edit; the copy is then in force."""
    target = Path(CONF)
    if target.exists():
        raise click.ClickException(f"There is a {CONF}/ here already: move it away, or edit it.")
    shutil.copytree(package_conf(), target, ignore=shutil.ignore_patterns("local", "credentials*"))
    click.echo(f"{CONF}/ was written: from now on it is what runs in this folder read.")


for _name in SHORT:
    program.add_command(short_command(_name))
