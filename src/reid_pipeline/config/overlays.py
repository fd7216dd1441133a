"""Named sets of parameters, over base and the environment and under --params: `--params overlay=<name or file>`.

It holds what conf/<benchmark>/parameters_<method>.yml could hold, or is an earlier run's card, which is in force again.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reid_pipeline.config.files import read_conf_file
from reid_pipeline.schema.errors import UserError, first_few, nearest

FOLDER = "overlays"
_OF_A_CARD = ("benchmark", "seed")
_PRECISION = "compute.precision"
"""A card has what `auto` came to."""


@dataclass(frozen=True)
class Overlay:
    """Parameters, and for a variant's name the file's `label`; of a run card, which has none, whose run it was.

    `card` has its method and variant, and `found`, by dotted name, what that run found on its machine, or in the
    published model that it imported.
    """

    values: dict[str, Any]
    label: str = ""
    benchmark: str = ""
    card: tuple[str, str] | None = None
    found: dict[str, Any] = field(default_factory=dict)


def read_overlay(conf_source: Path, name: str) -> Overlay:
    """Return conf/overlays/<name>.yml, or the file `name`, which may be a run card.

    Raises:
        UserError: there is no such overlay, or it is no mapping of parameters.
    """
    named = conf_source / FOLDER / f"{name}.yml"
    path = named if named.is_file() else Path(name).expanduser()
    if not path.exists():
        known = sorted(file.stem for file in (conf_source / FOLDER).glob("*.yml"))
        raise UserError(
            f"There is no overlay {name!r}.{nearest(name, known)} Allowed: the name of a file in"
            f" conf/{FOLDER}/ ({first_few(known, 12)}), or the path of a YAML file or a run_card.json."
        )
    if path != named and not {"/", "."} & set(name):
        raise UserError(
            f"There is no overlay {name!r} in conf/{FOLDER}/, and the file {name} has no ending: give"
            f" --params overlay=./{name}, or name it {name}.yml."
        )
    content = read_conf_file(path)
    if path.suffix == ".json":
        return _of_card(path, content)
    # A file that is called like one of conf/ is another overlay, and has other cells.
    own = path != named and path.stem in {file.stem for file in (conf_source / FOLDER).glob("*.yml")}
    return Overlay(content, label=f"{path.stem}-file" if own else path.stem)


def require_same_run(overlay: Overlay, name: str, *, benchmark: str, given: dict[str, Any]) -> None:
    """Refuse a run card, given as `name`, whose figures this run would not make, or would file under another name.

    Raises:
        UserError: names both sides.
    """
    seed = overlay.values["seed"]
    where = "leave out collection" if "collection" in given else f"give --env={overlay.benchmark}"
    for what, card, asked, remedy in (
        ("benchmark", overlay.benchmark, benchmark, where),
        ("seed", seed, given.get("seed", seed), "leave out seed"),
    ):
        if asked != card:
            raise UserError(
                f"Overlay {name} is the run card of {what} {card!r}, and this run is of {what} {asked!r}:"
                f" {remedy}, or take another card."
            )


def _of_card(path: Path, card: dict[str, Any]) -> Overlay:
    parameters = card.get("parameters")
    if not isinstance(parameters, dict) or not set(_OF_A_CARD) <= set(parameters):
        raise UserError(
            f"Overlay {path} is JSON, and no run card: its parameters, with benchmark and seed, are missing."
            " Give a run's run_card.json, or write an overlay as YAML."
        )
    values = {name: value for name, value in parameters.items() if name != "benchmark"}
    of = (str(card.get("method", "")), str(card.get("variant") or ""))
    compute, differs = values.get("compute"), card.get("differs") or {}
    precision = compute.get("precision") if isinstance(compute, dict) else None
    found = {} if precision is None else {_PRECISION: precision}
    own = values.get(of[0])
    if card.get("imported") and isinstance(own, dict) and isinstance(own.get("backbone"), dict):
        found |= {f"backbone.{name}": value for name, value in own["backbone"].items()}
    found = {name: value for name, value in found.items() if name not in differs}
    return Overlay(values, benchmark=str(parameters["benchmark"]), card=of, found=found)
