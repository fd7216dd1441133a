"""Drawn pedestrians: a person re-identification benchmark and captioned drawings, made from a seed alone.

`draw_benchmark` returns a benchmark in Market-1501's layout as JPEG bytes by path; `draw_captioned` returns
drawings of other people with captions. No file is touched and no global random state is read.
"""

from reid_pipeline.synthetic.benchmark import benchmark_images, draw_benchmark
from reid_pipeline.synthetic.captions import CaptionedDrawings, draw_captioned
from reid_pipeline.synthetic.contact_sheet import contact_sheet
from reid_pipeline.synthetic.parameters import SyntheticBenchmark

__all__ = [
    "CaptionedDrawings",
    "SyntheticBenchmark",
    "benchmark_images",
    "contact_sheet",
    "draw_benchmark",
    "draw_captioned",
]
