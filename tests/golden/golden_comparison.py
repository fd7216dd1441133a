"""How a golden trace is compared with the one that is stored.

On the processor and torch that recorded it, to the last bit. Elsewhere digests of tensors are not compared,
and floats may differ by 1e-5, absolutely or of the larger one (`math.isclose`), whichever allows more. All
else is equal everywhere: integers, so pseudo-labels and counts; names; the digests of images and weights.

ARI and NMI of a clustering, which diagnose it and which nothing is trained with, may differ by 1e-12 on that machine
too: the traces hold the values of earlier formulas of this project, and scikit-learn's, used since, round otherwise
in the last digits.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TOLERANCE = 1e-5
DIAGNOSES, ROUNDING = (".ground_truth.ari", ".ground_truth.nmi"), 1e-12
SAME_BITS = ("torch", "processor", "cpu_capability")
REMEDY = 'If the change is meant: make golden REASON="..."'


def exactly(recorded: dict[str, Any], machine: dict[str, str]) -> bool:
    """Say whether floats recorded on one machine must come out the same on another, to the last bit."""
    return all(recorded[name] == machine[name] for name in SAME_BITS)


def differences(recorded: Any, found: Any, *, exact: bool, where: str = "") -> list[str]:
    """Return what differs, a line for each field, with its path, what was recorded and what was found."""
    return list(_differences(recorded, found, exact, where))


def complaint(file: Path, run: str, lines: list[str], *, exact: bool) -> str:
    """Return the text of a failure."""
    rule = "exact: the same processor and torch" if exact else f"floats within {TOLERANCE:g}: another machine"
    shown = "\n  ".join([*lines[:20], *([f"and {len(lines) - 20} more"] if len(lines) > 20 else [])])
    return f"{file}: run {run} is not as recorded ({rule}).\n  {shown}\n{REMEDY}"


def _differences(recorded: Any, found: Any, exact: bool, where: str) -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(found, dict) and set(recorded) == set(found):
        for name, value in recorded.items():
            if exact or name != "digest":
                path = f"{where}.{name}" if where else name
                yield from _differences(value, found[name], exact, path)
    elif isinstance(recorded, list) and isinstance(found, list) and len(recorded) == len(found):
        for place, (value, other) in enumerate(zip(recorded, found, strict=True)):
            yield from _differences(value, other, exact, f"{where}[{place}]")
    elif not _same(recorded, found, _tolerance(exact, where)):
        yield f"{where or 'trace'}: recorded {_short(recorded)}, found {_short(found)}"


def _tolerance(exact: bool, where: str) -> float:
    """Return how far the floats of a field may differ; 0: not at all."""
    if not exact:
        return TOLERANCE
    return ROUNDING if where.endswith(DIAGNOSES) else 0.0


def _same(recorded: Any, found: Any, tolerance: float) -> bool:
    if isinstance(recorded, float) and isinstance(found, float) and tolerance:
        return math.isclose(recorded, found, rel_tol=tolerance, abs_tol=tolerance)
    return type(recorded) is type(found) and bool(recorded == found)


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return f"fields {', '.join(sorted(value))}"
    return f"a list of {len(value)}" if isinstance(value, list) else repr(value)
