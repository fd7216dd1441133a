"""k-reciprocal encoding (Zhong et al., CVPR 2017) in float64, slow and dense, by sets and loops."""

import numpy as np


def _distances_and_ranking(rows):
    """Squared distances, and per row all rows by (not itself, distance in float32, index)."""
    x = np.asarray(rows, dtype=np.float64)
    squared = ((x[:, None] - x[None]) ** 2).sum(-1)
    rounded, everything = squared.astype(np.float32), range(len(x))
    return squared, [sorted(everything, key=lambda j, i=i: (j != i, rounded[i, j], j)) for i in everything]


def _similarity(scaled, ranking, *, columns, half, k2):
    """Jaccard similarity of all pairs, for lists of so many columns."""
    n = len(scaled)

    def mutual(i, count):
        return {j for j in ranking[i][:count] if i in ranking[j][:count]}

    weights = np.zeros((n, n))
    for i in range(n):
        members = mutual(i, columns)
        expanded = set(members)
        for candidate in members:
            its_own = mutual(candidate, min(half, columns))
            if 3 * len(its_own & members) > 2 * len(its_own):
                expanded |= its_own
        chosen = sorted(expanded)
        weights[i, chosen] = np.exp(-scaled[i, chosen])
        weights[i] /= weights[i].sum()
    averaged = np.array([weights[ranking[i][:k2]].mean(axis=0) for i in range(n)])
    shared = np.array([[np.minimum(a, b).sum() for b in averaged] for a in averaged])
    return shared / (2 - shared)


def dense_jaccard_similarity(features, k1, k2):
    """What pseudo labels are made from: lists of k1 columns, the row included."""
    squared, ranking = _distances_and_ranking(features)
    return _similarity(squared, ranking, columns=k1, half=round(k1 / 2) + 1, k2=k2)


def dense_rerank(query, gallery, k1, k2, lambda_value):
    """Re-ranking: the row and k1 others, squared distances divided by the greatest of their column first."""
    squared, ranking = _distances_and_ranking(np.concatenate((query, gallery)))
    greatest = squared.max(axis=0)
    scaled = (squared / np.where(greatest > 0, greatest, 1.0)).T
    similarity = _similarity(scaled, ranking, columns=k1 + 1, half=round(k1 / 2) + 1, k2=k2)
    whole = (1 - lambda_value) * (1 - similarity) + lambda_value * scaled
    return whole[: len(query), len(query) :]


def clustered(rng, rows, width, groups, noise, *, unit=True, dtype=np.float32):
    """Rows around random centres."""
    x = rng.normal(size=(groups, width))[rng.integers(groups, size=rows)] + noise * rng.normal(size=(rows, width))
    if unit:
        x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x.astype(dtype)
