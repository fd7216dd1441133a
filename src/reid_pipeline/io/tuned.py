"""Taking what a study found, by its name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader

from reid_pipeline.io.atomic import AtomicYAMLDataset
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.recipes import merged

ENTRY = "tuned_parameters"


def lay_over_tuned(loader: OmegaConfigLoader, project_path: Path) -> None:
    """With runtime parameter `tuned`, put the study's values over conf/ and under the others given.

    Args:
        loader: of the run's configuration; its runtime parameters are replaced.
        project_path: what the catalog's paths are relative to.

    Raises:
        UserError: there is no such study of this benchmark, or none of its trials was trained to the end.
    """
    given = dict(loader.runtime_params or {})
    tuned = given.get("tuned")
    if tuned is None:
        return
    file = project_path / _path_of(loader, given, str(tuned))
    values: Mapping[str, Any] = AtomicYAMLDataset(filepath=str(file)).load() if file.is_file() else {}
    if not values:
        method = str(tuned).partition("/")[0]
        raise UserError(
            f"tuned is {tuned!r}, and there is nothing in {file}: no study of that name has found anything"
            f" for this benchmark. Run one: kedro run --pipeline=tuning --params method={method}, with --env"
            " as here; or name another, as <method> or <method>/<study>."
        )
    loader.runtime_params = merged(values, given)


def _path_of(loader: OmegaConfigLoader, given: dict[str, Any], tuned: str) -> str:
    """Return the path that the catalog gives to that study's values."""
    method, _, study = tuned.partition("/")
    loader.runtime_params = {**given, "method": method, "study": study or "main"}
    try:
        path: str = loader["catalog"][ENTRY]["filepath"]
    finally:
        loader.runtime_params = given
    return path
