"""Clusters split by camera: one proxy for each pair of a cluster and a camera that it has images of.

Source: Wang et al., "Camera-aware Proxies for Unsupervised Person Re-Identification" (CAP), AAAI 2021, arXiv
2012.10674.

Shape suffixes: N rows, K rows in a cluster, P proxies.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from reid_pipeline.clustering.quality import Integers, checked_integers, checked_pair
from reid_pipeline.schema.errors import UserError, first_few


@dataclass(frozen=True)
class CameraProxies:
    """The proxies of a clustering, numbered by cluster, then by camera.

    Attributes:
        labels: int64 `[N]`, the proxy of each row from 0, -1 for noise.
        clusters: int64 `[P]`, the cluster of each proxy, never decreasing.
        camids: int64 `[P]`, the camera of each proxy, increasing within a cluster.
    """

    labels: Integers
    clusters: Integers
    camids: Integers


def split_by_camera(pseudo_labels: ArrayLike, camids: ArrayLike) -> CameraProxies:
    """Split every cluster into one proxy for each camera that it has rows of.

    The numbering follows from the values alone, not from the order of the rows. Time O(N log N), memory O(N).

    Args:
        pseudo_labels: `[N]` integers, below 0 noise.
        camids: `[N]` integers from 0.

    Raises:
        UserError: lengths that differ, no rows, not integers, or a camera that is not known.
    """
    labels_N, camids_N = checked_pair(pseudo_labels, camids, "camids")
    check_known_cameras(camids_N)
    clustered_N = labels_N >= 0
    cameras = int(camids_N.max()) + 1
    key_P, proxy_K = np.unique(labels_N[clustered_N] * cameras + camids_N[clustered_N], return_inverse=True)
    proxies_N = np.full(len(labels_N), -1, dtype=np.int64)
    proxies_N[clustered_N] = proxy_K
    return CameraProxies(proxies_N, key_P // cameras, key_P % cameras)


def check_known_cameras(camids: ArrayLike) -> None:
    """Raise UserError (which rows) where a camera of `[N]` camids is not known (below 0).

    Such a row belongs to no proxy: one camera for all of them would contrast images that may come from anywhere, and
    to drop them would lose them silently. Noise rows count too: they may be in a cluster in the next epoch.
    """
    unknown = np.flatnonzero(checked_integers(camids, "camids") < 0)
    if unknown.size:
        raise UserError(
            f"The camera of {unknown.size} of {len(np.asarray(camids))} images is not known (camid below 0 "
            f"in rows {first_few(unknown.tolist())}); proxies need a camid from 0 for every image. Complete "
            "the camids, leave these images out, or train without cameras (camera_aware.kind: none)."
        )
