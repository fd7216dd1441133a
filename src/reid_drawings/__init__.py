"""Drawn people and vehicles: re-identification benchmarks and captioned drawings, made from a seed alone.

`draw_benchmark` returns people in Market-1501's layout as JPEG bytes by path, `draw_vehicles` vehicles in
VeRi-776's, `draw_layout` either in any layout that can be read; `draw_captioned` returns drawings of other
people with captions. No file is touched and no global random state is read.
"""

from reid_drawings.benchmark import benchmark_images, draw_benchmark
from reid_drawings.captions import CaptionedDrawings, draw_captioned
from reid_drawings.contact_sheet import contact_sheet
from reid_drawings.layouts import LAYOUTS, draw_layout
from reid_drawings.parameters import SyntheticBenchmark, SyntheticVehicles
from reid_drawings.vehicles import draw_vehicles, vehicle_images

__all__ = [
    "LAYOUTS",
    "CaptionedDrawings",
    "SyntheticBenchmark",
    "SyntheticVehicles",
    "benchmark_images",
    "contact_sheet",
    "draw_benchmark",
    "draw_captioned",
    "draw_layout",
    "draw_vehicles",
    "vehicle_images",
]
