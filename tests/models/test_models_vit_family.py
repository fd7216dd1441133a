"""Larger ViTs and other families: their own width, patch, mean and standard deviation."""

import copy

import pytest
import torch

from reid_pipeline.models import architecture
from reid_pipeline.models.text_encoder import both_towers
from reid_pipeline.schema.parameters import BackboneParameters
from reid_pipeline.schema.population import Population


@pytest.fixture
def shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every architecture with two blocks per tower and few words: as wide as published, quick on a CPU."""
    full = architecture.model_config

    def cut(name: str) -> architecture.ModelConfig:
        config = copy.deepcopy(full(name))
        if not isinstance(config["vision_cfg"].get("layers"), list):
            config["vision_cfg"]["layers"] = 2
        config["text_cfg"] |= {"layers": 2, "vocab_size": 64}
        return config

    monkeypatch.setattr(architecture, "model_config", cut)


@pytest.mark.slow
@pytest.mark.usefixtures("shallow")
@pytest.mark.parametrize(
    ("name", "width", "projected", "text_width", "size", "stride", "grid"),
    [
        ("ViT-L-14-quickgelu", 1024, 768, 768, (256, 128), None, (18, 9)),
        ("ViT-L-14-quickgelu", 1024, 768, 768, (252, 126), 12, (20, 10)),
        ("ViT-H-14", 1280, 1024, 1024, (56, 28), None, (4, 2)),
        ("ViT-bigG-14", 1664, 1280, 1280, (56, 28), None, (4, 2)),
        ("ViT-B-32-quickgelu", 768, 512, 512, (256, 128), None, (8, 4)),
        ("ViT-M-16-alt", 512, 384, 384, (64, 32), None, (4, 2)),
    ],
)
def test_widths_and_grids_are_those_of_the_model(
    name: str,
    width: int,
    projected: int,
    text_width: int,
    size: tuple[int, int],
    stride: int | None,
    grid: tuple[int, int],
) -> None:
    torch.manual_seed(0)
    backbone = BackboneParameters(name=name, image_size=size, patch_stride=stride, sie="camera")
    encoder, text = both_towers(backbone, Population(identities=3, cameras=2))
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        features = encoder(images, torch.tensor([0, 1]))
        encoder.sie_coefficient = 0.0
        plain, theirs = encoder(images, torch.tensor([0, 1])), encoder.visual(images)
    assert (encoder.width, encoder.projected_width, text.width) == (width, projected, text_width)
    assert encoder.grid_size == grid
    assert [tuple(feature.shape) for feature in features] == [(2, width), (2, width), (2, projected)]
    assert text.projected_width == projected
    torch.testing.assert_close(plain.projected, theirs, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "pretrained", "mean", "std"),
    [
        ("ViT-L-14-quickgelu", "openai", 0.48145466, 0.26862954),
        ("ViT-B-16", "laion2b_s34b_b88k", 0.48145466, 0.26862954),
        ("ViT-L-14", "laion2b_s32b_b82k", 0.5, 0.5),
        ("RN50-quickgelu", "openai", 0.48145466, 0.26862954),
    ],
)
def test_mean_and_std_are_those_of_the_weights(name: str, pretrained: str, mean: float, std: float) -> None:
    (red_mean, _, _), (red_std, _, _) = architecture.Architecture(name).pixel_statistics(pretrained)
    assert (red_mean, red_std) == (mean, std)
