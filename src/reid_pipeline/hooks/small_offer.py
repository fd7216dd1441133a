"""What a collection of one's own can do on a machine without GPU or weights: the command, in a sentence."""

import logging
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reid_pipeline.methods import find_method
from reid_pipeline.models.open_clip_lists import DEMO_MODEL
from reid_pipeline.schema.auto_plan import AUTO, PLAN, SMALL
from reid_pipeline.schema.layers import BACKBONE
from reid_pipeline.schema.place import as_typed_here
from reid_pipeline.schema.typed import typed

_log = logging.getLogger(__name__)


def small_command(run_params: Mapping[str, Any], conf: Path) -> str:
    """Return the command of a run with the overlay of the small CLIP; empty where conf/ has none.

    What was given stands in it, but for backbones and another overlay.
    """
    if not (conf / "overlays" / f"{SMALL}.yml").is_file():
        return ""
    given = {name: value for name, value in (run_params.get("runtime_params") or {}).items() if name != BACKBONE}
    plain = {
        name: {key: each for key, each in value.items() if key != BACKBONE} if isinstance(value, Mapping) else value
        for name, value in given.items()
    }
    named = [name for name in run_params.get("pipeline_names") or () if name != "__default__"]
    command = ["kedro run", *(f"--pipeline={name}" for name in named[:1])]
    if environment := run_params.get("env"):
        command.append(f"--env={environment}")
    shown = {name: value for name, value in plain.items() if value != {}} | {"overlay": SMALL}
    return as_typed_here(" ".join([*command, f"--params={shlex.quote(typed(shown))}"]))


def offer_for_weights(backbones: Mapping[str, str], *, on_cpu: bool, command: str) -> str:
    """Return the sentence for weights that are not to be had; empty without a command."""
    if not command:
        return ""
    names = " and ".join(sorted(set(backbones.values())))
    lacking = "neither a GPU nor a way to the weights of" if on_cpu else "no way to the weights of"
    return (
        f"There is {lacking} {names} here; the small CLIP that ships with this project needs no download and trains on"
        f" a CPU: {command}."
    )


def offer_for_cpu(backbones: Mapping[str, str], command: str) -> None:
    """Log in a sentence that there is no GPU, where a method trains a larger network; nothing without a command."""
    large = {name for method, name in backbones.items() if find_method(method).stage_names and name != DEMO_MODEL}
    if large and command:
        _log.warning(
            "There is no GPU here, and %s will train on the CPU, in the time that is measured and printed before it;"
            " the small CLIP that ships with this project is made for a CPU: %s.",
            *(" and ".join(sorted(large)), command),
        )


def wants_offer(parameters: Mapping[str, Any]) -> bool:
    """Return whether a run leaves its plans to the data, as those of one's own images do, and has another CLIP."""
    return parameters.get(PLAN) == AUTO and parameters.get("overlay") != SMALL
