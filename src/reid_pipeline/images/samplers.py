"""Which rows make a batch."""

from collections.abc import Iterator

import numpy as np


def camera_preferring_batches(
    labels: np.ndarray,
    camids: np.ndarray | None,
    *,
    batch_size: int,
    instances: int,
    iterations: int,
    generator: np.random.Generator,
) -> Iterator[np.ndarray]:
    """Yield the rows of `iterations` PK batches: P identities x K `instances` each.

    Identities are taken in shuffled rounds, so that each comes once before any comes again. For each, one
    anchor is drawn, and K - 1 others, from other cameras than the anchor's where the identity has any,
    without repeats while they last. The sampler of the cluster-contrast lineage (methods.md section 8).
    With fewer than P identities a round is shorter than a batch and identities repeat within it.

    Args:
        labels: int [n]; rows with a label below 0 are never drawn.
        camids: int [n], -1 where unknown; None if there are no cameras.
        batch_size: P x K, a multiple of `instances`.
        instances: K.
        iterations: number of batches.
        generator: the only source of chance.

    Yields:
        int64 [batch_size] row numbers, the K instances of an identity side by side.

    Raises:
        ValueError: no row has a label.
    """
    rows_of_label = _rows_by_label(labels)
    if not rows_of_label:
        raise ValueError(f"There is nothing to sample: no row has a label among {len(labels)}.")
    order: list[np.ndarray] = []
    for _ in range(iterations):
        batch: list[np.ndarray] = []
        for _ in range(batch_size // instances):
            if not order:
                order = [rows_of_label[i] for i in generator.permutation(len(rows_of_label))]
            batch.append(_draw_instances(order.pop(), camids, instances, generator))
        yield np.concatenate(batch)


def _rows_by_label(labels: np.ndarray) -> list[np.ndarray]:
    kept = np.flatnonzero(labels >= 0)
    order = kept[np.argsort(labels[kept], kind="stable")]
    _, starts = np.unique(labels[order], return_index=True)
    return np.split(order, starts[1:]) if len(order) else []


def _draw_instances(
    rows: np.ndarray, camids: np.ndarray | None, instances: int, generator: np.random.Generator
) -> np.ndarray:
    anchor = rows[generator.integers(len(rows))]
    others = rows[rows != anchor]
    if camids is not None and (camids[others] != camids[anchor]).any():
        others = others[camids[others] != camids[anchor]]
    if len(others) == 0:
        return np.repeat(anchor, instances)
    drawn = generator.choice(others, size=instances - 1, replace=len(others) < instances - 1)
    return np.concatenate([[anchor], drawn])
