"""Named sets of parameters that go over an environment: `--params overlay=<name or file>`.

An overlay holds what conf/<benchmark>/parameters_<method>.yml could hold. It goes over base and the
environment, and under whatever else --params gives.
"""

from pathlib import Path
from typing import Any

import yaml
from kedro.config import OmegaConfigLoader

from reid_pipeline.schema.errors import UserError, first_few, nearest
from reid_pipeline.schema.recipes import merged

FOLDER = "overlays"


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
            UserError: there is no such overlay, or it is no mapping of parameters.
        """
        given = dict(runtime_params or {})
        if given.get("overlay") is not None:
            given = merged(read_overlay(Path(conf_source), str(given["overlay"])), given)
        super().__init__(conf_source, env, given, **rest)


def read_overlay(conf_source: Path, name: str) -> dict[str, Any]:
    """Return the parameters of conf/overlays/<name>.yml, or of the file `name`.

    Raises:
        UserError: there is no such overlay, or it is no mapping of parameters.
    """
    named = conf_source / FOLDER / f"{name}.yml"
    path = named if named.is_file() else Path(name)
    if not path.is_file():
        known = sorted(file.stem for file in (conf_source / FOLDER).glob("*.yml"))
        raise UserError(
            f"There is no overlay {name!r}.{nearest(name, known)} Allowed: the name of a file in"
            f" conf/{FOLDER}/ ({first_few(known, 12)}), or the path of a YAML file."
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"Overlay {path} is not YAML: {error}. Correct it.") from error
    if not isinstance(content, dict):
        raise UserError(
            f"Overlay {path} holds {type(content).__name__}; it must map a method's name, or that of another"
            " parameter, to values, as conf/base/parameters_<method>.yml does."
        )
    return content
