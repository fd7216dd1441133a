"""What several of these programs measure: the peak of a process's memory, and how something grows."""

import resource
import sys
from pathlib import Path

import numpy as np

_STATUS = Path("/proc/self/status")


def resident() -> float:
    """Return the largest resident memory of this process so far, in MiB.

    Linux passes what `getrusage` says on to a child, even when that runs another program: the child of a
    process that was once large seems to need nothing. The kernel's status of the process starts anew.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def exponent(sizes: list[int], values: list[float]) -> float:
    """Return the p of ``value = c size^p`` that fits best, by least squares of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])
