"""`reid-pipeline demo`: drawn people, a gallery of them, and who is on new pictures. Each step is a run."""

import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reid_pipeline.cli.here import run
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.place import project_folder
from reid_pipeline.schema.typed import typed

if TYPE_CHECKING:
    from reid_drawings import Picture

NAME = "demo"
PICTURES = f"data/01_raw/{NAME}"
KNOWN, NEW = f"{PICTURES}/known", f"{PICTURES}/new"
MODEL = f"{NAME}/zero_shot+small/seed_0"
PAGE = f"data/08_reporting/galleries/{NAME}/identify.html"
ENROLLED, ASKED, STRANGERS = 24, 8, 4
"""People: enrolled, of whom a false-alarm rate of one in ten needs 19; those of them on new pictures; others there."""


@dataclass(frozen=True)
class Step:
    """A run, and what it is for."""

    text: str
    pipeline: str
    parameters: Mapping[str, Any]
    further: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """Return the command that does the same."""
        words = ["reid-pipeline run", f"--pipeline={self.pipeline}", *self.further]
        return " ".join([*words, "--params", shlex.quote(typed(self.parameters))])


STEPS = (
    Step(
        "The small CLIP of this package as it comes, as a model of its own",  # the run ends as soon as that is written
        "zero_shot",
        {"collection": NAME, "raw_root": KNOWN, "overlay": "small"},
        ("--env=custom", "--to-nodes=zero_shot.build"),
    ),
    Step(f"{ENROLLED} people into a gallery", "enrol", {"gallery": NAME, "model": MODEL, "images": KNOWN}),
    Step(
        "Of newcomers at most one in ten may be taken for a known one",
        "calibrate",
        {"gallery": NAME, "calibrate.false_alarm": 0.1, "calibrate.unsure": 0.3},
    ),
    Step(f"Who is on {ASKED + STRANGERS} new pictures", "identify", {"gallery": NAME, "images": NEW}),
)


def demo() -> None:
    """Draw, embed, enrol, calibrate, identify; the last lines name the page and what to type next."""
    started = time.monotonic()
    people = project_folder() / PICTURES
    if not people.is_dir():
        click.echo(f"Drawing {ENROLLED} people, new pictures of {ASKED} of them, and {STRANGERS} strangers.")
        write_pictures(people)
    elif not all((project_folder() / each).is_dir() for each in (KNOWN, NEW)):
        raise UserError(f"{people} is there, and is not the demo's: it lacks known/ and new/. Move it away.")
    for number, step in enumerate(STEPS, 1):
        click.echo(f"\n{number} of {len(STEPS)}: {step.text}.\n$ {step.command}")
        run(step.pipeline, step.parameters, further=step.further)
    click.echo(f"\npage    {PAGE}, after {time.monotonic() - started:.0f} s")
    click.echo("next    reid-pipeline identify <your picture>; or your own gallery: reid-pipeline enrol --help")


def write_pictures(folder: Path) -> None:
    """Draw people in even light: a folder for each who is enrolled, and new pictures whose names say who it is."""
    from reid_drawings import SyntheticBenchmark, draw_pictures
    from reid_pipeline.io.replacing import replacing

    people = SyntheticBenchmark(
        train_identities=1,
        test_identities=ENROLLED + STRANGERS,
        cameras_per_identity=(3, 3),
        images_per_camera=(2, 2),
        lighting=0.3,
        distractors=0,
        junk=0,
    )
    with replacing(folder) as scratch:
        for file, data in placed(draw_pictures(people)).items():
            (scratch / file).parent.mkdir(parents=True, exist_ok=True)
            (scratch / file).write_bytes(data)


def placed(drawn: list["Picture"]) -> dict[str, bytes]:
    """Return the files: all gallery pictures of whom to enrol, and the first query of those who are asked about."""
    tested = [each for each in drawn if each.subset != "train"]
    numbers = {identity: number for number, identity in enumerate(sorted({each.identity for each in tested}), 1)}
    files: dict[str, bytes] = {}
    for each in tested:
        number = numbers[each.identity]
        name, stranger = f"person {number:02}", number > ENROLLED
        if each.subset == "gallery" and not stranger:
            files[f"known/{name}/camera {each.camera + 1} {each.frame}.jpg"] = each.data
        elif each.subset == "query" and (stranger or number <= ASKED):
            files.setdefault(f"new/{f'stranger {number - ENROLLED}' if stranger else name}.jpg", each.data)
    return files
