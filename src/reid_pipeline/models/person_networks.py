"""The two ViTs of person pretraining that timm does not have: with a convolutional stem, and with part tokens.

timm knows them by name once this module is imported. Sources: Luo et al., Self-Supervised Pre-Training for
Transformer-Based Person Re-Identification, arXiv 2111.12084 (TransReID-SSL, its ICS stem); Zhu et al., PASS,
ECCV 2022.

Shape suffixes: B images, 3 colours, H W image rows and columns, C channels of the stem, h w token rows and columns, L =
h * w, D width of the tower.
"""

from typing import Any, cast

import torch
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

_CHANNELS = 64
_OF_TIMM = ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir")


class HalfInstanceNorm(nn.Module):
    """IBN: the first half of the channels by instance norm, the others by batch norm; names of the release."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.instances = channels // 2
        self.IN = nn.InstanceNorm2d(self.instances, affine=True)
        self.BN = nn.BatchNorm2d(channels - self.instances)

    def forward(self, x_BChw: Tensor) -> Tensor:
        """Return the normalised channels, side by side as they were."""
        first, second = x_BChw[:, : self.instances], x_BChw[:, self.instances :]
        return torch.cat([self.IN(first.contiguous()), self.BN(second.contiguous())], dim=1)


class StemPatches(nn.Module):
    """TransReID-SSL's patches: three convolutions that halve the image, then a projection of half-sized patches.

    A patch embedding as timm takes one. Its batch norms see a batch in training mode.
    """

    def __init__(
        self,
        img_size: int = 224,
        patch_size: int = 16,
        in_chans: int = 3,
        embed_dim: int = 768,
        bias: bool = True,
        **_: Any,
    ) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(in_chans, _CHANNELS, 7, stride=2, padding=3, bias=False),
            HalfInstanceNorm(_CHANNELS),
            nn.ReLU(inplace=True),
            nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1, bias=False),
            HalfInstanceNorm(_CHANNELS),
            nn.ReLU(inplace=True),
            nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1, bias=False),
            nn.BatchNorm2d(_CHANNELS),
            nn.ReLU(inplace=True),
        )
        self.proj = nn.Conv2d(_CHANNELS, embed_dim, patch_size // 2, stride=patch_size // 2, bias=bias)
        self.patch_size, self.img_size = (patch_size, patch_size), (img_size, img_size)
        self.grid_size = (img_size // patch_size, img_size // patch_size)
        self.num_patches = self.grid_size[0] * self.grid_size[1]

    @property
    def backbone(self) -> nn.Module:
        """What makes a map of an image; towers compute their grid by it."""
        return nn.Sequential(self.conv, self.proj)

    def feat_ratio(self) -> int:
        """Return the pixels of a patch on each axis."""
        return self.patch_size[0]

    def forward(self, x_B3HW: Tensor) -> Tensor:
        """Return the patches, float [B, L, D]."""
        return cast("Tensor", self.proj(self.conv(x_B3HW))).flatten(2).transpose(1, 2)


def plain_vit(width: int, heads: int, **options: Any) -> VisionTransformer:
    """Return timm's ViT; of `options`, what timm asks of its own registered networks has no part in it."""
    own = {name: value for name, value in options.items() if name not in _OF_TIMM}
    return VisionTransformer(**{"embed_dim": width, "num_heads": heads, "depth": 12, "patch_size": 16, **own})


@register_model
def vit_small_ics_patch16_224(**options: Any) -> VisionTransformer:
    """Return TransReID-SSL's ViT-S with the stem."""
    return plain_vit(384, 6, embed_layer=StemPatches, **options)


@register_model
def vit_base_ics_patch16_224(**options: Any) -> VisionTransformer:
    """Return TransReID-SSL's ViT-B with the stem."""
    return plain_vit(768, 12, embed_layer=StemPatches, **options)


@register_model
def vit_small_pass_patch16_224(**options: Any) -> VisionTransformer:
    """Return PASS's ViT-S: three part tokens behind the class token."""
    return plain_vit(384, 6, reg_tokens=3, **options)


@register_model
def vit_base_pass_patch16_224(**options: Any) -> VisionTransformer:
    """Return PASS's ViT-B."""
    return plain_vit(768, 12, reg_tokens=3, **options)
