"""Where a mean comes from: by pair of cameras, and by identity."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from reid_pipeline.geometry.distances import Floats, Indices
from reid_pipeline.retrieval.inputs import JUNK_PID
from reid_pipeline.retrieval.metrics import RetrievalResult, evaluate_retrieval


def camera_pair_breakdown(
    features: tuple[Floats, Floats],
    pids: tuple[Indices, Indices],
    camids: tuple[Indices, Indices],
    names: Mapping[int, str],
    *,
    camera_filter: bool = True,
) -> list[dict[str, Any]]:
    """Score the queries of each camera on the gallery of each camera alone, at the cost of one evaluation.

    `features`, `pids` and `camids` are (query, gallery) as in `evaluate_retrieval`; `names` are the collection's
    own of each camera. With `camera_filter`, which leaves no positive there, a camera is not paired with itself.
    Each pair with a valid query gives a record.
    """
    found = []
    for query_camera, gallery_camera in product(*(np.unique(each).tolist() for each in camids)):
        asked, searched = camids[0] == query_camera, (camids[1] == gallery_camera) & (pids[1] != JUNK_PID)
        filtered = camera_filter and query_camera == gallery_camera
        if filtered or not np.isin(pids[0][asked], pids[1][searched]).any():
            continue
        result = evaluate_retrieval(features[0][asked], features[1][searched], pids[0][asked], pids[1][searched])
        found.append(
            {
                "query_camera": query_camera,
                "query_camera_name": names[query_camera],
                "gallery_camera": gallery_camera,
                "gallery_camera_name": names[gallery_camera],
                "mAP": result.mean_ap,
                "rank1": result.rank(1),
                "num_valid_queries": result.num_valid_queries,
            }
        )
    return found


def identity_breakdown(
    result: RetrievalResult, query_pids: ArrayLike, names: Mapping[int, str]
) -> list[dict[str, Any]]:
    """Return the figures of each identity, the worst first; `query_pids` belong to the queries of `result`."""
    valid = np.flatnonzero(result.first_match_rank > 0)
    pids, places = np.unique(np.asarray(query_pids)[valid], return_inverse=True)
    counts = np.bincount(places)
    means = {name: np.bincount(places, values[valid]) / counts for name, values in result.of_queries().items()}
    return [
        {
            "pid": int(pids[place]),
            "identity": names[int(pids[place])],
            **{name: float(values[place]) for name, values in means.items()},
            "num_valid_queries": int(counts[place]),
        }
        for place in np.argsort(means["mAP"], kind="stable")
    ]
