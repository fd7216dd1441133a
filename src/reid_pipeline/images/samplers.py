"""Which rows make a batch."""

from collections.abc import Iterator
from itertools import chain, islice, repeat

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
    order: list[np.ndarray] = []
    for _ in range(iterations):
        batch: list[np.ndarray] = []
        for _ in range(batch_size // instances):
            if not order:
                order = [rows_of_label[i] for i in generator.permutation(len(rows_of_label))]
            batch.append(_draw_instances(order.pop(), camids, instances, generator))
        yield np.concatenate(batch)


def identity_batches(
    labels: np.ndarray,
    *,
    batch_size: int,
    instances: int,
    generator: np.random.Generator,
    iterations: int | None = None,
) -> Iterator[np.ndarray]:
    """Yield the rows of PK batches, P identities x K `instances` each, dealt like cards.

    A pass: the images of every identity are shuffled and cut into groups of K, what is left over is not
    used in this pass; an identity with fewer than K images gets one group, drawn with replacement. Each
    batch draws P of the identities that still have groups, all equally likely, and takes one group of each,
    until fewer than P have any. So no image comes twice in a pass, but for those of the small identities.
    The sampler of the CLIP-ReID and PCL-CLIP releases (methods.md sections 4 to 7). The cost of a pass is
    linear in the images.

    With fewer than P identities the released sampler yields nothing. Here a batch then has one group of
    every identity, hence fewer images than `batch_size`; an identity without groups is dealt anew, and a
    pass has `batches_per_pass` batches.

    Args:
        labels: int [n]; rows with a label below 0 are never drawn.
        batch_size: P x K, a multiple of `instances`.
        instances: K.
        generator: the only source of chance.
        iterations: number of batches, from as many passes as it takes; None: one whole pass.

    Yields:
        int64 row numbers, [batch_size] but for the exception above, the K instances of an identity side by
        side.

    Raises:
        ValueError: no row has a label.
    """
    rows_of_label = _rows_by_label(labels)
    places = batch_size // instances
    if len(rows_of_label) < places:
        count = iterations or batches_per_pass(labels, batch_size=batch_size, instances=instances)
        yield from islice(_batches_of_everyone(rows_of_label, instances, generator), count)
    elif iterations is None:
        yield from _identity_pass(rows_of_label, places, instances, generator)
    else:
        passes = (_identity_pass(rows_of_label, places, instances, generator) for _ in repeat(None))
        yield from islice(chain.from_iterable(passes), iterations)


def batches_per_pass(labels: np.ndarray, *, batch_size: int, instances: int) -> int:
    """Return how many PK batches one pass over the labelled rows makes, at least 1.

    As the released sampler counts them: every identity has its images in groups of K, at least one, what
    is left over is not counted; P groups make a batch. `identity_batches` may yield fewer, since towards
    the end of a pass the groups that are left can belong to fewer than P identities.

    Raises:
        ValueError: no row has a label.
    """
    rows_of_label = _rows_by_label(labels)
    groups = sum(max(1, len(rows) // instances) for rows in rows_of_label)
    return groups // min(batch_size // instances, len(rows_of_label))


def random_batches(
    count: int, batch_size: int, generator: np.random.Generator, *, iterations: int | None = None
) -> Iterator[np.ndarray]:
    """Yield shuffled row numbers, each of `count` once per pass, whatever their labels.

    The batches of prompt learning (methods.md section 5). The last batch of a pass holds the rest, if there
    is one: differs from the released code in that no empty batch follows when `batch_size` divides `count`.

    Args:
        count: number of rows.
        batch_size: rows in a batch.
        generator: the only source of chance.
        iterations: number of batches, from as many passes as it takes; None: one whole pass.

    Yields:
        int64 [batch_size] row numbers, fewer in the last batch of a pass.

    Raises:
        ValueError: there are no rows.
    """
    if count < 1:
        raise ValueError(f"There is nothing to sample: {count} rows.")
    starts = range(0, count, batch_size)
    shuffled = (generator.permutation(count) for _ in repeat(None))
    batches = (rows[start : start + batch_size] for rows in shuffled for start in starts)
    yield from islice(batches, len(starts) if iterations is None else iterations)


def _identity_pass(
    rows_of_label: list[np.ndarray], places: int, instances: int, generator: np.random.Generator
) -> Iterator[np.ndarray]:
    groups = [_deal(rows, instances, generator) for rows in rows_of_label]
    waiting = list(range(len(groups)))
    while len(waiting) >= places:
        # The first `places` steps of a Fisher-Yates shuffle: a fair draw at a cost that is the batch's.
        for place, drawn in enumerate(generator.integers(np.arange(places), len(waiting))):
            waiting[place], waiting[drawn] = waiting[drawn], waiting[place]
        yield np.concatenate([groups[identity].pop() for identity in waiting[:places]])
        for place in reversed(range(places)):
            if not groups[waiting[place]]:
                waiting[place] = waiting[-1]
                waiting.pop()


def _batches_of_everyone(
    rows_of_label: list[np.ndarray], instances: int, generator: np.random.Generator
) -> Iterator[np.ndarray]:
    groups: list[list[np.ndarray]] = [[] for _ in rows_of_label]
    while True:
        for identity, rows in enumerate(rows_of_label):
            if not groups[identity]:
                groups[identity] = _deal(rows, instances, generator)
        yield np.concatenate([dealt.pop() for dealt in groups])


def _deal(rows: np.ndarray, instances: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Return the shuffled rows in groups of `instances`; the rest is left out."""
    if len(rows) < instances:
        return [generator.choice(rows, size=instances)]
    whole = len(rows) // instances
    return list(generator.permutation(rows)[: whole * instances].reshape(whole, instances))


def _rows_by_label(labels: np.ndarray) -> list[np.ndarray]:
    kept = np.flatnonzero(labels >= 0)
    if len(kept) == 0:
        raise ValueError(f"There is nothing to sample: no row has a label among {len(labels)}.")
    order = kept[np.argsort(labels[kept], kind="stable")]
    _, starts = np.unique(labels[order], return_index=True)
    return np.split(order, starts[1:])


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
