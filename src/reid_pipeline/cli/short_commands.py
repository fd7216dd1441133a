"""The short commands of `reid-pipeline`: words for a run of one pipeline, which `run` with --params does as well."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from reid_pipeline.cli.here import only_gallery, run

_IMAGES = "<folder, list, table or picture>"
_GALLERY = {"gallery": "Name of the gallery."}
_ONLY_GALLERY = {"gallery": "Name of the gallery; without it the one that there is."}
_NUMBERS = {"calibrate.false_alarm": float, "search.top": int}
"""Options that are no text."""
_MODEL = {"model": "A trained model: <benchmark>/<method>/seed_<n>, or its file."}


@dataclass(frozen=True)
class Short:
    """A pipeline in short: what follows its name, and options; both name parameters.

    Attributes:
        help: a sentence for --help.
        arguments: what is shown for each parameter that has no option; one that begins with [ may be left out.
        options: a sentence for each parameter that has one; `calibrate.false_alarm` is --false-alarm.
        finds_gallery: the only gallery that there is need not be named.
    """

    help: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    finds_gallery: bool = False


SHORT: Mapping[str, Short] = {
    "enrol": Short(
        "Put pictures with names into a gallery, new or old.",
        {"images": f"[{_IMAGES}]"},
        {**_GALLERY, **_MODEL, "clusters_of": "In the place of names: the clusters of a run, by its cell."},
    ),
    "calibrate": Short(
        "Say how often a newcomer may be taken for known.",
        {},
        {**_GALLERY, "calibrate.false_alarm": "A share: 0.1 is one newcomer in ten."},
    ),
    "identify": Short(
        "Who is on these pictures? Known, and who; or new.", {"images": _IMAGES}, {**_ONLY_GALLERY, **_MODEL}, True
    ),
    "search": Short(
        "Rank a gallery's pictures for these, or for words.",
        {"images": f"[{_IMAGES}]"},
        {**_ONLY_GALLERY, **_MODEL, "text": "Words, in the place of pictures.", "search.top": "How many for each."},
        True,
    ),
    "merge": Short("Two names are one individual.", {"identity": "<one name>", "into": "<the other>"}, _GALLERY),
    "undo": Short("Take the last merge back.", {}, _GALLERY),
    "rename": Short("Give an individual another name.", {"identity": "<name>", "to": "<new name>"}, _GALLERY),
    "forget": Short(
        "Remove entries from a gallery and from all of its files.",
        {},
        {**_GALLERY, "identity": "Of this individual.", "camera": "Of this camera.", "before": "Before this date."},
    ),
    "reembed": Short("Embed a gallery's pictures by another model.", {"model": "<cell or file>"}, _GALLERY),
    "export": Short(
        "Write a trained model as ONNX or .pt2, with the proof that the file is the model.",
        {"model": "<cell or file>"},
        {"format": "onnx, pt2 or all.", "signature": "What the program feeds that loads it, such as boxmot."},
    ),
    "embed": Short(
        "Write the vectors of any pictures, by path.",
        {"images": _IMAGES},
        {**_MODEL, "name": "What the file is called."},
    ),
}
"""By the name of the pipeline."""


def short_command(pipeline: str) -> click.Command:
    """Return the command that runs a pipeline of `SHORT`."""
    short = SHORT[pipeline]
    params: list[click.Parameter] = [
        click.Argument([_word(name)], metavar=shown, required=not shown.startswith("["))
        for name, shown in short.arguments.items()
    ]
    params += [
        click.Option([f"--{_option(name)}", _word(name)], help=text, type=_NUMBERS.get(name, str))
        for name, text in short.options.items()
    ]
    params += [
        click.Option(["--params"], default="", help="Further parameters, as run takes them."),
        click.Option(["--env"], help="Environment, as run takes it."),
    ]
    return click.Command(pipeline, params=params, callback=_callback(pipeline), help=short.help, epilog=_same(pipeline))


def parameters_of(pipeline: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the run's parameters, of what the command line gave; None stands for what was not given."""
    short = SHORT[pipeline]
    found = {name: given[_word(name)] for name in (*short.arguments, *short.options) if given[_word(name)] is not None}
    if short.finds_gallery and "gallery" not in found and (name := only_gallery()):
        found["gallery"] = name
    return found


def _callback(pipeline: str) -> Callable[..., None]:
    def call(*, params: str, env: str | None, **given: Any) -> None:
        run(pipeline, parameters_of(pipeline, given), params=params, env=env)

    return call


def _same(pipeline: str) -> str:
    short = SHORT[pipeline]
    names = [*short.arguments, *short.options]
    return f"The same as: reid-pipeline run --pipeline={pipeline} --params {','.join(f'{name}=...' for name in names)}"


def _word(parameter: str) -> str:
    return parameter.replace(".", "_")


def _option(parameter: str) -> str:
    return parameter.rpartition(".")[2].replace("_", "-")
