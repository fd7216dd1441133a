"""Named sets of parameters, over base and the environment and under --params: `--params overlay=<name or file>`.

It holds what conf/<benchmark>/parameters_<method>.yml could hold, or is an earlier run's card, which is in force again.
What a named one is on one benchmark alone stands in conf/<benchmark>/overlays/<name>.yml, and goes over it, as
conf/<benchmark>/ goes over conf/base/.
"""

from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from reid_pipeline.config.files import read_conf_file
from reid_pipeline.methods import recorded_block
from reid_pipeline.schema.errors import UserError, first_few, nearest
from reid_pipeline.schema.nested import leaves, merged, nested
from reid_pipeline.schema.sample import whole_and_identities
from reid_pipeline.schema.user_paths import user_path

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


def read_overlay(conf_source: Path, name: str, environment: str) -> Overlay:
    """Return conf/overlays/<name>.yml with what the environment has of it, or the file `name`, which may be a run card.

    Raises:
        UserError: there is no such overlay, or it is no mapping of parameters.
    """
    if files := overlay_files(conf_source, name, environment):
        return Overlay(reduce(merged, map(read_conf_file, files)), label=files[0].stem)
    path = user_path(name, "Parameter overlay is")
    if not path.exists():
        raise _absent(conf_source, name, environment)
    if not {"/", "."} & set(name):
        raise UserError(
            f"There is no overlay {name!r} in conf/{FOLDER}/, and the file {name} has no ending: give"
            f" --params overlay=./{name}, or name it {name}.yml."
        )
    content = read_conf_file(path)
    if path.suffix == ".json":
        return _of_card(path, content)
    # A file that is called like one of conf/ is another overlay, and has other cells.
    own = path.stem in overlay_names(conf_source, environment)
    return Overlay(content, label=f"{path.stem}-file" if own else path.stem)


def overlay_names(conf_source: Path, environment: str) -> list[str]:
    """Return the names of the overlays that conf/ has for an environment: for all, and for it alone."""
    return sorted({file.stem for folder in _folders(conf_source, environment) for file in folder.glob("*.yml")})


def overlay_files(conf_source: Path, name: str, environment: str) -> list[Path]:
    """Return the files of conf/ that make the overlay `name` in an environment, the later over the earlier."""
    files = [folder / f"{name}.yml" for folder in _folders(conf_source, environment)]
    return [file for file in files if file.is_file()]


def _folders(conf_source: Path, environment: str) -> list[Path]:
    return [conf_source / FOLDER, conf_source / environment / FOLDER]


def _absent(conf_source: Path, name: str, environment: str) -> UserError:
    """Return the error for a name of no overlay, or of other environments alone."""
    known = overlay_names(conf_source, environment)
    others = sorted(file.parent.parent.name for file in conf_source.glob(f"*/{FOLDER}/*.yml") if file.stem == name)
    elsewhere = f" It is one of {first_few([f'--env={other}' for other in others])} alone." if others else ""
    return UserError(
        f"There is no overlay {name!r}{f' for --env={environment}' if others else ''}.{elsewhere}"
        f"{nearest(name, known)} Allowed: the name of a file in conf/{FOLDER}/ or conf/{environment}/{FOLDER}/"
        f" ({first_few(known, 12)}), or the path of a YAML file or a run_card.json."
    )


def require_same_run(overlay: Overlay, name: str, *, benchmark: str, given: dict[str, Any]) -> None:
    """Refuse a run card, given as `name`, whose figures this run would not make, or would file under another name.

    Raises:
        UserError: names both sides.
    """
    seed = overlay.values["seed"]
    names = [name for name in ("sample", "collection") if name in given]
    where = f"leave out {' and '.join(names)}" if names else f"give --env={whole_and_identities(overlay.benchmark)[0]}"
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
    older = _older_evaluation(card)
    parameters = merged(parameters, nested(older))
    values = {name: _completed(name, value) for name, value in parameters.items() if name != "benchmark"}
    of = (str(card.get("method", "")), str(card.get("variant") or ""))
    compute, differs = values.get("compute"), card.get("differs") or {}
    precision = compute.get("precision") if isinstance(compute, dict) else None
    found = older if precision is None else {_PRECISION: precision, **older}
    own = values.get(of[0])
    if card.get("imported") and isinstance(own, dict) and isinstance(own.get("backbone"), dict):
        found |= {f"backbone.{name}": value for name, value in own["backbone"].items()}
    if isinstance(own, dict):  # what the data decided is in force again, and is no difference
        of_data = dict(leaves(own))
        found |= {name: of_data[name] for name in card.get("auto") or () if name in of_data}
    found = {name: value for name, value in found.items() if name not in differs}
    return Overlay(values, benchmark=str(parameters["benchmark"]), card=of, found=found)


def _older_evaluation(card: dict[str, Any]) -> dict[str, Any]:
    """Return, by dotted name, the precision of the test of a card that has none: it was that of the training."""
    evaluation, precision = card["parameters"].get("evaluation"), card.get("precision")
    older = isinstance(evaluation, dict) and "precision" not in evaluation and isinstance(precision, str)
    return {"evaluation.precision": precision} if older else {}


def _completed(name: str, values: Any) -> Any:
    """Return a block of a card whole: what it lacks would be taken from conf/ as it is now."""
    try:
        return recorded_block(name, values)
    except ValidationError:  # a checkpoint that it names is gone; refused later, with the rest
        return values
