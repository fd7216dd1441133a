"""Protocols and figures of retrieval: CMC, mAP, mINP, intervals, ranked lists, re-ranking. No torch."""

from reid_pipeline.retrieval.bootstrap import PairedDifference, bootstrap_intervals, paired_bootstrap, paired_bootstraps
from reid_pipeline.retrieval.breakdown import camera_pair_breakdown, identity_breakdown
from reid_pipeline.retrieval.listing import RankedLists, ranked_lists
from reid_pipeline.retrieval.metrics import RetrievalResult, evaluate_distances, evaluate_retrieval
from reid_pipeline.retrieval.query_expansion import average_query_expansion
from reid_pipeline.retrieval.rerank import RERANK_PRESETS, RerankPreset, rerank_k_reciprocal, reranked_blocks

__all__ = [
    "RERANK_PRESETS",
    "PairedDifference",
    "RankedLists",
    "RerankPreset",
    "RetrievalResult",
    "average_query_expansion",
    "bootstrap_intervals",
    "camera_pair_breakdown",
    "evaluate_distances",
    "evaluate_retrieval",
    "identity_breakdown",
    "paired_bootstrap",
    "paired_bootstraps",
    "ranked_lists",
    "rerank_k_reciprocal",
    "reranked_blocks",
]
