"""From raw image collections to CLIP re-identification models and results that can be made again."""

import os

__version__ = "0.2.0"

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Variables that say how the threads of OpenMP wait for each other; whoever sets one of them decides."""

# As it comes, GNU's OpenMP, with which torch and faiss compute on Linux, spins for milliseconds at every barrier: on a
# machine that others use too, a waiting thread takes the core from the one that it waits for (docs/performance.md).
# It is read when the library is loaded, hence here; child processes inherit it.
if not any(name in os.environ for name in WAITING):
    os.environ["GOMP_SPINCOUNT"] = "10000"
