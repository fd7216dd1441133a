"""Drawing by lot, the same on every machine and whatever else is in the table.

A lot is a hash of seed, purpose and the drawn thing's own name: no generator whose stream a new version of a
library may change, no dependence on the order of rows, and a row that is added moves no other.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import pandas as pd

from reid_pipeline.schema.columns import CAMID, PATH, PID, REPEAT, TEST_SET, TEST_SETS

BY_CAMERA = "one_query_per_camera"
BY_IDENTITY = "one_query_per_identity"


def lots(names: Iterable[str], seed: int, purpose: str) -> np.ndarray:
    """Return a uniform lot for each name, uint64 [n]; equal names of one purpose have equal lots."""
    start = hashlib.sha256(f"{seed}\0{purpose}\0".encode())
    drawn = bytearray()
    for name in names:
        lot = start.copy()
        lot.update(name.encode("utf-8", "surrogateescape"))
        drawn += lot.digest()[:8]
    return np.frombuffer(bytes(drawn), dtype=">u8").astype(np.uint64)


def in_drawn_order(table: pd.DataFrame, seed: int, purpose: str) -> pd.DataFrame:
    """Return the rows of `table` in the order of their paths' lots."""
    return table.iloc[np.argsort(lots(table[PATH], seed, purpose), kind="stable")]


def chosen_identities(table: pd.DataFrame, count: int, seed: int, purpose: str) -> np.ndarray:
    """Return `count` of the identities in the rows of `table`, drawn by lot: their pids, sorted."""
    named = table.drop_duplicates(PID).sort_values(PID)
    order = np.argsort(lots(named[PID].astype(str), seed, purpose), kind="stable")
    return np.sort(named[PID].to_numpy()[order[:count]])


def drawn_queries(table: pd.DataFrame, seed: int, purpose: str) -> tuple[pd.Index, str]:
    """Draw queries among rows of one pool; the other rows are their gallery.

    With cameras: one image of every identity and camera; and where another camera's query would be left
    without a match (an identity with several images in fewer than two cameras) its fullest camera gives none.
    Without: one image of every identity that has at least two. Never more than half of an identity's images,
    so that the gallery stays the larger side.

    Returns:
        the queries' index labels, and the rule, `BY_CAMERA` or `BY_IDENTITY`.
    """
    has_cameras = bool(table[CAMID].notna().any())
    seen = pd.DataFrame({PID: table[PID], CAMID: table[CAMID].fillna(-1).astype("int64"), PATH: table[PATH]})
    drawn = in_drawn_order(seen, seed, purpose).drop_duplicates([PID, CAMID])
    if has_cameras:
        kept_back = _kept_back(seen, drawn)
        drawn = drawn[~pd.MultiIndex.from_frame(drawn[[PID, CAMID]]).isin(kept_back)]
    half = seen.groupby(PID).size() // 2
    asked = drawn.groupby(PID).cumcount() < drawn[PID].map(half)
    return drawn.index[asked], BY_CAMERA if has_cameras else BY_IDENTITY


def _kept_back(seen: pd.DataFrame, drawn: pd.DataFrame) -> pd.MultiIndex:
    """Return the (pid, camera) pairs whose images all stay in the gallery; of equals the last one drawn."""
    counts = seen.groupby([PID, CAMID]).size()
    pairs = drawn[[PID, CAMID]].assign(
        images=counts.loc[pd.MultiIndex.from_frame(drawn[[PID, CAMID]])].to_numpy(), place=range(len(drawn))
    )
    several = (pairs["images"] > 1).groupby(pairs[PID]).transform("sum")
    fullest = pairs[several < 2].sort_values(["images", "place"], ascending=False).drop_duplicates(PID)
    return pd.MultiIndex.from_frame(fullest[[PID, CAMID]])


def drawn_galleries(pool: pd.DataFrame, repeats: int, seed: int) -> pd.DataFrame:
    """Draw galleries of one image per identity (VehicleID's protocol), independently of each other.

    The lot of an image in a repeat is the same for every test set: where these are nested, so are the
    galleries.

    Args:
        pool: rows of split `test`; the column `test_sets` names the sets each is in.
        repeats: galleries of each test set.
        seed: of the lots.

    Returns:
        as `schema.tables.GALLERIES`; no rows if the pool has none.
    """
    sets = pool[TEST_SETS].str.split(" ")
    draws = [
        _gallery(pool[[name in among for among in sets]], name, repeat, seed)
        for name in sorted(set().union(*sets), key=_by_number)
        for repeat in range(repeats)
    ]
    empty = pd.DataFrame({TEST_SET: [], REPEAT: [], PATH: []})
    return pd.concat([empty, *draws], ignore_index=True).astype({TEST_SET: "str", REPEAT: "int64", PATH: "str"})


def _gallery(pool: pd.DataFrame, name: str, repeat: int, seed: int) -> pd.DataFrame:
    drawn = in_drawn_order(pool, seed, f"gallery {repeat}").drop_duplicates(PID)
    return pd.DataFrame({TEST_SET: name, REPEAT: repeat, PATH: drawn[PATH].sort_values().to_numpy()})


def _by_number(name: str) -> tuple[int, str]:
    return (int(name) if name.isdecimal() else 0, name)
