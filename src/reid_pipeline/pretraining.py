"""Pretraining of the demo CLIP: image and text towers contrasted on captioned drawings.

Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021,
figure 3: symmetric cross-entropy over the cosine similarities of a batch's images and captions.

Legend: N drawings, B batch, H height, W width, L tokens, E embedding width.
"""

# ruff: noqa: N803, N806 - shape suffixes, as in models/ and losses/

import hashlib
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from reid_pipeline.engine.progress import track
from reid_pipeline.engine.seeding import numpy_generator, seed_global_state, torch_generator
from reid_pipeline.images.augment import flip_and_crop, normalise
from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.open_clip_lists import DEMO_MODEL
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


def pretrain(
    drawings_NHWC: np.ndarray, captions: list[str], parameters: ContrastParameters
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Train the demo CLIP from random weights, on the CPU in float32, on uint8 drawings [N, H, W, 3] and N captions.

    Returns:
        the packed half-precision state; data hash, losses and held-out accuracy.

    Raises:
        UserError: fewer drawings than one batch.
    """
    count = len(captions) - parameters.held_out
    if count < parameters.batch_size:
        raise UserError(
            f"{len(captions)} drawings less contrast.held_out {parameters.held_out} do not fill one batch of"
            f" contrast.batch_size {parameters.batch_size}. Raise drawings.count, or lower one of these."
        )
    seed_global_state(parameters.seed, "pretrain")
    architecture = Architecture(DEMO_MODEL)
    model = architecture.clip()
    tokens_NL = _without_padding(architecture.tokenizer(captions))
    images_NCHW = torch.from_numpy(drawings_NHWC).permute(0, 3, 1, 2)
    losses = _train(model, images_NCHW[:count], tokens_NL[:count], parameters)
    packed = pack_demo_state(model.state_dict(), torch.unique(tokens_NL))
    measured = _held_out(model, images_NCHW[count:], tokens_NL[count:])
    digest = hashlib.sha256(drawings_NHWC.tobytes() + "\n".join(captions).encode()).hexdigest()
    return packed, {"data_hash": digest, "drawings": len(captions), "epoch_losses": losses, **measured}


def _train(model: Any, images_NCHW: Tensor, tokens_NL: Tensor, parameters: ContrastParameters) -> list[float]:
    decayed = [p for p in model.parameters() if p.ndim > 1 and p is not model.token_embedding.weight]
    plain = [p for p in model.parameters() if not any(p is other for other in decayed)]
    groups: list[dict[str, Any]] = [{"params": decayed, "weight_decay": parameters.weight_decay}, {"params": plain}]
    optimiser = torch.optim.AdamW(groups, lr=parameters.learning_rate, weight_decay=0.0)
    steps = len(images_NCHW) // parameters.batch_size
    losses = []
    for epoch in range(parameters.epochs):
        order = numpy_generator(parameters.seed, "order", epoch).permutation(len(images_NCHW))
        total = 0.0
        for step in track(range(steps), f"pretrain epoch {epoch + 1}", total=steps, unit="steps"):
            rows = torch.from_numpy(order[step * parameters.batch_size :][: parameters.batch_size])
            share = (epoch * steps + step) / (parameters.epochs * steps)
            for group in optimiser.param_groups:
                group["lr"] = parameters.learning_rate * rate_factor(share, parameters.warmup_share)
            shifted = flip_and_crop(
                images_NCHW[rows], 0.0, parameters.padding, torch_generator(parameters.seed, epoch, step)
            )
            loss = contrastive_loss(
                model.encode_image(normalise(shifted, *_PIXELS)),
                encode_text_prefix(model, tokens_NL[rows]),
                model.logit_scale.exp(),
            )
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
            with torch.no_grad():
                model.logit_scale.clamp_(max=_LOG_100)
            total += float(loss.detach())
        losses.append(round(total / steps, 4))
    return losses


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
def _held_out(model: Any, images_NCHW: Tensor, tokens_NL: Tensor) -> dict[str, float]:
    model.eval()
    image_NE = torch.cat([model.encode_image(normalise(part, *_PIXELS)) for part in torch.split(images_NCHW, 250)])
    text_NE = torch.cat([encode_text_prefix(model, part) for part in torch.split(tokens_NL, 250)])
    loss = contrastive_loss(image_NE, text_NE, model.logit_scale.exp())
    similarity_NN = F.normalize(image_NE, dim=1) @ F.normalize(text_NE, dim=1).T
    right = (similarity_NN.argmax(1) == torch.arange(len(similarity_NN))).float().mean()
    return {"held_out_loss": round(float(loss), 4), "held_out_image_to_text_rank1": round(float(right), 4)}
