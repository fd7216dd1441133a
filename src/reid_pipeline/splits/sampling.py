"""Sampling by hash of seed, purpose and name: the same on every machine, and a row that is added moves no other."""

import hashlib
from collections.abc import Iterable

import numpy as np
import pandas as pd

from reid_pipeline.schema.columns import CAMID, PATH, PID, REPEAT, TEST_SET, TEST_SETS


def hashes(names: Iterable[str], seed: int, purpose: str) -> np.ndarray:
    """Return a uniform hash of each name, uint64 [n]: the first eight bytes of a SHA-256."""
    start = hashlib.sha256(f"{seed}\0{purpose}\0".encode())
    found = bytearray()
    for name in names:
        digest = start.copy()
        digest.update(name.encode("utf-8", "surrogateescape"))
        found += digest.digest()[:8]
    return np.frombuffer(bytes(found), dtype=">u8").astype(np.uint64)


def by_hash(table: pd.DataFrame, seed: int, purpose: str) -> pd.DataFrame:
    """Return the rows of `table` in the order of their paths' hashes."""
    return table.iloc[np.argsort(hashes(table[PATH], seed, purpose), kind="stable")]


def sampled_identities(table: pd.DataFrame, count: int, seed: int, purpose: str) -> np.ndarray:
    """Return the pids of `count` of the identities in the rows of `table`, sampled by hash."""
    pids = np.sort(table[PID].unique())
    return pids[np.argsort(hashes(map(str, pids), seed, purpose), kind="stable")[:count]]


def sampled_queries(table: pd.DataFrame, seed: int, purpose: str) -> tuple[pd.Index, str]:
    """Sample queries among rows of one pool; the other rows are their gallery.

    With cameras: one image of every identity and camera; and where another camera's query would be left
    without a match (an identity with several images in fewer than two cameras) its fullest camera gives none.
    Without: one image of every identity that has at least two. Never more than half of an identity's images,
    so that the gallery stays the larger side. Returns the queries' index labels, and the rule.
    """
    has_cameras = bool(table[CAMID].notna().any())
    seen = pd.DataFrame({PID: table[PID], CAMID: table[CAMID].fillna(-1).astype("int64"), PATH: table[PATH]})
    seen["images"] = seen.groupby([PID, CAMID])[PATH].transform("size")
    sampled = by_hash(seen, seed, purpose).drop_duplicates([PID, CAMID])
    if has_cameras:
        several = (sampled["images"] > 1).groupby(sampled[PID]).transform("sum")
        # Of equally full cameras the last one sampled gives no query.
        fullest = sampled[several < 2][::-1].sort_values("images", ascending=False, kind="stable")
        sampled = sampled.drop(index=fullest.drop_duplicates(PID).index)
    half = seen.groupby(PID).size() // 2
    asked = sampled.groupby(PID).cumcount() < sampled[PID].map(half)
    return sampled.index[asked], "one_query_per_camera" if has_cameras else "one_query_per_identity"


def sampled_galleries(pool: pd.DataFrame, repeats: int, seed: int) -> pd.DataFrame:
    """Sample galleries of one image per identity (VehicleID's protocol), independently of each other.

    `pool` has the rows of split `test`. The hash of an image in a repeat is the same for every test set: where these
    are nested, so are the galleries.
    """
    sets = pool[TEST_SETS].str.split(" ")
    galleries = [pd.DataFrame({TEST_SET: [], REPEAT: [], PATH: []})]
    for name in sorted(set().union(*sets), key=lambda name: (int(name) if name.isdecimal() else 0, name)):
        images = pool[[name in among for among in sets]]
        for repeat in range(repeats):
            sampled = by_hash(images, seed, f"gallery {repeat}").drop_duplicates(PID)[PATH].sort_values()
            galleries.append(pd.DataFrame({TEST_SET: name, REPEAT: repeat, PATH: sampled}))
    return pd.concat(galleries, ignore_index=True).astype({TEST_SET: "str", REPEAT: "int64", PATH: "str"})
