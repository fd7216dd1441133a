import pytest
import torch
from torch import nn

from reid_pipeline.models.heads import predictor_head, projection_head


def test_a_projection_head_by_hand() -> None:
    torch.manual_seed(0)
    head = projection_head(6, hidden_width=10, output_width=4)
    assert [type(layer) for layer in head] == [nn.Linear, nn.BatchNorm1d, nn.ReLU] * 2 + [nn.Linear]
    x = torch.randn(5, 6)
    wanted = x
    for place in (0, 3):
        wanted = wanted @ head[place].weight.T + head[place].bias
        wanted = (wanted - wanted.mean(0)) / (wanted.var(0, unbiased=False) + 1e-5).sqrt()
        wanted = wanted.clamp(min=0)
    wanted = wanted @ head[6].weight.T + head[6].bias
    assert wanted.shape == (5, 4)
    torch.testing.assert_close(head(x), wanted, atol=1e-5, rtol=1e-5)


def test_published_widths() -> None:
    with torch.device("meta"):
        shapes = [tuple(p.shape) for p in projection_head(512).parameters() if p.ndim == 2]
        assert shapes == [(4096, 512), (4096, 4096), (256, 4096)]
        assert [tuple(p.shape) for p in predictor_head(768).parameters() if p.ndim == 2] == [(512, 768), (768, 512)]


def test_the_image_heads_initialisation() -> None:
    torch.manual_seed(0)
    default, kaiming = (projection_head(100, hidden_width=400, initialisation=how) for how in ("default", "kaiming"))
    assert kaiming[0].weight.std().item() == pytest.approx((2 / 100) ** 0.5, rel=0.02)
    assert kaiming[3].weight.std().item() == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    for part in (kaiming[1].weight, kaiming[4].bias):
        assert part.min() >= 0
        assert part.mean().item() == pytest.approx(0.5, abs=0.05)
    assert default[0].weight.abs().max().item() <= 0.1
    assert (default[1].weight == 1).all()


def test_a_predictor_is_a_bottleneck_without_a_closing_norm() -> None:
    head = predictor_head(8, hidden_width=3)
    assert [type(layer) for layer in head] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    assert head(torch.randn(4, 8)).shape == (4, 8)
