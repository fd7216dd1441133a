"""Which rows make a batch.

In all samplers, `labels` are int [n], and rows with a label below 0 are never sampled; PK batches of `batch_size`
rows, a multiple of `instances`, have P identities with K = `instances` rows each, side by side; row numbers are
int64; `generator` is the only source of randomness. A `ValueError` says that there is no row to sample.
"""

from collections.abc import Iterator
from itertools import chain, islice, repeat

import numpy as np
from numpy.random import Generator

Rows = np.ndarray  # an integer for each row, or the numbers of some rows


def camera_preferring_batches(
    labels: Rows, camids: Rows | None, *, batch_size: int, instances: int, iterations: int, generator: Generator
) -> Iterator[Rows]:
    """Yield the rows [batch_size] of `iterations` PK batches.

    `camids` are int [n], -1 where unknown, or None without cameras.

    Identities are taken in shuffled rounds, P to a batch, and what is left of a round that does not fill a batch is
    dropped: the P of a batch differ. With fewer than P identities a batch has as many rounds as it has places for, so
    that none comes again before all have come. For each identity one anchor is sampled, and K - 1 others, from other
    cameras than the anchor's where the identity has any; with replacement where they are fewer than K. The sampler
    of the cluster-contrast lineage (methods.md section 8).

    Differs from the released code with fewer than P identities, where that yields nothing, and for an identity of one
    image, which has one row there, and K here.
    """
    rows_of_label = _rows_by_label(labels)
    for identities in islice(_identities_by_batch(len(rows_of_label), batch_size // instances, generator), iterations):
        yield np.concatenate([_sample_instances(rows_of_label[i], camids, instances, generator) for i in identities])


def identity_batches(
    labels: Rows, *, batch_size: int, instances: int, generator: Generator, iterations: int | None = None
) -> Iterator[Rows]:
    """Yield the rows of PK batches: `iterations` batches, from as many passes as necessary, or one whole pass.

    A pass: the images of every identity are shuffled and cut into groups of K, without the remainder; an
    identity with fewer than K images gets one group, sampled with replacement. Each batch samples P of the
    identities that still have groups, all equally likely, and takes one group of each, until fewer than P have
    any. So no image comes twice in a pass, but for those of the small identities. The sampler of the CLIP-ReID and
    PCL-CLIP releases (methods.md sections 4 to 7). The cost of a pass is linear in the images.

    Differs from the released code with fewer than P identities, where that yields nothing: here a batch has one
    group of every identity, hence fewer images than `batch_size`; an identity without groups gets new ones, and
    a pass has `batches_per_pass` batches.
    """
    rows_of_label = _rows_by_label(labels)
    places = batch_size // instances
    if len(rows_of_label) < places:
        count = iterations or batches_per_pass(labels, batch_size=batch_size, instances=instances)
        yield from islice(_batches_of_all(rows_of_label, instances, generator), count)
    elif iterations is None:
        yield from _identity_pass(rows_of_label, places, instances, generator)
    else:
        passes = (_identity_pass(rows_of_label, places, instances, generator) for _ in repeat(None))
        yield from islice(chain.from_iterable(passes), iterations)


def batches_per_pass(labels: Rows, *, batch_size: int, instances: int) -> int:
    """Return how many PK batches one pass over the labelled rows makes, at least 1.

    As the released sampler counts: groups of K images, at least one for each identity, and P groups to a batch.
    `identity_batches` may yield fewer, since the last groups of a pass can belong to fewer than P identities.
    """
    rows_of_label = _rows_by_label(labels)
    groups = sum(max(1, len(rows) // instances) for rows in rows_of_label)
    return groups // min(batch_size // instances, len(rows_of_label))


def random_batches(
    count: int, batch_size: int, generator: Generator, *, iterations: int | None = None
) -> Iterator[Rows]:
    """Yield shuffled row numbers, each of `count` once per pass, whatever their labels.

    The batches of prompt learning (methods.md section 5). The last batch of a pass holds the remainder; differs
    from the released code in that no empty batch follows when `batch_size` divides `count`. There are `iterations`
    batches [batch_size], from as many passes as necessary; None: one whole pass.
    """
    if count < 1:
        raise ValueError(f"There is nothing to sample: {count} rows.")
    starts = range(0, count, batch_size)
    shuffled = (generator.permutation(count) for _ in repeat(None))
    batches = (rows[start : start + batch_size] for rows in shuffled for start in starts)
    yield from islice(batches, len(starts) if iterations is None else iterations)


def _identities_by_batch(count: int, places: int, generator: Generator) -> Iterator[Rows]:
    """Yield the identities of each batch, int64 [places], without end."""
    while True:
        order = generator.permutation(count)
        while len(order) < places:
            order = np.concatenate([order, generator.permutation(count)])
        for start in range(0, len(order) - places + 1, places):
            yield order[start : start + places]


def _identity_pass(rows_of_label: list[Rows], places: int, instances: int, generator: Generator) -> Iterator[Rows]:
    groups = [_groups(rows, instances, generator) for rows in rows_of_label]
    waiting = list(range(len(groups)))
    while len(waiting) >= places:
        # The first `places` steps of a Fisher-Yates shuffle: a fair sample at the cost of the batch alone.
        for place, other in enumerate(generator.integers(np.arange(places), len(waiting))):
            waiting[place], waiting[other] = waiting[other], waiting[place]
        yield np.concatenate([groups[identity].pop() for identity in waiting[:places]])
        for place in reversed(range(places)):
            if not groups[waiting[place]]:
                waiting[place] = waiting[-1]
                waiting.pop()


def _batches_of_all(rows_of_label: list[Rows], instances: int, generator: Generator) -> Iterator[Rows]:
    groups: list[list[Rows]] = [[] for _ in rows_of_label]
    while True:
        for identity, rows in enumerate(rows_of_label):
            if not groups[identity]:
                groups[identity] = _groups(rows, instances, generator)
        yield np.concatenate([of_identity.pop() for of_identity in groups])


def _groups(rows: Rows, instances: int, generator: Generator) -> list[Rows]:
    """Return the shuffled rows in groups of `instances`, without the remainder."""
    if len(rows) < instances:
        return [generator.choice(rows, size=instances)]
    whole = len(rows) // instances
    return list(generator.permutation(rows)[: whole * instances].reshape(whole, instances))


def _rows_by_label(labels: Rows) -> list[Rows]:
    labelled = np.flatnonzero(labels >= 0)
    if len(labelled) == 0:
        raise ValueError(f"There is nothing to sample: no row has a label among {len(labels)}.")
    order = labelled[np.argsort(labels[labelled], kind="stable")]
    _, starts = np.unique(labels[order], return_index=True)
    return np.split(order, starts[1:])


def _sample_instances(rows: Rows, camids: Rows | None, instances: int, generator: Generator) -> Rows:
    anchor = rows[generator.integers(len(rows))]
    others = rows[rows != anchor]
    if camids is not None and (camids[others] != camids[anchor]).any():
        others = others[camids[others] != camids[anchor]]
    if len(others) == 0:
        return np.repeat(anchor, instances)
    rest = generator.choice(others, size=instances - 1, replace=len(others) < instances)
    return np.concatenate([[anchor], rest])
