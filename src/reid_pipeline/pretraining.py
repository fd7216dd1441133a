"""Pretraining of the demo CLIP: image and text towers contrasted on captioned drawings.

Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021,
figure 3: symmetric cross-entropy over the cosine similarities of a batch's images and captions.

A batch is of one kind of drawing, in the shape in which that kind is used: the positional embedding is resized to each
shape's grid as `ImageEncoder` does it, and gradients pass through.

Legend: N drawings, B batch, H height, W width, L tokens, E embedding width.
"""

# ruff: noqa: N803, N806 - shape suffixes, as in models/ and losses/

import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from reid_pipeline.engine.progress import track
from reid_pipeline.engine.seeding import numpy_generator, seed_global_state, torch_generator
from reid_pipeline.images.augment import flip_and_crop, normalise
from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.open_clip_lists import DEMO_MODEL
from reid_pipeline.models.positions import resize_positions
from reid_pipeline.models.pretrained import pack_demo_state
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import ContrastParameters

_LOG_100 = math.log(100.0)  # CLIP clips its temperature there
_PIXELS = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def contrastive_loss(image_BE: Tensor, text_BE: Tensor, logit_scale: Tensor) -> Tensor:
    """Return the mean of image-to-text and text-to-image cross-entropy over unit embeddings [B, E]."""
    logits_BB = logit_scale * F.normalize(image_BE, dim=1) @ F.normalize(text_BE, dim=1).T
    target_B = torch.arange(len(logits_BB), device=logits_BB.device)
    return (F.cross_entropy(logits_BB, target_B) + F.cross_entropy(logits_BB.T, target_B)) / 2


class _Captioned(NamedTuple):
    """Drawings of one kind and their captions' tokens."""

    images: Tensor  # uint8 [N, 3, H, W]
    tokens: Tensor  # int64 [N, L]

    def rows(self, rows: Tensor | slice) -> "_Captioned":
        return _Captioned(self.images[rows], self.tokens[rows])


