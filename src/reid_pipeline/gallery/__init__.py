"""Galleries: vectors with the user's names that grow, answer "known, or new?", and forget. No torch, no kedro."""

from reid_pipeline.gallery.filters import Filters as Filters
from reid_pipeline.gallery.forgetting import Forgotten as Forgotten
from reid_pipeline.gallery.gallery import Gallery as Gallery
from reid_pipeline.gallery.manifest import Calibration as Calibration
from reid_pipeline.gallery.search import Hits as Hits
