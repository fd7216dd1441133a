"""Drawn people, vehicles and animals: re-identification benchmarks and captioned drawings, made from a seed alone.

`draw_benchmark` returns people in Market-1501's layout as JPEG bytes by path; `draw_pictures` returns people or
vehicles as pictures with what is known of them, which `reid_pipeline.readers.lay_out` names as the files of any
benchmark; `draw_captioned` returns drawings of other people, other vehicles or animals with captions. No file is
touched and no global random state is read.
"""

from reid_drawings.benchmark import caption_of, draw_benchmark, draw_people
from reid_drawings.captions import KINDS, CaptionedDrawings, draw_captioned
from reid_drawings.contact_sheet import captioned_sheet, contact_sheet
from reid_drawings.parameters import DrawnBenchmark, SyntheticBenchmark, SyntheticVehicles
from reid_drawings.pictures import Picture
from reid_drawings.plan import benchmark_images
from reid_drawings.vehicles import draw_vehicles, vehicle_images

__all__ = [
    "KINDS",
    "CaptionedDrawings",
    "Picture",
    "SyntheticBenchmark",
    "SyntheticVehicles",
    "benchmark_images",
    "caption_of",
    "captioned_sheet",
    "contact_sheet",
    "draw_benchmark",
    "draw_captioned",
    "draw_people",
    "draw_pictures",
    "draw_vehicles",
    "vehicle_images",
]


def draw_pictures(parameters: DrawnBenchmark, *, processes: int | None = None) -> list[Picture]:
    """Draw people or vehicles, without a layout.

    Args:
        parameters: `SyntheticBenchmark` for people, distractors and junk, `SyntheticVehicles` for vehicles.
        processes: how many processes draw; None takes the cores this process may use. The pictures do not depend
            on it.

    Raises:
        ValueError: the parameters are neither of the two.
    """
    if isinstance(parameters, SyntheticVehicles):
        return draw_vehicles(parameters, processes=processes)
    if isinstance(parameters, SyntheticBenchmark):
        return draw_people(parameters, processes=processes)
    raise ValueError(f"{type(parameters).__name__} cannot be drawn: give SyntheticBenchmark or SyntheticVehicles.")
