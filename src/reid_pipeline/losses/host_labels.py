"""Labels that lie on a device and are known to the host as well, which then never waits for the device to read them.

The losses check the range of labels, and the memory's update asks which there are. A transfer from a device for that
would make the host wait in every step, and the device after it.
"""

import torch
from torch import Tensor

_COPY = "_labels_on_host"


def labels_on_device(labels_B: Tensor, device: torch.device) -> Tensor:
    """Return labels of the CPU, int64 [B], on `device`, and remember them; neither may be changed in place."""
    moved_B = labels_B.to(device, non_blocking=device.type == "cuda")
    if moved_B is not labels_B:
        setattr(moved_B, _COPY, labels_B)
    return moved_B


def labels_on_host(labels_B: Tensor) -> Tensor:
    """Return the labels on the CPU: themselves, those they were made from, or by a transfer, which waits."""
    if labels_B.device.type == "cpu":
        return labels_B
    copy_B: Tensor | None = getattr(labels_B, _COPY, None)
    return labels_B.cpu() if copy_B is None else copy_B


def distinct_labels(labels_B: Tensor) -> Tensor:
    """Return each label once, in ascending order, on the same device."""
    return labels_on_device(torch.unique(labels_on_host(labels_B)), labels_B.device)
