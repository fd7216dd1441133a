"""Training augmentation of a whole batch at once, on whatever device the batch lies.

Equal in distribution to the usual per-image pipeline (methods.md section 1): horizontal flip, zero
padding and random crop back to size, normalisation, random erasing (Zhong et al., AAAI 2020).

Legend: B batch, C channels, H height, W width.
"""

# ruff: noqa: N803, N806 - shape suffixes, as in models/ and losses/

import math
from typing import Protocol

import torch

from reid_pipeline.schema.parameters import AugmentationParameters, Channels

_ASPECT = (0.3, 1 / 0.3)  # of the erased rectangle, drawn log-uniformly
_ATTEMPTS = 20  # rectangles tried before an image is left whole; the chance of a miss is below 1e-6
_FILLS = {"mean": 0.0, "half": 0.5}  # after normalisation


class PixelStatistics(Protocol):
    """What images are normalised with; an image tower has it."""

    pixel_mean: Channels
    pixel_std: Channels


def normalise(images_BCHW: torch.Tensor, mean: Channels, std: Channels) -> torch.Tensor:
    """Turn uint8 pixels [B, 3, H, W] into float32 ones: (pixel / 255 - mean) / std per channel."""
    mean_C11 = torch.tensor(mean, device=images_BCHW.device).view(3, 1, 1)
    std_C11 = torch.tensor(std, device=images_BCHW.device).view(3, 1, 1)
    return (images_BCHW.float() / 255 - mean_C11) / std_C11


def augment(
    images_BCHW: torch.Tensor,
    statistics: PixelStatistics,
    parameters: AugmentationParameters,
    generator: torch.Generator,
) -> torch.Tensor:
    """Return an augmented, normalised copy of a uint8 batch.

    Args:
        images_BCHW: uint8 [B, 3, H, W].
        statistics: pixel mean and std.
        parameters: probabilities and sizes.
        generator: a CPU generator; the draws are the same on every device.

    Returns:
        float32 [B, 3, H, W] on the device of the input.
    """
    images = flip_and_crop(images_BCHW, parameters.flip, parameters.padding, generator)
    return erase(normalise(images, statistics.pixel_mean, statistics.pixel_std), parameters, generator)


def flip_and_crop(
    images_BCHW: torch.Tensor, flip: float, padding: int, generator: torch.Generator
) -> torch.Tensor:
    """Flip each image with probability `flip`, then shift it by up to `padding` pixels, black outside."""
    B, _, H, W = images_BCHW.shape
    device = images_BCHW.device
    flipped_B = torch.rand(B, generator=generator).to(device) < flip
    top_B = torch.randint(0, 2 * padding + 1, (B,), generator=generator).to(device) - padding
    left_B = torch.randint(0, 2 * padding + 1, (B,), generator=generator).to(device) - padding
    rows_BH = torch.arange(H, device=device) + top_B[:, None]
    columns_BW = torch.arange(W, device=device) + left_B[:, None]
    row_inside_BH = (rows_BH >= 0) & (rows_BH < H)
    column_inside_BW = (columns_BW >= 0) & (columns_BW < W)
    inside_BHW = row_inside_BH[:, :, None] & column_inside_BW[:, None]
    columns_BW = torch.where(flipped_B[:, None], W - 1 - columns_BW, columns_BW)
    batch_B = torch.arange(B, device=device)[:, None, None]
    moved_BHWC = images_BCHW.permute(0, 2, 3, 1)[
        batch_B, rows_BH.clamp(0, H - 1)[:, :, None], columns_BW.clamp(0, W - 1)[:, None]
    ]
    return (moved_BHWC * inside_BHW[..., None]).permute(0, 3, 1, 2)


def erase(
    images_BCHW: torch.Tensor, parameters: AugmentationParameters, generator: torch.Generator
) -> torch.Tensor:
    """Erase one rectangle in a share of the images: its area and aspect drawn, then its place.

    A drawn rectangle that is larger than the image is drawn again. The fill is 0, the mean colour after
    normalisation; 0.5; or standard normal noise of its own for every pixel and channel (`erasing_fill`).
    """
    B, C, H, W = images_BCHW.shape
    device = images_BCHW.device
    low, high = parameters.erasing_area
    area_BA = H * W * (low + (high - low) * torch.rand(B, _ATTEMPTS, generator=generator))
    log_low, log_high = math.log(_ASPECT[0]), math.log(_ASPECT[1])
    aspect_BA = torch.exp(log_low + (log_high - log_low) * torch.rand(B, _ATTEMPTS, generator=generator))
    height_BA = torch.sqrt(area_BA * aspect_BA).round()
    width_BA = torch.sqrt(area_BA / aspect_BA).round()
    fits_BA = (height_BA < H) & (width_BA < W)
    first_B = fits_BA.int().argmax(dim=1, keepdim=True)
    height_B1, width_B1 = height_BA.gather(1, first_B), width_BA.gather(1, first_B)
    chosen_B1 = (torch.rand(B, 1, generator=generator) < parameters.erasing) & fits_BA.any(1, keepdim=True)
    top_B1 = (torch.rand(B, 1, generator=generator) * (H - height_B1 + 1)).floor()
    left_B1 = (torch.rand(B, 1, generator=generator) * (W - width_B1 + 1)).floor()
    row_H, column_W = torch.arange(H), torch.arange(W)
    in_rows_BH = (row_H >= top_B1) & (row_H < top_B1 + height_B1) & chosen_B1
    in_columns_BW = (column_W >= left_B1) & (column_W < left_B1 + width_B1)
    mask_BHW = in_rows_BH[:, :, None] & in_columns_BW[:, None]
    if parameters.erasing_fill == "noise":
        # Only what is erased is drawn: a draw for every pixel costs ten times as much.
        noise = torch.randn(C * int(mask_BHW.sum()), generator=generator).to(device)
        return images_BCHW.masked_scatter(mask_BHW[:, None].to(device), noise)
    return images_BCHW.masked_fill(mask_BHW[:, None].to(device), _FILLS[parameters.erasing_fill])
