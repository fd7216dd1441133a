"""k-reciprocal re-ranking, dense, in float64, by sets and loops (Zhong et al., CVPR 2017)."""

import numpy as np


def dense_rerank(query, gallery, k1, k2, lambda_value):
    x = np.concatenate((query, gallery)).astype(np.float64)
    n, q = len(x), len(query)
    squared = ((x[:, None] - x[None]) ** 2).sum(-1)
    rounded = squared.astype(np.float32)
    greatest = squared.max(axis=0)
    scaled = (squared / np.where(greatest > 0, greatest, 1.0)).T
    ranking = [sorted(range(n), key=lambda j, i=i: (j != i, rounded[i, j], j)) for i in range(n)]

    def mutual(i, columns):
        return {j for j in ranking[i][:columns] if i in ranking[j][:columns]}

    weights = np.zeros((n, n))
    for i in range(n):
        members = mutual(i, k1 + 1)
        expanded = set(members)
        for candidate in members:
            its_own = mutual(candidate, min(round(k1 / 2) + 1, k1 + 1))
            if 3 * len(its_own & members) > 2 * len(its_own):
                expanded |= its_own
        columns = sorted(expanded)
        weights[i, columns] = np.exp(-scaled[i, columns])
        weights[i] /= weights[i].sum()
    averaged = np.array([weights[ranking[i][:k2]].mean(axis=0) for i in range(n)])
    shared = np.array([[np.minimum(a, b).sum() for b in averaged[q:]] for a in averaged[:q]])
    return (1 - lambda_value) * (1 - shared / (2 - shared)) + lambda_value * scaled[:q, q:]
