"""Augmentations of embedded prompts, for language self-supervision (methods.md, section 7).

Pure functions of prompts, float [B, L, T], to such a tensor. They sample from the CPU generator given, so that
a seed gives the same on every device. Gradients flow to the prompts. UserError for an option out of range.

Shape suffixes: B prompts, L tokens, T width of the text tower.
"""

from typing import Literal

import torch
from torch import Tensor

from reid_pipeline.schema.errors import UserError


def mask_prompts(
    prompts: Tensor, generator: torch.Generator, *, probability: float = 0.5, positions: slice | None = None
) -> Tensor:
    """Zero each component of each embedded token with a probability; the others are unchanged.

    `positions` are the tokens that may be masked, such as `PromptLearner.learnt_positions`; None is for all, as in
    the released code, whose 77 positions include padding: it does not matter to a causal tower, and L leaves it out.
    """
    if not 0 <= probability <= 1:
        raise UserError(f"probability {probability} is not allowed: 0 to 1. Correct `probability`.")
    masked_BLT = torch.rand(prompts.shape, generator=generator) < probability
    allowed_L1 = torch.zeros(prompts.shape[1], 1, dtype=torch.bool)
    allowed_L1[positions or slice(None)] = True
    return prompts.masked_fill(_sent_to(prompts, masked_BLT & allowed_L1), 0.0)


def swap_prompts(
    prompts: Tensor,
    generator: torch.Generator,
    *,
    share: tuple[float, float] = (0.3, 0.5),
    padding: tuple[int, Tensor] | None = None,
) -> Tensor:
    """Permute a random share of the token positions of each prompt among themselves.

    Per prompt: a share uniform between the bounds, `int(share * L)` random positions, their tokens in random
    order. Equal bounds fix the share, as the released code does.

    Args:
        prompts: float [B, L, T].
        generator: a CPU generator.
        share: lowest and highest share, in 0..1.
        padding: the released code permutes all 77 positions, so that padding enters the text and words leave
            it. (context length, embedding of the padding token, float [T]) gives that: all positions take part, and
            the first L are returned, which are all that the tower reads. None: the L positions alone.
    """
    low, high = share
    if not 0 <= low <= high <= 1:
        raise UserError(f"share {list(share)} is not allowed: two numbers of 0..1, the lower first. Correct `share`.")
    count, length, width = prompts.shape
    total = length if padding is None else max(length, padding[0])
    share_B1 = low + (high - low) * torch.rand(count, 1, generator=generator)
    source_BL = _partial_permutation((share_B1 * total).long(), total, generator)[:, :length]
    whole = prompts
    if padding is not None:
        whole = torch.cat([prompts, padding[1].to(prompts).expand(count, total - length, width)], dim=1)
    return whole.gather(1, _sent_to(prompts, source_BL)[..., None].expand(-1, -1, width))


def mix_prompts(
    prompts: Tensor, generator: torch.Generator, *, share: float = 0.3, partner: Literal["other", "released"] = "other"
) -> Tensor:
    """Mix each prompt with that of another identity: `(1 - share) * own + share * partner's`.

    Args:
        prompts: float [B, L, T], one per identity. A single one is returned as it is: it has no partner.
        generator: a CPU generator.
        share: the partner's, in 0..1.
        partner: `"other"`: any prompt but the own, each as likely. `"released"`: any but the last, the
            own included, as the released code samples. That code also reads rows it has already mixed, which
            this does not; and as released it cannot be asked for `mix` at all.
    """
    if not 0 <= share <= 1:
        raise UserError(f"share {share} is not allowed: 0 to 1. Correct `share`.")
    if partner not in ("other", "released"):
        raise UserError(f"partner {partner!r} is not allowed: 'other' or 'released'. Correct `partner`.")
    count = len(prompts)
    if count < 2:
        return prompts.clone()
    partner_B = torch.randint(count - 1, (count,), generator=generator)
    if partner == "other":
        partner_B += partner_B >= torch.arange(count)  # skip the own row
    return torch.lerp(prompts, prompts[_sent_to(prompts, partner_B)], share)


def _sent_to(prompts: Tensor, sampled: Tensor) -> Tensor:
    """Return what was sampled on the device of the prompts; a CUDA device takes it while the host goes on."""
    return sampled.to(prompts.device, non_blocking=prompts.is_cuda)


def _partial_permutation(moved_B1: Tensor, length: int, generator: torch.Generator) -> Tensor:
    """Return int64 [B, L], the source of each position: `moved_B1` random positions of a row are permuted."""
    order_BL = torch.rand(len(moved_B1), length, generator=generator).argsort(dim=1)
    moves_BL = torch.arange(length) < moved_B1
    # The moving positions in ascending order take their tokens from those in random order. The others are sent
    # to an extra column, which is cut off.
    target_BL = torch.where(moves_BL, order_BL, length).sort(dim=1).values
    source_BL = torch.arange(length + 1).repeat(len(moved_B1), 1).scatter(1, target_BL, order_BL)
    return source_BL[:, :length]
