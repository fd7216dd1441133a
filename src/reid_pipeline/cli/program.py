"""`reid-pipeline`: Kedro's run, a demo, and short commands. Its help imports neither Kedro nor torch."""

import shutil
import signal
from pathlib import Path
from typing import Any

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

    def invoke(self, ctx: click.Context) -> Any:
        """Do what was typed; what the user or the machine can mend is answered in one message."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt as error:
            click.echo("Interrupted: the same command begins anew, with what is stored.", err=True)
            raise click.exceptions.Exit(128 + signal.SIGINT) from error
        except Exception as error:
            from reid_pipeline.user_errors import user_error_text

            text = user_error_text(error)
            if text is None:
                raise
            raise click.ClickException(text) from error


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
    from reid_pipeline.io.replacing import replacing

    target = Path(CONF)
    if target.exists():
        raise click.ClickException(f"There is a {CONF}/ here already: move it away, or edit it.")
    with replacing(target) as written:  # of a part, a run would take it for the whole
        shutil.copytree(package_conf(), written, ignore=shutil.ignore_patterns("local", "credentials*"))
    click.echo(f"{CONF}/ was written: from now on it is what runs in this folder read.")


@program.command(name="launch")
@click.option("--benchmark", "--env", help="Environment, a folder of conf/; without it the one that run takes.")
@click.option("--methods", default="", help="Methods, with commas; without it all.")
@click.option("--seeds", default="0", show_default=True, help="Seeds, with commas.")
@click.option("--overlays", default="", help="Overlays, with commas: cells beside those of the plain parameters.")
@click.option("--params", default="", help="Further parameters of every run, as run takes them.")
@click.option("--scheduler", type=click.Choice(["slurm"]), default="slurm", show_default=True, help="Of the cluster.")
@click.option("--dry-run", is_flag=True, help="Print the script, and submit nothing.")
def _launch(dry_run: bool, **given: str) -> None:
    """Run cells on a cluster: methods x seeds as jobs, with what conf/base/resources.yml says that each needs."""
    run_command()  # makes Kedro ready, or says why not
    from reid_pipeline.cli.launch import cells_of, launch

    launch(cells_of(given), dry_run=dry_run)


for _name in SHORT:
    program.add_command(short_command(_name))