def pretrain(
    drawings: Mapping[str, np.ndarray], captions: Mapping[str, list[str]], parameters: ContrastParameters
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Train the demo CLIP from random weights, on the CPU in float32.

    Args:
        drawings: uint8 [N, H, W, 3] by kind; each kind has a size and a number of its own.
        captions: N captions by kind.
        parameters: the schedule.

    Returns:
        the packed half-precision state; data hash, and by kind the number of drawings, the mean loss of every epoch,
        and loss and accuracy on the drawings held out.

    Raises:
        UserError: fewer drawings of a kind than one batch.
    """
    for kind, texts in captions.items():
        if len(texts) - parameters.held_out < parameters.batch_size:
            raise UserError(
                f"{len(texts)} drawings of {kind} less contrast.held_out {parameters.held_out} do not fill one batch"
                f" of contrast.batch_size {parameters.batch_size}. Raise drawings.{kind}.count, or lower one of these."
            )
    seed_global_state(parameters.seed, "pretrain")
    architecture = Architecture(DEMO_MODEL)
    model, digest, data = architecture.clip(), hashlib.sha256(), {}
    for kind, texts in captions.items():
        digest.update(drawings[kind].tobytes() + "\n".join(texts).encode())
        images_NCHW = torch.from_numpy(drawings[kind]).permute(0, 3, 1, 2)
        data[kind] = _Captioned(images_NCHW, _without_padding(architecture.tokenizer(texts)))
    seen = {kind: each.rows(slice(-parameters.held_out)) for kind, each in data.items()}
    losses = _train(model, seen, parameters)
    used = torch.cat([torch.unique(each.tokens) for each in data.values()])
    packed = pack_demo_state(model.state_dict(), used)
    measured = {kind: _held_out(model, each.rows(slice(-parameters.held_out, None))) for kind, each in data.items()}
    counts = {kind: len(texts) for kind, texts in captions.items()}
    return packed, {
        "data_hash": digest.hexdigest(), "drawings": counts, "epoch_losses": losses, "held_out": measured
    }  # fmt: skip


def _train(model: Any, data: Mapping[str, _Captioned], parameters: ContrastParameters) -> dict[str, list[float]]:
    decayed = [p for p in model.parameters() if p.ndim > 1 and p is not model.token_embedding.weight]
    plain = [p for p in model.parameters() if not any(p is other for other in decayed)]
    groups: list[dict[str, Any]] = [{"params": decayed, "weight_decay": parameters.weight_decay}, {"params": plain}]
    optimiser = torch.optim.AdamW(groups, lr=parameters.learning_rate, weight_decay=0.0)
    counts = {kind: len(each.tokens) for kind, each in data.items()}
    steps = sum(count // parameters.batch_size for count in counts.values())
    losses: dict[str, list[float]] = {kind: [] for kind in data}
    for epoch in range(parameters.epochs):
        found: dict[str, list[float]] = {kind: [] for kind in data}
        batches = enumerate(epoch_batches(counts, parameters, epoch))
        for step, (kind, rows) in track(batches, f"pretrain epoch {epoch + 1}", total=steps, unit="steps"):
            share = (epoch * steps + step) / (parameters.epochs * steps)
            for group in optimiser.param_groups:
                group["lr"] = parameters.learning_rate * rate_factor(share, parameters.warmup_share)
            batch = data[kind].rows(torch.from_numpy(rows))
            generator = torch_generator(parameters.seed, epoch, step)
            # No flip: captions say which side is seen.
            shifted = flip_and_crop(batch.images, 0.0, parameters.padding, generator)
            loss = _loss(model, batch._replace(images=shifted))
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
            with torch.no_grad():
                model.logit_scale.clamp_(max=_LOG_100)
            found[kind].append(float(loss.detach()))
        for kind, values in found.items():
            losses[kind].append(round(sum(values) / len(values), 4))
    return losses


def epoch_batches(
    counts: Mapping[str, int], parameters: ContrastParameters, epoch: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield an epoch's batches, each of one kind, the kinds in a seeded order.

    Args:
        counts: number of drawings by kind.
        parameters: seed and size of a batch.
        epoch: 0-based.

    Yields:
        a kind and rows int64 [B] of its drawings; a row occurs once at most, and what fills no batch is left out.
    """
    size = parameters.batch_size
    batches: list[tuple[str, np.ndarray]] = []
    for kind, count in counts.items():
        order = numpy_generator(parameters.seed, "order", kind, epoch).permutation(count)
        batches += [(kind, order[start : start + size]) for start in range(0, count - size + 1, size)]
    for number in numpy_generator(parameters.seed, "kinds", epoch).permutation(len(batches)).tolist():
        yield batches[number]


def encode_resized(model: Any, images_BCHW: Tensor) -> Tensor:
    """Return open_clip's image features [B, E] of normalised images of any size that fills whole patches.

    The positional embedding is resized as `ImageEncoder` resizes it, and gradients reach it.
    """
    tower = model.visual
    size = (images_BCHW.shape[2] // tower.patch_size[0], images_BCHW.shape[3] // tower.patch_size[1])
    positions_LW = resize_positions(tower.positional_embedding, tower.grid_size, size)
    features_BE: Tensor = torch.func.functional_call(tower, {"positional_embedding": positions_LW}, (images_BCHW,))
    return features_BE


def _loss(model: Any, batch: _Captioned) -> Tensor:
    image_BE = encode_resized(model, normalise(batch.images, *_PIXELS))
    return contrastive_loss(
        image_BE, encode_text_prefix(model, _without_padding(batch.tokens)), model.logit_scale.exp()
    )


def _without_padding(tokens_NL: Tensor) -> Tensor:
    """Drop the columns after the last end-of-text token, the largest id of each row."""
    return tokens_NL[:, : int(tokens_NL.argmax(1).max()) + 1]


def encode_text_prefix(model: Any, tokens_BL: Tensor) -> Tensor:
    """Return open_clip's text features [B, E], computed on the first L positions only.

    The text tower is causal and is read at the end-of-text token, the largest id: the padding cannot change it.
    """
    L = tokens_BL.shape[1]
    x_BLW = model.token_embedding(tokens_BL) + model.positional_embedding[:L]
    x_BLW = model.ln_final(model.transformer(x_BLW, attn_mask=model.attn_mask[:L, :L]))
    last_BW = x_BLW[torch.arange(len(x_BLW)), tokens_BL.argmax(1)]
    features_BE: Tensor = last_BW @ model.text_projection
    return features_BE


def rate_factor(share: float, warmup_share: float) -> float:
    """Return the learning rate's factor when `share` of all steps is done: warm-up, then half a cosine."""
    if share < warmup_share:
        return share / warmup_share
    return 0.5 * (1 + math.cos(math.pi * (share - warmup_share) / (1 - warmup_share)))


@torch.inference_mode()
def _held_out(model: Any, data: _Captioned) -> dict[str, float]:
    model.eval()
    parts = torch.split(data.images, 250)
    image_NE = torch.cat([encode_resized(model, normalise(part, *_PIXELS)) for part in parts])
    text_NE = torch.cat([encode_text_prefix(model, part) for part in torch.split(data.tokens, 250)])
    loss = contrastive_loss(image_NE, text_NE, model.logit_scale.exp())
    similarity_NN = F.normalize(image_NE, dim=1) @ F.normalize(text_NE, dim=1).T
    right = (similarity_NN.argmax(1) == torch.arange(len(similarity_NN))).float().mean()
    return {"loss": round(float(loss), 4), "image_to_text_rank1": round(float(right), 4)}
