"""Protocols and figures of retrieval: CMC, mAP, intervals, ranked lists, re-ranking, open set. No torch."""

from reid_pipeline.retrieval.bootstrap import paired_bootstrap as paired_bootstrap
from reid_pipeline.retrieval.bootstrap import paired_bootstraps as paired_bootstraps
from reid_pipeline.retrieval.metrics import RetrievalResult as RetrievalResult
from reid_pipeline.retrieval.metrics import evaluate_distances as evaluate_distances
from reid_pipeline.retrieval.metrics import evaluate_retrieval as evaluate_retrieval
from reid_pipeline.retrieval.metrics import ranked_lists as ranked_lists
from reid_pipeline.retrieval.open_set import conformal_threshold as conformal_threshold
from reid_pipeline.retrieval.open_set import identity_scores as identity_scores
from reid_pipeline.retrieval.open_set import needed_identities as needed_identities
from reid_pipeline.retrieval.open_set_draws import open_set_metrics as open_set_metrics
from reid_pipeline.retrieval.pooling import agreement as agreement
from reid_pipeline.retrieval.pooling import pooled as pooled
from reid_pipeline.retrieval.pooling import tracklet_groups as tracklet_groups
from reid_pipeline.retrieval.rerank import RERANK_PRESETS as RERANK_PRESETS
from reid_pipeline.retrieval.rerank import average_query_expansion as average_query_expansion
from reid_pipeline.retrieval.rerank import rerank_k_reciprocal as rerank_k_reciprocal
from reid_pipeline.retrieval.rerank import reranked_blocks as reranked_blocks
