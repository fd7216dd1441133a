"""Every loss under mixed precision: computed in float32, and finite for features of length 1e3 and more."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from reid_pipeline.losses import (
    CameraProxyMemory,
    PrototypeMemory,
    batch_hard_triplet_loss,
    identity_loss,
    image_text_contrastive_loss,
    nt_xent_loss,
    simsiam_loss,
)

LABELS = torch.tensor([0, 0, 0, 1, 2, 2])
MEMORY = PrototypeMemory(torch.eye(32)[:3])
PROXIES = CameraProxyMemory(MEMORY, torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]))
LOSSES = {
    "identity": lambda x, *_: identity_loss(x, LABELS),
    "triplet": lambda x, *_: batch_hard_triplet_loss(x, LABELS, margin=1.0),
    "image_text": lambda x, y, *_: image_text_contrastive_loss(x, y, LABELS, LABELS),
    "image_text_unit": lambda x, y, *_: image_text_contrastive_loss(
        x, y, LABELS, LABELS, temperature=0.07, normalise=True
    ),
    "nt_xent": lambda x, y, *_: nt_xent_loss(x, y),
    "simsiam": simsiam_loss,
    "prototypes": lambda x, *_: MEMORY.loss(x, LABELS),
    "intra_camera": lambda x, *_: PROXIES.intra_camera_loss(x, LABELS),
    "inter_camera": lambda x, *_: PROXIES.inter_camera_loss(x, LABELS),
    "online": lambda x, *_: PROXIES.online_loss(x, LABELS, camera_penalty=0.1),
}


class Results(TorchDispatchMode):
    """Keeps the dtype of every floating-point result."""

    def __init__(self):
        super().__init__()
        self.dtypes = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else [result]:
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                self.dtypes.add(value.dtype)
        return result


def views(scale=1.0):
    generator = torch.Generator().manual_seed(0)
    return [scale * torch.randn(6, 32, generator=generator) for _ in range(4)]


@pytest.mark.parametrize("name", LOSSES)
def test_autocast_changes_nothing(name):
    loss, features = LOSSES[name], views()
    plain = loss(*features)
    with torch.autocast("cpu", dtype=torch.bfloat16), Results() as seen:
        inside = loss(*features)
    assert seen.dtypes == {torch.float32}
    assert torch.equal(inside, plain)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loss(*(view.double() for view in features)).dtype == torch.float64


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_features_are_upcast_first(name, dtype):
    loss, features = LOSSES[name], [view.to(dtype) for view in views()]
    with torch.autocast("cpu", dtype=torch.bfloat16), Results() as seen:
        inside = loss(*features)
    assert seen.dtypes == {torch.float32}
    torch.testing.assert_close(inside, loss(*(view.float() for view in features)), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_long_features_do_not_overflow(name):
    # Rows of length 5,700: their squares, 3e7, are far beyond the 65,504 of float16.
    halves = [view.half().requires_grad_() for view in views(scale=1e3)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = LOSSES[name](*halves)
    loss.backward()
    assert all(torch.isfinite(view.grad).all() for view in halves if view.grad is not None)
    exact = LOSSES[name](*(view.detach().double() for view in halves))
    assert exact != 0
    torch.testing.assert_close(loss.detach().double(), exact.detach(), rtol=1e-5, atol=1e-7)
