"""Drawn vehicles: a model of flat surfaces per vehicle, projected from any side."""

from reid_drawings.vehicles.benchmark import draw_vehicles
from reid_drawings.vehicles.plan import vehicle_images

__all__ = ["draw_vehicles", "vehicle_images"]
