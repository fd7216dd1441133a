"""Features of a sample, placed in a plane by t-SNE.

Source: van der Maaten & Hinton, Visualizing Data using t-SNE, JMLR 2008, by scikit-learn.

Shape suffixes: N features, D width.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reid_pipeline.evaluation.sampled_groups import Groups, Integers
from reid_pipeline.schema.columns import CAMERA
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.explanations import ImageSpace, Plane, TextSpace

Floats = NDArray[np.float64]
LEAST = 4
"""Features; fewer are not placed."""
_PERPLEXITY, _DIGITS = 30.0, 4


def image_space(
    groups: Groups,
    sampled: list[tuple[int, Integers]],
    split_table: pd.DataFrame,
    spaces: tuple[Embeddings | None, Embeddings],
    seed: int,
) -> ImageSpace | None:
    """Return the image features of sampled groups, before (if known) and after; None of fewer than 4 images."""
    rows = np.concatenate([members for _, members in sampled]) if sampled else np.empty(0, dtype=np.int64)
    if len(rows) < LEAST:
        return None
    own = np.repeat(np.arange(len(sampled)), [len(members) for _, members in sampled])
    before, after = (None if each is None else plane(each.of(rows), seed, own) for each in spaces)
    if after is None:
        raise ValueError("a run has embeddings")
    return ImageSpace(
        by=groups.by,
        groups=tuple(groups.names[number] for number, _ in sampled),
        group=tuple(own.tolist()),
        camera=tuple(split_table[CAMERA].iloc[rows].fillna("").astype(str)),
        before=before,
        after=after,
    )


def text_space(names: tuple[str, ...], before: np.ndarray, after: np.ndarray, seed: int) -> TextSpace | None:
    """Return the features of the prompts of identities, float [N, D] twice; None of fewer than 4 identities."""
    if len(names) < LEAST:
        return None
    return TextSpace(identities=names, before=plane(before, seed), after=plane(after, seed))


def plane(features_ND: np.ndarray, seed: int, group_N: Integers | None = None) -> Plane:
    """Return features placed in the plane, and two figures of the features themselves, taken as unit vectors.

    Of features in groups it is `nearest_alike`, of others `mean_cosine`.
    """
    unit_ND = _unit(features_ND)
    cosines_NN = unit_ND @ unit_ND.T
    points = [(round(float(x), _DIGITS), round(float(y), _DIGITS)) for x, y in tsne(unit_ND, seed)]
    if group_N is None:
        pairs = cosines_NN[np.triu_indices(len(unit_ND), 1)]
        return Plane(points=tuple(points), mean_cosine=float(np.round(pairs.mean(), _DIGITS)))
    np.fill_diagonal(cosines_NN, -np.inf)
    alike = group_N[cosines_NN.argmax(axis=1)] == group_N
    return Plane(points=tuple(points), nearest_alike=float(np.round(alike.mean(), _DIGITS)))


def tsne(unit_ND: Floats, seed: int) -> Floats:
    """Return unit vectors as points of the unit square, float64 [N, 2], both axes to one scale.

    Perplexity 30, or a third of the other points where that is less; begun from their principal components. One
    thread, since the order of sums decides the last digits, and these where a point goes.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    count = len(unit_ND)
    if np.ptp(unit_ND, axis=0).max() == 0:
        return np.full((count, 2), 0.5)
    perplexity = max(1.0, min(_PERPLEXITY, (count - 1) / 3))
    with threadpool_limits(1):
        found = TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(unit_ND.astype(np.float32))
    points: Floats = found.astype(np.float64)
    points -= (points.max(axis=0) + points.min(axis=0)) / 2
    return points / max(float(np.ptp(points, axis=0).max()), 1e-12) + 0.5


def _unit(features_ND: np.ndarray) -> Floats:
    norms = np.linalg.norm(features_ND, axis=1, keepdims=True)
    unit: Floats = features_ND.astype(np.float64) / np.where(norms > 0, norms, 1)
    return unit
