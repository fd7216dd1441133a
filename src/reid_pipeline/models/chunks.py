"""A batch through an image tower in chunks: a large tower trains with a published batch in the memory of a few images.

The features of all chunks are computed, the loss is taken on those of the whole batch, and in the backward pass every
chunk goes through the tower once more, with the gradients of its features, before the next one does. At any time the
activations of one chunk alone are held. What is computed is the undivided step, but for the order of sums: all that
looks at the batch as a whole (batch-hard triplets, NT-Xent, memories, the batch norms of necks and heads) comes after
the tower and sees whole features.
Source: Gao et al., Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup, 2021, arXiv 2101.06983
(gradient cache); the second forward pass is torch's checkpoint (Chen et al. 2016, arXiv 1604.06174), one per chunk.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

Inputs = tuple[Tensor, Tensor | None, Tensor | None]
Encode = Callable[[Tensor, Tensor | None, Tensor | None], tuple[Tensor, ...]]


def encoded_in_chunks(encode: Encode, inputs: Inputs, size: int) -> tuple[Tensor, ...]:
    """Return `encode(*inputs)`, tensors of one row per image, computed from `size` images at a time.

    Every row of the result must depend on the same row of the inputs alone. `encode` is called twice for each chunk,
    the second time in the backward pass and with torch's random state of the first, so that both drop out the same.
    Masks are sampled chunk by chunk, hence they are others than those of the whole batch.
    """
    parts = [checkpoint(_with_own_casts, encode, *chunk, use_reentrant=False) for chunk in _chunks(inputs, size)]
    joined: dict[int, Tensor] = {}  # a feature that stands for two is one tensor in the whole, too
    for place, first in enumerate(parts[0]):
        if id(first) not in joined:
            joined[id(first)] = torch.cat([part[place] for part in parts])
    return tuple(joined[id(first)] for first in parts[0])


def _chunks(inputs: Inputs, size: int) -> Iterator[Inputs]:
    images, *ids = inputs
    for start in range(0, len(images), size) or (0,):  # of several processes one may have no image
        rows = slice(start, start + size)
        camids, viewids = (None if each is None else each[rows] for each in ids)
        yield images[rows], camids, viewids


def _with_own_casts(
    encode: Encode, images: Tensor, camids: Tensor | None, viewids: Tensor | None
) -> tuple[Tensor, ...]:
    """Call `encode`; in mixed precision with weights that are cast for this chunk.

    Casts that all chunks share would sum the gradients of these in half precision, and lie in memory all the time.
    """
    device = images.device.type
    if not torch.is_autocast_enabled(device):
        return encode(images, camids, viewids)
    with torch.autocast(device, dtype=torch.get_autocast_dtype(device), cache_enabled=False):
        return encode(images, camids, viewids)


def batch_norms(tower: nn.Module) -> list[str]:
    """Return the names of the modules that normalise by the statistics of a batch, and would see a chunk for one."""
    return [name for name, module in tower.named_modules() if isinstance(module, _BatchNorm)]
