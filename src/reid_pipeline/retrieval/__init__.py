"""Protocols and figures of retrieval: CMC, mAP, mINP, and ranked lists. No networks, no torch."""

from reid_pipeline.retrieval.listing import RankedLists, ranked_lists
from reid_pipeline.retrieval.metrics import RetrievalResult, evaluate_distances, evaluate_retrieval

__all__ = ["RankedLists", "RetrievalResult", "evaluate_distances", "evaluate_retrieval", "ranked_lists"]
