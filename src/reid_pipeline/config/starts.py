"""The file that `init_from` names: a cell's embedder, by its address, or any embedder or published checkpoint."""

import re
from pathlib import Path

from reid_pipeline.schema.addresses import folder_of
from reid_pipeline.schema.errors import UserError, nearest
from reid_pipeline.schema.origin import INIT_FROM
from reid_pipeline.schema.user_paths import user_file, user_path

EMBEDDER = "embedder.safetensors"
_ADDRESS = re.compile(r"[^/\\]+/[^/\\]+/seed_\d+")
_FORMS = "<benchmark>/<method>[+<variant>]/seed_<n>"


def as_address(given: str, models: Path, project: Path) -> str:
    """Return the address of the cell whose embedder `given` is the path of; anything else as it is.

    `models` is the folder of all cells' models, and relative paths begin at the `project`.
    """
    try:
        file = project / user_path(given, INIT_FROM)
        cell = file.resolve().relative_to(models.resolve()).parent if file.name == EMBEDDER else None
    except (ValueError, OSError):  # no path, or one of another place
        return given
    return cell.as_posix() if cell and _ADDRESS.fullmatch(cell.as_posix()) else given


def start_file(given: str, models: Path, project: Path) -> Path:
    """Return the file that `init_from` names; the folders are as for `as_address`.

    Raises:
        UserError: there is no such cell or file.
    """
    if _ADDRESS.fullmatch(given):
        benchmark, folder, seed = given.split("/")
        file = models / benchmark / folder_of(folder, INIT_FROM) / seed / EMBEDDER
        if not file.is_file():
            known = sorted(each.parent.relative_to(models).as_posix() for each in models.glob(f"*/*/seed_*/{EMBEDDER}"))
            raise UserError(
                f"Parameter {INIT_FROM} is {given!r}, and there is no embedder of such a cell in {models}."
                f"{nearest(given, known)} Train or import it first, or give the path of a file."
            )
        return file
    forms = f"Give the address of a cell, {_FORMS}, an {EMBEDDER}, or the file of a published model."
    return user_file(given, f"Parameter {INIT_FROM} is", forms, folder=project)
