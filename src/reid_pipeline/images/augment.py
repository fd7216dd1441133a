"""Training augmentation of a whole batch at once, on the device of the batch.

Equal in distribution to the usual per-image pipeline (methods.md section 1): horizontal flip, zero
padding and random crop back to size, normalisation, random erasing (Zhong et al., AAAI 2020).

Legend: B batch, C channels, H height, W width, R the W x C values of a row, F as it is or flipped,
A attempts, K rows of all images that lose something.
"""

# ruff: noqa: N803, N806 - shape suffixes, as in models/ and losses/

import math
from collections.abc import Iterator
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Generator

from reid_pipeline.schema.parameters import AugmentationParameters, Channels

Rows = TypeVar("Rows", np.ndarray, torch.Tensor)
_ASPECT = (0.3, 1 / 0.3)  # of the erased rectangle: height over width
_ATTEMPTS = 20  # rectangles tried before an image is left as it is; the chance of a miss is below 1e-6
_FILLS = {"mean": (0.0,), "half": (0.5,), "imagenet_mean": (0.485, 0.456, 0.406)}
"""Of all channels or of each, after normalisation; the last is the mean of pixels before it, as released."""


class BatchPart(NamedTuple):
    """Which images of a batch there are where other processes have the rest: `length` of `total`, from `start` on."""

    start: int
    length: int
    total: int

    def of(self, rows: Rows) -> Rows:
        """Return those of `total` rows."""
        return rows[self.start : self.start + self.length]


class PixelStatistics(Protocol):
    """What images are normalised with; an image tower has it."""

    pixel_mean: Channels
    pixel_std: Channels


def sent_to(device: torch.device, values: torch.Tensor) -> torch.Tensor:
    """Return the values on a device; a CUDA device takes them from the CPU while the host goes on."""
    return values.to(device, non_blocking=device.type == "cuda")


def normalise(images_BCHW: torch.Tensor, mean: Channels, std: Channels) -> torch.Tensor:
    """Turn uint8 pixels [B, 3, H, W] into float32, channels last in memory: (pixel / 255 - mean) / std per channel."""
    B, C, H, W = images_BCHW.shape
    # A row's W x 3 values at a time: pixel by pixel it would take ten times as long.
    rows_BHR = images_BCHW.permute(0, 2, 3, 1).contiguous().flatten(2).float()
    device = rows_BHR.device
    mean_R, std_R = (sent_to(device, torch.tensor(values)).repeat(W) for values in (mean, std))
    return rows_BHR.div_(255).sub_(mean_R).div_(std_R).view(B, H, W, C).permute(0, 3, 1, 2)


def augment(
    images_BCHW: torch.Tensor,
    statistics: PixelStatistics,
    parameters: AugmentationParameters,
    generator: Generator,
    *,
    part: BatchPart | None = None,
) -> torch.Tensor:
    """Return an augmented, normalised copy of a batch, uint8 to float32 [B, 3, H, W], on its device.

    `statistics` are pixel mean and std. The generator is of the CPU, so that the samples are the same on all devices.
    It samples for the whole batch where the images are a `part` of one: they come out as they would in the whole.
    """
    images = flip_and_crop(images_BCHW, parameters.flip, parameters.padding, generator, part=part)
    return erase(normalise(images, statistics.pixel_mean, statistics.pixel_std), parameters, generator, part=part)


def flip_and_crop(
    images_BCHW: torch.Tensor, flip: float, padding: int, generator: Generator, *, part: BatchPart | None = None
) -> torch.Tensor:
    """Flip each image with probability `flip`, then shift it by up to `padding` pixels, black outside."""
    B, C, H, W = images_BCHW.shape
    device = images_BCHW.device
    if device.type == "mps":  # it would write out every window below; its memory is the CPU's anyway
        return flip_and_crop(images_BCHW.cpu(), flip, padding, generator, part=part).to(device)
    part = part or BatchPart(0, B, B)
    flipped_B = part.of(torch.rand(part.total, generator=generator) < flip)
    top_B, left_B = (part.of(torch.randint(0, 2 * padding + 1, (part.total,), generator=generator)) for _ in range(2))
    if not B:
        return images_BCHW
    high, wide = H + 2 * padding, W + 2 * padding
    # Every image as it is and flipped, with a black margin: each row of the result is one piece of it.
    padded_FBHWC = images_BCHW.new_zeros(2, B, high, wide, C)
    inner_FBHWC = padded_FBHWC[:, :, padding : padding + H, padding : padding + W]
    inner_FBHWC[0] = images_BCHW.permute(0, 2, 3, 1)
    inner_FBHWC[1] = inner_FBHWC[0].flip(2)
    first_row_B = (flipped_B * B + torch.arange(B)) * high + top_B
    rows_BH = first_row_B[:, None] + torch.arange(H)
    begin_BH = (rows_BH * wide + left_B[:, None]) * C
    windows = padded_FBHWC.flatten().unfold(0, W * C, 1)
    made = windows.index_select(0, sent_to(device, begin_BH.flatten()))
    return made.view(B, H, W, C).permute(0, 3, 1, 2)


