"""From raw image collections to CLIP re-identification models and results that can be made again."""

__version__ = "0.2.0"
