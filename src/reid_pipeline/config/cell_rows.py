"""Which cells a benchmark has: a row for each method with conf's parameters, and for those that an overlay changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reid_pipeline.config.loader import LayeredConfigLoader
from reid_pipeline.config.overlays import read_overlay
from reid_pipeline.methods import method_names
from reid_pipeline.schema.addresses import ZERO_SHOT, Cells
from reid_pipeline.schema.layers import CELLS


@dataclass(frozen=True)
class CellRow:
    """The cells of a method with the same parameters: all seeds.

    Attributes:
        method: its name.
        folder: `<method>`, or `<method>+<variant>`.
        zero_shot: the folder of what it is compared with.
        overlay: whose parameters they are; empty for conf's own.
    """

    method: str
    folder: str
    zero_shot: str
    overlay: str = ""

    @property
    def name(self) -> str:
        """The row in a word that DVC and Slurm take for a name."""
        return f"{self.method}-{self.overlay}" if self.overlay else self.method


def cell_rows(conf: Path, env: str, overlays: Sequence[str] = (), *, loader_args: Mapping[str, Any]) -> list[CellRow]:
    """Return the rows of an environment of `conf`, `zero_shot` first; then those of each overlay.

    Args:
        conf: the folder.
        env: the environment.
        overlays: their names.
        loader_args: what Kedro's settings give to the loader of `conf`.
    """
    rows = [CellRow(name, name, ZERO_SHOT) for name in _methods()]
    return rows + [row for overlay in overlays for row in _varied(conf, env, overlay, loader_args)]


def _methods() -> list[str]:
    return [ZERO_SHOT, *(name for name in method_names() if name != ZERO_SHOT)]


def _varied(conf: Path, env: str, overlay: str, loader_args: Mapping[str, Any]) -> list[CellRow]:
    """Return the rows of an overlay: of the methods that it has a block of (of all if none), and zero_shot's.

    A method whose parameters it does not change has no other cell than conf's.
    """
    methods = _methods()
    loader = LayeredConfigLoader(str(conf), env, {"overlay": overlay}, **loader_args)
    cells = Cells.model_validate(loader["parameters"][CELLS])
    content = read_overlay(conf, overlay, env).values
    named = [name for name in methods if name in content] or methods
    return [
        CellRow(name, cells[name].folder, cells[ZERO_SHOT].folder, overlay)
        for name in methods
        if cells[name].variant and name in {ZERO_SHOT, *named}
    ]
