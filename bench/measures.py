"""What several of these programs measure: the peak of a process's memory, and how something grows."""

import numpy as np

from reid_pipeline.io.memory import peak_memory


def resident() -> float:
    """Return the largest resident memory of this process so far, in MiB."""
    return peak_memory() / 2**20


def exponent(sizes: list[int], values: list[float]) -> float:
    """Return the p of `value = c size^p` that fits best, by least squares of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])
