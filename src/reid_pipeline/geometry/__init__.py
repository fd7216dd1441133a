"""Distances, exact neighbours, k-reciprocal sets and Jaccard similarity; no labels, no cameras."""

from reid_pipeline.geometry.jaccard import jaccard_distance as jaccard_distance
from reid_pipeline.geometry.neighbours import nearest_neighbours as nearest_neighbours
from reid_pipeline.geometry.watch import Watch as Watch
