"""What every kind of clustering answers, and the cut that all of them read: pairs within eps.

Shape suffixes: N rows, E stored pairs.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from reid_pipeline.clustering.quality import Integers
from reid_pipeline.geometry.distances import check_count
from reid_pipeline.schema.errors import UserError


class LabelsOfGraph(Protocol):
    """From a sparse similarity to labels."""

    def __call__(self, similarity: sparse.csr_array, *, eps: float, min_samples: int, resolution: float) -> Integers:
        """Return int64 `[N]`: clusters 0 to C - 1, noise -1.

        Args:
            similarity: CSR `[N, N]`, symmetric, values in (0, 1]; a pair that is not stored has similarity 0.
            eps: greatest distance `1 - similarity` of neighbours, in (0, 1].
            min_samples: what a cluster needs to be more than noise, at least 1; each kind says how it counts.
            resolution: above 0; more of it, more clusters. A kind that has no such thing ignores it.

        Raises:
            UserError: a matrix that is not square, or an option outside its range.
        """


@dataclass(frozen=True)
class ClusteringKind:
    """A kind of clustering: its name, what it finds in a sentence, and the function that does it."""

    name: str
    description: str
    labels: LabelsOfGraph


def check_options(*, eps: float, min_samples: int, resolution: float = 1.0) -> None:
    """Raise UserError where an option is outside its range."""
    if not 0.0 < eps <= 1.0:
        raise UserError(
            f"eps is {eps}; it is a Jaccard distance and must lie in (0, 1] (usual: 0.4 to 0.7; higher merges more)."
        )
    check_count("min_samples", min_samples, "4")
    if not 0.0 < resolution < np.inf:
        raise UserError(f"resolution is {resolution}; a number above 0 is needed (usual: 1; higher splits more).")


def square(similarity: sparse.csr_array) -> sparse.csr_array:
    """Return the similarity as CSR; a UserError where it is not square."""
    pairs = sparse.csr_array(similarity)
    if pairs.shape[0] != pairs.shape[1]:
        raise UserError(f"similarity has shape {list(pairs.shape)}; a square matrix [N, N] is needed.")
    return pairs


def pairs_within(pairs: sparse.csr_array, eps: float) -> tuple[Integers, Integers, NDArray[np.float32]]:
    """Return rows, columns and similarities `[E]` of the pairs of different rows within eps, in the order stored.

    Decided by `float32(1) - similarity <= float32(eps)`, the comparison that scikit-learn makes on a float32 distance.
    """
    rows_E = np.repeat(np.arange(pairs.shape[0]), np.diff(pairs.indptr))
    values_E = pairs.data.astype(np.float32, copy=False)
    near_E = np.float32(1) - values_E <= np.float32(eps)
    near_E &= rows_E != pairs.indices
    return rows_E[near_E], pairs.indices[near_E].astype(np.int64), values_E[near_E]
