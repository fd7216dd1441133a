"""Which images stand for a collection: a seeded sample of its identities or, where none is known, of its clusters."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reid_pipeline.schema.columns import CLUSTER, IDENTITY, NOISE, PATH, PID
from reid_pipeline.schema.explanations import GroupedBy

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Groups:
    """Rows of the split table in groups.

    Attributes:
        by: what they are grouped by.
        rows: row numbers, int64 [n].
        group: of each row, int64 [n]; -1: of none.
        names: of each group, as pages call it.
    """

    by: GroupedBy
    rows: Integers
    group: Integers
    names: tuple[str, ...]

    def members(self, group: int) -> Integers:
        """Return the rows of a group, in their order."""
        found: Integers = self.rows[self.group == group]
        return found

    def sampled(self, generator: np.random.Generator, images: int) -> list[tuple[int, Integers]]:
        """Return all groups of at least two images in a random order, each with a sample of its rows, sorted."""
        sizes = np.bincount(self.group[self.group >= 0], minlength=len(self.names))
        order = generator.permutation(np.flatnonzero(sizes >= 2))
        return [(int(group), np.sort(generator.permutation(self.members(group))[:images])) for group in order]


def groups_of(split_table: pd.DataFrame, rows: Integers, clusters: pd.DataFrame) -> Groups:
    """Return rows by identity if two identities or more are known among them, else by cluster.

    Args:
        split_table: of the run.
        rows: row numbers of the split table, int64 [n].
        clusters: the run's clusters of the training images, by path (`schema.tables.CLUSTERS`).
    """
    table = split_table.iloc[rows]
    pids = table[PID].to_numpy(np.int64)
    if len(np.unique(pids[pids > 0])) >= 2:
        numbers, group = _numbered(np.where(pids > 0, pids, -1))
        named = table.loc[pids > 0, [PID, IDENTITY]].drop_duplicates(PID).set_index(PID)[IDENTITY]
        return Groups("identity", rows, group, tuple(f"{named[number]}" for number in numbers))
    by_path = clusters.set_index(PATH)[CLUSTER]
    found = by_path.reindex(table[PATH]).fillna(NOISE).to_numpy(np.int64)
    numbers, group = _numbered(found)
    return Groups("cluster", rows, group, tuple(f"{number}" for number in numbers))


def _numbered(values: Integers) -> tuple[Integers, Integers]:
    """Return the values from 0 on, sorted, and the place of each value in them; -1 for one below 0."""
    numbers: Integers = np.unique(values[values >= 0])
    places = np.searchsorted(numbers, values).astype(np.int64)
    return numbers, np.where(values >= 0, places, -1)
