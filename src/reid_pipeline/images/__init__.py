"""Opening, augmenting, sampling and batching images: the one room that reads pixels from files."""
