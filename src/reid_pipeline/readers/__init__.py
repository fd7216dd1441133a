"""One module per benchmark: what is published of it, its folder to a manifest, and pictures to such a folder.

A module gives `BENCHMARK`, a `schema.benchmark.Benchmark`; `read(raw, ingestion)`, which returns a
`schema.benchmark.Reading`; and `lay_out(pictures)`, which returns pictures as the benchmark's files. It is found by its
name; names that begin with an underscore are helpers.
"""

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from reid_pipeline.schema.errors import UserError, nearest

if TYPE_CHECKING:
    from reid_pipeline.readers._folder import Picture
    from reid_pipeline.schema.benchmark import Benchmark, Reading
    from reid_pipeline.schema.parameters import IngestionParameters
    from reid_pipeline.schema.raw_folder import RawFolder


class Reader(Protocol):
    """What every module of this room offers."""

    BENCHMARK: "Benchmark"

    def read(self, raw: "RawFolder", ingestion: "IngestionParameters") -> "Reading":
        """Turn names and lists into the manifest, without opening an image."""

    # (pictures) or, where the benchmark has several forms, (pictures, form).
    lay_out: "Callable[..., dict[str, bytes]]"


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


def layouts() -> dict[str, tuple[str, str | None]]:
    """Return the layouts: a reader's name, and its form where it has several (`msmt17_v1`), to reader and form."""
    found: dict[str, tuple[str, str | None]] = {}
    for name in reader_names():
        forms = reader(name).BENCHMARK.forms
        found |= {f"{name}_{form}": (name, form) for form in forms} if forms else {name: (name, None)}
    return found


def lay_out(layout: str, pictures: Sequence["Picture"]) -> dict[str, bytes]:
    """Return pictures, such as of `reid_drawings.draw_pictures`, as files of a layout by relative path, sorted.

    Distractors and junk are left out where the layout has no names for them.

    Raises:
        UserError: there is no such layout, it is of other things than the pictures, or its benchmark has fewer cameras.
    """
    known = layouts()
    if layout not in known:
        raise UserError(f"There is no layout {layout!r}.{nearest(layout, known)} Layouts are: {', '.join(known)}.")
    name, form = known[layout]
    found = reader(name)
    noun, given = found.BENCHMARK.noun, "vehicle" if any(p.viewpoint is not None for p in pictures) else "person"
    if noun != given and {noun, given} == {"person", "vehicle"}:
        raise UserError(f"Layout {layout} is of a {noun}'s pictures, and these are of a {given}'s.")
    cameras, most = 1 + max((picture.camera for picture in pictures), default=0), found.BENCHMARK.cameras
    if most is not None and cameras > most:
        raise UserError(
            f"Layout {layout} has {most} cameras at most, and the pictures have {cameras}. Draw with fewer."
        )
    files = found.lay_out(pictures) if form is None else found.lay_out(pictures, form)
    return dict(sorted(files.items()))
