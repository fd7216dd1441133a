"""From raw image collections to CLIP re-identification models and results that can be made again."""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reid_pipeline.evaluation.loaded_embedder import LoadedEmbedder as LoadedEmbedder
    from reid_pipeline.evaluation.loaded_embedder import load_embedder as load_embedder
    from reid_pipeline.gallery import Filters as Filters
    from reid_pipeline.gallery import Gallery as Gallery

__version__ = "0.2.0"

_HANDED_ON = {
    "load_embedder": "reid_pipeline.evaluation.loaded_embedder",
    "LoadedEmbedder": "reid_pipeline.evaluation.loaded_embedder",
    "Filters": "reid_pipeline.gallery",
    "Gallery": "reid_pipeline.gallery",
}
"""What a Python shell wants of it, by the module that has it, imported when it is asked for: that one needs torch."""

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Variables that say how the threads of OpenMP wait for each other; whoever sets one of them decides."""

# As it comes, GNU's OpenMP, with which torch and faiss compute on Linux, spins for milliseconds at every barrier: on a
# machine that others use too, a waiting thread takes the core from the one that it waits for (docs/performance.md).
# It is read when the library is loaded, hence here; child processes inherit it.
if not any(name in os.environ for name in WAITING):
    os.environ["GOMP_SPINCOUNT"] = "10000"


def __getattr__(name: str) -> Any:
    if name not in _HANDED_ON:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HANDED_ON[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HANDED_ON})
