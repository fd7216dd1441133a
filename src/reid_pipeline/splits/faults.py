"""What may be wrong with a collection: identities in training and test, copies of files, files not used.

Everything is counted by groups of rows: time and memory grow linearly with images.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reid_pipeline.schema.columns import DISTRACTOR_PID, FAULT, IDENTITY, JUNK_PID, PATH, PID, SHA256, SPLIT, SPLITS
from reid_pipeline.schema.summary import Cases, Copies, Duplicates, FaultyFile, LeftOut, Unreadable

FEW = 5
"""Cases that are written out beside a count."""

_LEARNT_FROM = ("train", "dev_query", "dev_gallery")
_TESTED_ON = ("query", "gallery", "test")


class NotUsed(NamedTuple):
    """What of a collection is not used; see `DatasetSummary`."""

    unreadable: Unreadable
    skipped: tuple[FaultyFile, ...]
    left_out: LeftOut


def shared_identities(split_table: pd.DataFrame) -> Cases:
    """Return the identities both learnt from (dev splits included: they tune the training) and tested on."""
    named = split_table[split_table[PID] > DISTRACTOR_PID]
    learnt = named.loc[named[SPLIT].isin(_LEARNT_FROM), PID].unique()
    tested = named.loc[named[SPLIT].isin(_TESTED_ON), PID].unique()
    return few(names(named, np.intersect1d(learnt, tested)))


def duplicates(split_table: pd.DataFrame) -> Duplicates:
    """Return groups of files with the same bytes; a group can be of several kinds.

    `within`: two of them in one split; `across`: in different splits, and `between` which; `conflicts`:
    they bear different pids. Unlabelled images bear none.
    """
    copies = split_table.loc[split_table.duplicated(SHA256, keep=False), [PATH, SHA256, SPLIT, PID]]
    within = copies[copies.duplicated([SHA256, SPLIT])]
    places = copies.drop_duplicates([SHA256, SPLIT])
    across = places[places.duplicated(SHA256)]
    told = copies[copies[PID] >= DISTRACTOR_PID].drop_duplicates([SHA256, PID])
    return Duplicates(
        within=_groups(copies, within),
        across=_groups(copies, across),
        conflicts=_groups(copies, told[told.duplicated(SHA256)]),
        between=_between(places[_among(places[SHA256], across[SHA256])]),
    )


def _between(places: pd.DataFrame) -> dict[str, int]:
    """Return how many groups lie in which splits; `places` has a row per group and split."""
    bit = places[SPLIT].map({name: 1 << place for place, name in enumerate(SPLITS)}).astype("int64")
    sets, groups = np.unique(bit.groupby(places[SHA256]).sum().to_numpy(), return_counts=True)
    return {
        " + ".join(name for place, name in enumerate(SPLITS) if bits >> place & 1): number
        for bits, number in zip(sets.tolist(), groups.tolist(), strict=True)
    }


def _groups(copies: pd.DataFrame, chosen: pd.DataFrame) -> Copies:
    """Return how many groups and files the hashes in `chosen` have, and the first groups' first paths."""
    files = copies[_among(copies[SHA256], chosen[SHA256])]
    first = files[SHA256].unique()[:FEW]
    shown = files[files[SHA256].isin(first)].groupby(SHA256, sort=False)[PATH]
    return Copies(
        groups=int(chosen[SHA256].nunique()),
        files=len(files),
        first=tuple(tuple(paths.iloc[:FEW]) for _, paths in shown),
    )


def not_used(manifest: pd.DataFrame, image_facts: pd.DataFrame, split_table: pd.DataFrame) -> NotUsed:
    """Return what cannot be read, and why images of the manifest are not in the split table."""
    unreadable = image_facts.loc[image_facts[FAULT] != "", [PATH, FAULT]]
    skipped = unreadable[~_among(unreadable[PATH], split_table[PATH])]
    absent = manifest[~_among(manifest[PATH], split_table[PATH])]
    junk = absent[PID] == JUNK_PID
    faulty = _among(absent[PATH], unreadable[PATH])
    return NotUsed(
        unreadable=Unreadable(count=len(unreadable), first=_files(unreadable[:FEW])),
        skipped=_files(skipped),
        left_out=LeftOut(
            junk=int(junk.sum()), unreadable=int((faulty & ~junk).sum()), other=few(absent.loc[~faulty & ~junk, PATH])
        ),
    )


def names(rows: pd.DataFrame, pids: Iterable[int]) -> list[str]:
    """Return the identities of `pids`, sorted by pid, as the collection writes them."""
    wanted = rows[rows[PID].isin(list(pids))].drop_duplicates(PID).sort_values(PID)
    return [name or str(pid) for name, pid in zip(wanted[IDENTITY], wanted[PID], strict=True)]


def few(cases: Iterable[str]) -> Cases:
    """Return the number of cases and the first of them."""
    listed = list(cases)
    return Cases(count=len(listed), first=tuple(listed[:FEW]))


def _among(texts: "pd.Series[str]", allowed: "pd.Series[str]") -> NDArray[np.bool_]:
    """Return which texts are among the allowed; many times faster than `isin`, which is slow on text."""
    found: NDArray[np.bool_] = pd.Index(allowed.unique()).get_indexer(texts) >= 0
    return found


def _files(rows: pd.DataFrame) -> tuple[FaultyFile, ...]:
    return tuple(FaultyFile(path=path, fault=fault) for path, fault in zip(rows[PATH], rows[FAULT], strict=True))
