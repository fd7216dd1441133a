"""`reid-pipeline launch`: the cells of a benchmark as jobs of a cluster, with what each node needs."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from kedro.framework.project import pipelines, settings
from kedro.framework.session import KedroSession
from kedro.pipeline import Pipeline
from pydantic import ValidationError

from reid_pipeline.cli.parameters import given_parameters
from reid_pipeline.cli.slurm import Job, script_of
from reid_pipeline.config.cell_rows import CellRow, cell_rows
from reid_pipeline.config.files import read_conf_file, shown
from reid_pipeline.config.overlays import overlay_names
from reid_pipeline.methods import method_names
from reid_pipeline.schema.addresses import ZERO_SHOT
from reid_pipeline.schema.errors import UserError, explain, first_few, nearest
from reid_pipeline.schema.nested import leaves, merged, nested
from reid_pipeline.schema.parameters import SharedParameters
from reid_pipeline.schema.place import CONF, has_own_conf, kedro_package, package_conf, project_folder
from reid_pipeline.schema.resources import Resources, fits
from reid_pipeline.schema.typed import typed

RESOURCES = "resources"
"""The file of conf/, and the block in it."""
_OWN = {"seed": "--seeds", "overlay": "--overlays"}


@dataclass(frozen=True)
class Cells:
    """What is launched: cells of an environment, each with the same further parameters."""

    env: str
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    overlays: tuple[str, ...]
    given: Mapping[str, Any]

    @property
    def title(self) -> str:
        """The cells in a line."""
        parts = [f"seeds {', '.join(map(str, self.seeds))}"]
        parts += [f"overlays {', '.join(self.overlays)}"] if self.overlays else []
        return "; ".join([f"{self.env}: {', '.join(self.methods)}", *parts])

    @property
    def command(self) -> str:
        """The command that launches them."""
        lists = {"methods": self.methods, "seeds": map(str, self.seeds), "overlays": self.overlays}
        given = {name: ",".join(each) for name, each in lists.items()} | {"params": typed(self.given)}
        words = [f"--{name}={value}" for name, value in ({"benchmark": self.env} | given).items() if value]
        return shlex.join(["reid-pipeline", "launch", *words])


def launch(cells: Cells, *, dry_run: bool) -> None:
    """Print the script, or run it, which submits the jobs.

    Raises:
        UserError: something that is named is not there, resources or parameters are wrong, or there is no sbatch.
    """
    project = project_folder()
    conf = project / CONF if has_own_conf(project) else package_conf()
    _require_known(cells, conf)
    resources = read_resources(conf, cells.env)
    most = max(node.processes for node in (resources.default, *resources.nodes.values()))
    _require_valid(cells, _shared(cells.given, most), conf)
    script = script_of(
        jobs_of(cells, conf, resources),
        resources.slurm,
        title=cells.title,
        project=project,
        programs=Path(sys.executable).parent,
        again=f"{cells.command} --dry-run",
    )
    if dry_run:
        click.echo(script, nl=False)
    elif shutil.which("sbatch") is None:
        raise UserError(
            "There is no sbatch here: jobs are submitted where Slurm is, on a cluster's login node. --dry-run prints"
            " the script that does it, which runs there as well: bash <script>."
        )
    else:
        done = subprocess.run(["bash", "-c", script], check=False)  # noqa: S603, S607
        if done.returncode:
            raise UserError(f"sbatch refused a job (status {done.returncode}); those listed above were submitted.")


def cells_of(given: Mapping[str, str]) -> Cells:
    """Return the cells that options of the command name.

    Raises:
        UserError: an option cannot be read.
    """
    return Cells(
        env=given["benchmark"] or str(settings.CONFIG_LOADER_ARGS["default_run_env"]),
        methods=names_in(given["methods"]) or tuple(method_names()),
        seeds=seeds_in(given["seeds"]),
        overlays=names_in(given["overlays"]),
        given=parameters_in(given["params"]),
    )


def jobs_of(cells: Cells, conf: Path, resources: Resources) -> list[Job]:
    """Return the jobs: tables, then zero_shot, then what is compared with it, then the pages over all cells."""
    pretrained, compared = _rows(cells, conf)

    def one(pipeline: str, *, after: str = "", once_ended: Sequence[str] = ()) -> Job:
        needs = resources.of_job(node.name for node in pipelines[pipeline].nodes)
        wait = (after,) if after else ()
        run = _command(cells, pipeline, _shared(cells.given, needs.processes))
        return Job(pipeline, [run], needs, wait, tuple(once_ended))

    def array(name: str, of: Sequence[CellRow], after: str) -> Job:
        nodes = {node.name for row in of for node in _nodes_of(row.method)}
        hours = max(resources.of_job(node.name for node in _nodes_of(row.method)).hours for row in of)
        needs = resources.of_job(nodes).model_copy(update={"hours": hours})
        given = _shared(cells.given, needs.processes)
        each = [(row, {**_own(row, seed), **given}) for row in of for seed in cells.seeds]
        return Job(name, [_command(cells, row.method, it, cell=True) for row, it in each], needs, (after,))

    jobs = [one("ingestion"), array(ZERO_SHOT, pretrained, "ingestion")]
    if compared:
        jobs.append(array("methods", compared, ZERO_SHOT))
    jobs.append(one("report", after=ZERO_SHOT, once_ended=[job.name for job in jobs[2:]]))
    return [*jobs, one("leaderboard", after="report")]


def _rows(cells: Cells, conf: Path) -> tuple[list[CellRow], list[CellRow]]:
    """Return the rows of zero_shot that are needed, and those that are compared with them."""
    rows = cell_rows(conf, cells.env, cells.overlays, loader_args=settings.CONFIG_LOADER_ARGS)
    asked = [row for row in rows if row.method in cells.methods]
    for overlay in cells.overlays:
        if all(row.overlay != overlay for row in asked if row.method != ZERO_SHOT):
            own = [row.method for row in rows if row.overlay == overlay and row.method != ZERO_SHOT]
            raise UserError(f"--overlays={overlay}: it is of {first_few(own, 9)}, none of which is in --methods.")
    compared = [row for row in asked if row.method != ZERO_SHOT]
    needed = {ZERO_SHOT, *(row.zero_shot for row in compared)}
    return [row for row in rows if row.method == ZERO_SHOT and row.folder in needed], compared


def read_resources(conf: Path, env: str) -> Resources:
    """Return conf/base/resources.yml with what conf/<env>/ has of it; the defaults where there is no such file.

    Raises:
        UserError: the file holds something else, a value is wrong, or a key of `nodes` means no node.
    """
    found: dict[str, Any] = {}
    for file in (conf / folder / f"{RESOURCES}.yml" for folder in ("base", env)):
        content = read_conf_file(file) if file.is_file() else {RESOURCES: {}}
        if list(content) != [RESOURCES] or not isinstance(content[RESOURCES], dict):
            raise UserError(f"{shown(file)} must hold one block, {RESOURCES}: and below it default, nodes and slurm.")
        found = merged(found, content[RESOURCES])
    try:
        resources = Resources.model_validate(found)
    except ValidationError as error:
        raise UserError(explain(error, RESOURCES)) from error
    nodes = sorted({node.name for pipeline in pipelines.values() for node in pipeline.nodes})
    for key in resources.nodes:
        if not any(fits(key, node) for node in nodes):
            own = sorted({node.rpartition(".")[2] for node in nodes} | {"train"})
            raise UserError(f"{RESOURCES}.nodes.{key}: no node is called so, or begins so.{nearest(key, own)}")
    return resources


def names_in(text: str) -> tuple[str, ...]:
    """Return names that a comma separates, each once."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def seeds_in(text: str) -> tuple[int, ...]:
    """Return whole numbers that a comma separates, each once."""
    found = names_in(text)
    if not found or not all(each.isascii() and each.isdigit() for each in found):
        raise UserError(f"--seeds={text}: seeds are whole numbers with a comma between them, such as 0,1,2.")
    return tuple(dict.fromkeys(map(int, found)))


