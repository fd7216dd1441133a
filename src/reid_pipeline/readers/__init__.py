"""One module per benchmark: what is published of it, and its folder to a manifest.

A module gives `BENCHMARK`, a `schema.benchmark.Benchmark`, and `read(raw, ingestion)`, which returns a
`schema.benchmark.Reading`. It is found by its name; names that begin with an underscore are helpers.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING, Protocol, cast

from reid_pipeline.schema.errors import UserError, nearest

if TYPE_CHECKING:
    from reid_pipeline.schema.benchmark import Benchmark, Reading
    from reid_pipeline.schema.parameters import IngestionParameters
    from reid_pipeline.schema.raw_folder import RawFolder


class Reader(Protocol):
    """What every module of this room offers."""

    BENCHMARK: "Benchmark"

    def read(self, raw: "RawFolder", ingestion: "IngestionParameters") -> "Reading":
        """Turn names and lists into the manifest, without opening an image."""


def reader_names() -> list[str]:
    """Return the names of all readers, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name[0] != "_")


def reader(name: str) -> Reader:
    """Return the module of benchmark `name`.

    Raises:
        UserError: there is no such reader.
    """
    names = reader_names()
    if name not in names:
        raise UserError(
            f"There is no reader {name!r}.{nearest(name, names)} `ingestion.reader` is one of: {', '.join(names)}."
        )
    return cast("Reader", importlib.import_module(f"{__name__}.{name}"))
