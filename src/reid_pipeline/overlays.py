"""Named sets of parameters that go over an environment: `--params overlay=<name or file>`.

An overlay holds what conf/<benchmark>/parameters_<method>.yml could hold, or it is the run card of an earlier
run, whose parameters are then in force again. It goes over base and the environment, and under whatever else
--params gives.
"""

import json
from pathlib import Path
from typing import Any

import yaml
from kedro.config import OmegaConfigLoader

from reid_pipeline.schema.errors import UserError, first_few, nearest
from reid_pipeline.schema.recipes import merged

FOLDER = "overlays"
_OF_A_CARD = ("benchmark", "seed")


class OverlayConfigLoader(OmegaConfigLoader):
    """Kedro's loader, whose runtime parameters have those of the overlay beneath them."""

    def __init__(
        self,
        conf_source: str,
        env: str | None = None,
        runtime_params: dict[str, Any] | None = None,
        **rest: Any,
    ) -> None:
        """Read the overlay that `runtime_params` name, if any.

        Raises:
            UserError: there is no such overlay, it is no mapping of parameters, or it is the run card of
                another benchmark or of another seed than the one given.
        """
        given = dict(runtime_params or {})
        named = given.get("overlay")
        beneath = {} if named is None else read_overlay(Path(conf_source), str(named))
        super().__init__(conf_source, env, merged(beneath, given), **rest)
        if set(_OF_A_CARD) <= set(beneath):
            asked = {"benchmark": self["globals"].get("benchmark"), "seed": beneath["seed"], **given}
            _require_same_run(str(named), beneath, asked)


def read_overlay(conf_source: Path, name: str) -> dict[str, Any]:
    """Return the parameters of conf/overlays/<name>.yml, or of the file `name`, which may be a run card.

    Those of a run card have `benchmark` and `seed` among them.

    Raises:
        UserError: there is no such overlay, or it is no mapping of parameters.
    """
    named = conf_source / FOLDER / f"{name}.yml"
    path = named if named.is_file() else Path(name)
    if not path.is_file():
        known = sorted(file.stem for file in (conf_source / FOLDER).glob("*.yml"))
        raise UserError(
            f"There is no overlay {name!r}.{nearest(name, known)} Allowed: the name of a file in"
            f" conf/{FOLDER}/ ({first_few(known, 12)}), or the path of a YAML file or a"
            " run_card.json."
        )
    # YAML would read the 1e-06 of JSON as text.
    parse, kind = (json.loads, "JSON") if path.suffix == ".json" else (yaml.safe_load, "YAML")
    try:
        content = parse(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"Overlay {path} is not {kind}: {error}. Correct it.") from error
    if kind == "JSON":
        return _parameters_of_card(path, content)
    if not isinstance(content, dict):
        raise UserError(
            f"Overlay {path} holds {type(content).__name__}; it must map a method's name, or that of another"
            " parameter, to values, as conf/base/parameters_<method>.yml does."
        )
    return content


def _parameters_of_card(path: Path, card: Any) -> dict[str, Any]:
    parameters = card.get("parameters") if isinstance(card, dict) else None
    if not isinstance(parameters, dict) or not set(_OF_A_CARD) <= set(parameters):
        raise UserError(
            f"Overlay {path} is JSON, and no run card: its parameters, with benchmark and seed, are missing."
            " Give a run's run_card.json, or write an overlay as YAML."
        )
    return parameters


def _require_same_run(overlay: str, card: dict[str, Any], asked: dict[str, Any]) -> None:
    """Refuse a card whose figures this run would not make, or would file under another name."""
    remedies = {"benchmark": f"give --env={card['benchmark']}", "seed": "leave out seed"}
    for name, remedy in remedies.items():
        if asked[name] != card[name]:
            raise UserError(
                f"Overlay {overlay} is the run card of {name} {card[name]!r}, and this run is of {name}"
                f" {asked[name]!r}: {remedy}, or take another card."
            )
