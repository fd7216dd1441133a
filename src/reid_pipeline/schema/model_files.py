"""Which file a user means by a model: a cell's address, its folder, or the file itself."""

import re
from pathlib import Path

from reid_pipeline.schema.addresses import folder_of
from reid_pipeline.schema.errors import UserError, nearest
from reid_pipeline.schema.user_paths import user_file, user_path

EMBEDDER = "embedder.safetensors"
MODELS = "data/06_models"
ADDRESS = re.compile(r"[^/\\]+/[^/\\]+/seed_\d+")
FORMS = "<benchmark>/<method>[+<variant>]/seed_<n>"


def cell_embedder(given: str, models: Path, what: str) -> Path | None:
    """Return the embedder of a cell that `given` is the address of, None where it is no address.

    Args:
        given: such as "market1501/pcl+small/seed_0".
        models: the folder of all cells' models.
        what: the parameter that gives it.

    Raises:
        UserError: there is no such cell; the nearest is named.
    """
    if not ADDRESS.fullmatch(given):
        return None
    benchmark, folder, seed = given.split("/")
    file = models / benchmark / folder_of(folder, what) / seed / EMBEDDER
    if not file.is_file():
        known = sorted(each.parent.relative_to(models).as_posix() for each in models.glob(f"*/*/seed_*/{EMBEDDER}"))
        raise UserError(
            f"Parameter {what} is {given!r}, and there is no embedder of such a cell in {models}."
            f"{nearest(given, known)} Train or import it first, or give the path of a file."
        )
    return file


def embedder_file(given: str | Path, project: Path, what: str = "model") -> Path:
    """Return the file of the embedder that is meant; a path that exists wins over an address.

    Args:
        given: an embedder.safetensors, the folder of a cell, or its address below `data/06_models`.
        project: the folder that relative paths, and `data/06_models`, begin at.
        what: the parameter that gives it.

    Raises:
        UserError: there is no such file or cell.
    """
    path = project / user_path(given, f"Parameter {what} is")
    if (path / EMBEDDER).is_file():
        return path / EMBEDDER
    if not path.exists() and (file := cell_embedder(str(given), project / MODELS, what)):
        return file
    remedy = f"Give the address of a cell, {FORMS}, its folder, or an {EMBEDDER}."
    return user_file(given, f"Parameter {what} is", remedy, folder=project)
