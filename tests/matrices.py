"""Matrices of which the suite runs some cells, and `bench/matrices.py` all: each cell alone takes seconds."""

import os
from collections.abc import Sequence
from typing import TypeVar

Cell = TypeVar("Cell")
VARIABLE = "WHOLE_MATRICES"
WHOLE = VARIABLE in os.environ


def cells(every: Sequence[Cell], always: Sequence[Cell]) -> list[Cell]:
    """Return the cells that are run: those of `always`, or all where the matrices are run whole."""
    missing = [cell for cell in always if cell not in every]
    assert not missing, f"{missing} are no cells"
    return list(every if WHOLE else always)
