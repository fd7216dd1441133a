"""What the losses share: precision, and checks of their inputs, which raise ValueError.

Shape suffixes: B batch, D feature width.
"""

import torch
from torch import Tensor

from reid_pipeline.losses.host_labels import labels_on_host


def upcast(values: Tensor) -> Tensor:
    """Return half-precision values as float32, others as they are."""
    return values if values.element_size() >= 4 else values.float()


def no_autocast(values: Tensor) -> torch.autocast:
    """Return a context in which autocast leaves matrix products on the device of `values` alone."""
    return torch.autocast(device_type=values.device.type, enabled=False)


def label_range(*labels_B: Tensor) -> tuple[int, int]:
    """Return the lowest and the highest of all labels."""
    lowest, highest = torch.stack(torch.cat([labels_on_host(each_B) for each_B in labels_B]).aminmax()).tolist()
    return int(lowest), int(highest)


def check_labelled(values_BD: Tensor, labels_B: Tensor, what: str, shape: str = "B, D") -> None:
    """Require shapes [B, D] and [B], neither B nor D 0; `what` and `shape` name the values in the message."""
    if values_BD.ndim != 2 or labels_B.shape != values_BD.shape[:1] or 0 in values_BD.shape:
        raise ValueError(
            f"{what} have shape {list(values_BD.shape)} and labels {list(labels_B.shape)}; "
            f"[{shape}] and [B] are needed, {shape.replace(', ', ' and ')} above 0."
        )


def check_label_range(labels_B: Tensor, count: int, what: str, remedy: str) -> None:
    """Require labels in 0..count-1; `what` there are `count` of, and the remedy, end the message."""
    lowest, highest = label_range(labels_B)
    if lowest < 0 or highest >= count:
        raise ValueError(f"labels range from {lowest} to {highest}; {count} {what} allow 0 to {count - 1}. {remedy}")


def check_no_noise(*labels_B: Tensor) -> None:
    """Require labels of 0 and above: noise and junk (-1) are no identity."""
    lowest = label_range(*labels_B)[0]
    if lowest < 0:
        raise ValueError(f"the lowest label is {lowest}; labels start at 0. Drop noise (-1) first.")


def check_same_shape(*values_BD: Tensor) -> None:
    """Require matrices of one shape, [B, D], neither B nor D 0."""
    shape = values_BD[0].shape
    if len(shape) != 2 or 0 in shape or any(values.shape != shape for values in values_BD):
        shapes = ", ".join(str(list(values.shape)) for values in values_BD)
        raise ValueError(f"the views have shapes {shapes}; one shape [B, D] is needed, B and D above 0.")


def check_temperature(temperature: float) -> None:
    """Require a temperature above 0."""
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; it must be above 0.")
