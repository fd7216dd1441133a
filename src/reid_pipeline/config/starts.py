"""The file that `init_from` names: a cell's embedder, by its address, or any embedder or published checkpoint."""

from pathlib import Path

from reid_pipeline.schema.model_files import ADDRESS, EMBEDDER, FORMS, cell_embedder
from reid_pipeline.schema.origin import INIT_FROM
from reid_pipeline.schema.user_paths import user_file, user_path


def as_address(given: str, models: Path, project: Path) -> str:
    """Return the address of the cell whose embedder `given` is the path of; anything else as it is.

    `models` is the folder of all cells' models, and relative paths begin at the `project`.
    """
    try:
        file = project / user_path(given, INIT_FROM)
        cell = file.resolve().relative_to(models.resolve()).parent if file.name == EMBEDDER else None
    except (ValueError, OSError):  # no path, or one of another place
        return given
    return cell.as_posix() if cell and ADDRESS.fullmatch(cell.as_posix()) else given


def start_file(given: str, models: Path, project: Path) -> Path:
    """Return the file that `init_from` names; the folders are as for `as_address`.

    Raises:
        UserError: there is no such cell or file.
    """
    if file := cell_embedder(given, models, INIT_FROM):
        return file
    forms = f"Give the address of a cell, {FORMS}, an {EMBEDDER}, or the file of a published model."
    return user_file(given, f"Parameter {INIT_FROM} is", forms, folder=project)
