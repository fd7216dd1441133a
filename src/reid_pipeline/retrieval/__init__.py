"""Protocols and figures of retrieval: CMC, mAP, mINP, intervals, ranked lists. No networks, no torch."""

from reid_pipeline.retrieval.bootstrap import PairedDifference, bootstrap_intervals, paired_bootstrap
from reid_pipeline.retrieval.breakdown import camera_pair_breakdown, identity_breakdown
from reid_pipeline.retrieval.listing import RankedLists, ranked_lists
from reid_pipeline.retrieval.metrics import RetrievalResult, evaluate_distances, evaluate_retrieval

__all__ = [
    "PairedDifference",
    "RankedLists",
    "RetrievalResult",
    "bootstrap_intervals",
    "camera_pair_breakdown",
    "evaluate_distances",
    "evaluate_retrieval",
    "identity_breakdown",
    "paired_bootstrap",
    "ranked_lists",
]