def parameters_in(text: str) -> dict[str, Any]:
    """Return what `--params` gives to every run, by dotted name."""
    given = given_parameters(text, [*SharedParameters.model_fields, *method_names()])
    for name, option in _OWN.items():
        if name in given:
            raise UserError(f"--params {name}=...: each cell has its own. Give them by {option}.")
    flat = dict(leaves(given))
    if unprintable := [name for name, value in flat.items() if not str(value).isprintable()]:
        raise UserError(f"--params {unprintable[0]}: a script holds each command in one line, and this has several.")
    return flat


def _require_known(cells: Cells, conf: Path) -> None:
    envs = sorted({file.parent.name for file in conf.glob("*/globals.yml")} - {"base"})
    _require("--benchmark", [cells.env], envs)
    _require("--methods", cells.methods, method_names())
    _require("--overlays", cells.overlays, overlay_names(conf, cells.env))


def _require(option: str, names: Iterable[str], allowed: Sequence[str]) -> None:
    for name in names:
        if name not in allowed:
            hint = nearest(name, allowed) or f" Allowed: {first_few(allowed, 14) or 'none'}."
            raise UserError(f"{option}={name}: there is no such {option.removeprefix('--').removesuffix('s')}.{hint}")


def _require_valid(cells: Cells, given: Mapping[str, Any], conf: Path) -> None:
    """Check the parameters as each run does when it begins, once for every overlay."""
    for overlay in ({}, *({"overlay": name} for name in cells.overlays)):
        parameters = nested({**given, "seed": cells.seeds[0], **overlay})
        session = KedroSession.create(project_folder(), env=cells.env, runtime_params=parameters, conf_source=str(conf))
        with session:
            session.load_context()


def _nodes_of(method: str) -> Sequence[Any]:
    whole: Pipeline = pipelines[method]
    return whole.filter(node_namespaces=[method]).nodes


def _own(row: CellRow, seed: int) -> dict[str, Any]:
    return {"seed": seed, **({"overlay": row.overlay} if row.overlay else {})}


def _shared(given: Mapping[str, Any], processes: int) -> dict[str, Any]:
    """Return what a run is given whose nodes may share their work among processes."""
    return {**given, **({"compute.processes": processes} if processes > 1 else {})}


def _command(cells: Cells, pipeline: str, given: Mapping[str, Any], *, cell: bool = False) -> list[str]:
    """Return the words of a run; of a cell it makes what is in its namespace, as DVC's stages do."""
    program = "kedro" if kedro_package(project_folder()) else "reid-pipeline"
    words = [program, "run", f"--env={cells.env}", f"--pipelines={pipeline}"]
    words += [f"--namespaces={pipeline}"] if cell else []
    return [*words, f"--params={typed(given)}"] if given else words
