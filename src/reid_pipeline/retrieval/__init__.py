"""Protocols and figures of retrieval: CMC, mAP, mINP, ranked lists, re-ranking. No networks, no torch."""

from reid_pipeline.retrieval.listing import RankedLists, ranked_lists
from reid_pipeline.retrieval.metrics import RetrievalResult, evaluate_retrieval
from reid_pipeline.retrieval.query_expansion import average_query_expansion
from reid_pipeline.retrieval.rerank import (
    RERANK_PRESETS,
    RerankPreset,
    rerank_k_reciprocal,
    reranked_blocks,
)

__all__ = [
    "RERANK_PRESETS",
    "RankedLists",
    "RerankPreset",
    "RetrievalResult",
    "average_query_expansion",
    "evaluate_retrieval",
    "ranked_lists",
    "rerank_k_reciprocal",
    "reranked_blocks",
]
