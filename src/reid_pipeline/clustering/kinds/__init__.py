"""One module per kind of clustering; each holds its `KIND`. A kind is found by its module's name.

Modules whose names begin with an underscore are what several kinds share.
"""

import importlib
import pkgutil

from reid_pipeline.clustering.kinds._kind import ClusteringKind
from reid_pipeline.schema.errors import UserError, nearest


def kind_names() -> list[str]:
    """Return the names of all kinds, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name[0] != "_")


def check_kind(name: str) -> str:
    """Return `name`, or raise a UserError with the kinds that there are."""
    names = kind_names()
    if name not in names:
        raise UserError(f"There is no clustering {name!r}.{nearest(str(name), names)} Kinds are: {', '.join(names)}.")
    return name


def find_kind(name: str) -> ClusteringKind:
    """Return the `KIND` of module `name`; a UserError lists the kinds where there is none."""
    kind: ClusteringKind = importlib.import_module(f"{__name__}.{check_kind(name)}").KIND
    return kind