def erase(
    images_BCHW: torch.Tensor,
    parameters: AugmentationParameters,
    generator: Generator,
    *,
    part: BatchPart | None = None,
) -> torch.Tensor:
    """Erase one rectangle in a share of the images, in place; the channels must lie last in memory.

    Its area and aspect are sampled, then its place; a rectangle larger than the image is sampled again. The
    fill is the mean colour (0 after normalisation), 0.5 after it, 0.485, 0.456 and 0.406 after it, or standard normal
    noise for every pixel and channel.
    """
    B, C, H, W = images_BCHW.shape
    device = images_BCHW.device
    part = part or BatchPart(0, B, B)
    erased = _rectangles((part.total, H, W), parameters, generator)
    in_rows_BH, in_columns_BW = map(part.of, erased)
    if parameters.erasing_fill == "noise":
        mask_BHW = in_rows_BH[:, :, None] & in_columns_BW[:, None]
        # Noise only for what is erased: for every pixel it costs ten times as much.
        values = [C * int((rows.sum(1) * columns.sum(1)).sum()) for rows, columns in _before_and_all(erased, part)]
        noise = sent_to(device, torch.randn(values[1], generator=generator)[values[0] :])
        return images_BCHW.masked_scatter(sent_to(device, mask_BHW[:, None]), noise)
    # Only rows that lose something are touched: in the usual setting a fifth of them.
    image_K, row_K = (sent_to(device, places) for places in in_rows_BH.nonzero(as_tuple=True))
    in_row_BR = sent_to(device, in_columns_BW.repeat_interleave(C, dim=1))
    rows_BHR = images_BCHW.permute(0, 2, 3, 1).view(B, H, W * C)
    fill = _FILLS[parameters.erasing_fill]
    fill_R = sent_to(device, torch.tensor(fill)).repeat(W * C // len(fill))
    rows_BHR[image_K, row_K] = torch.where(in_row_BR[image_K], fill_R, rows_BHR[image_K, row_K])
    return images_BCHW


def _before_and_all(
    erased: tuple[torch.Tensor, torch.Tensor], part: BatchPart
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield rows and columns that are erased of the images before a part, and of all."""
    for end in (part.start, part.total):
        yield erased[0][:end], erased[1][:end]


def _rectangles(
    shape: tuple[int, int, int], parameters: AugmentationParameters, generator: Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what is erased of B images of H x W: its rows, bool [B, H], and its columns, bool [B, W]."""
    B, H, W = shape
    low, high = parameters.erasing_area
    area_BA = H * W * (low + (high - low) * torch.rand(B, _ATTEMPTS, generator=generator))
    aspect_BA = _aspects(torch.rand(B, _ATTEMPTS, generator=generator), parameters.erasing_aspect)
    height_BA = torch.sqrt(area_BA * aspect_BA).round()
    width_BA = torch.sqrt(area_BA / aspect_BA).round()
    fits_BA = (height_BA < H) & (width_BA < W)
    first_B = fits_BA.int().argmax(dim=1, keepdim=True)
    height_B1, width_B1 = height_BA.gather(1, first_B), width_BA.gather(1, first_B)
    erased_B1 = (torch.rand(B, 1, generator=generator) < parameters.erasing) & fits_BA.any(1, keepdim=True)
    top_B1 = (torch.rand(B, 1, generator=generator) * (H - height_B1 + 1)).floor()
    left_B1 = (torch.rand(B, 1, generator=generator) * (W - width_B1 + 1)).floor()
    row_H, column_W = torch.arange(H), torch.arange(W)
    in_rows_BH = (row_H >= top_B1) & (row_H < top_B1 + height_B1) & erased_B1
    return in_rows_BH, (column_W >= left_B1) & (column_W < left_B1 + width_B1)


def _aspects(share_BA: torch.Tensor, law: str) -> torch.Tensor:
    """Return height over width at these shares, 0 to 1, of its law, float [B, A]."""
    low, high = _ASPECT
    if law == "uniform":
        return low + (high - low) * share_BA
    log_low, log_high = math.log(low), math.log(high)
    return torch.exp(log_low + (log_high - log_low) * share_BA)
