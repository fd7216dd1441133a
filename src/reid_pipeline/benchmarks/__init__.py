"""One module per benchmark: folder and file names to the manifest. A reader is found by its module's name."""

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, cast

from reid_pipeline.schema.errors import UserError, nearest

if TYPE_CHECKING:
    import pandas as pd


def reader_names() -> list[str]:
    """Return the names of all readers, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def reader(name: str) -> "Callable[[Iterable[str]], pd.DataFrame]":
    """Return the `read` function of benchmark `name`.

    Raises:
        UserError: there is no such reader.
    """
    names = reader_names()
    if name not in names:
        raise UserError(
            f"There is no reader {name!r}.{nearest(name, names)}"
            f" `ingestion.reader` is one of: {', '.join(names)}."
        )
    module = importlib.import_module(f"{__name__}.{name}")
    return cast("Callable[[Iterable[str]], pd.DataFrame]", module.read)
