"""Slow, dense float64 re-derivations from the papers, for the tests of several rooms."""

import numpy as np


def dense_jaccard_similarity(features, k1, k2):
    """k-reciprocal Jaccard similarity by sets and loops (Zhong et al., CVPR 2017; methods.md section 8)."""
    x = np.asarray(features, dtype=np.float64)
    n = len(x)
    squared = ((x[:, None] - x[None]) ** 2).sum(-1)
    rounded = squared.astype(np.float32)
    ranking = [sorted(range(n), key=lambda j, i=i: (j != i, rounded[i, j], j)) for i in range(n)]

    def mutual(i, count):
        return {j for j in ranking[i][:count] if i in ranking[j][:count]}

    half = min(round(k1 / 2) + 1, k1)
    weights = np.zeros((n, n))
    for i in range(n):
        members = mutual(i, k1)
        expanded = set(members)
        for candidate in members:
            its_own = mutual(candidate, half)
            if 3 * len(its_own & members) > 2 * len(its_own):
                expanded |= its_own
        columns = sorted(expanded)
        weights[i, columns] = np.exp(-squared[i, columns])
        weights[i] /= weights[i].sum()
    averaged = np.array([weights[ranking[i][:k2]].mean(axis=0) for i in range(n)])
    shared = np.array([[np.minimum(a, b).sum() for b in averaged] for a in averaged])
    return shared / (2 - shared)


def clustered(rng, rows, width, groups, noise, *, unit=True, dtype=np.float32):
    """Rows around random centres."""
    x = rng.normal(size=(groups, width))[rng.integers(groups, size=rows)] + noise * rng.normal(
        size=(rows, width)
    )
    if unit:
        x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x.astype(dtype)
