"""CLIP's text tower, fed with embedded tokens (methods.md, section 5).

The tower is causal: a token sees those before it and no others. A text is read at its end-of-text token, so
the padding behind it is never run: 12 tokens instead of 77 for "A photo of a X X X X person.".

Shape suffixes: B texts, L tokens, T width of the tower, E width of CLIP's joint space.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.backbone import tower_settings
from reid_pipeline.models.image_encoder import ImageEncoder
from reid_pipeline.models.last_block import causal_token_after
from reid_pipeline.models.pretrained import pretrained_state
from reid_pipeline.models.towers import build_tower
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import BackboneParameters
from reid_pipeline.schema.population import Population


class TextEncoder(nn.Module):
    """The text tower of one CLIP. Its parameters have open_clip's names.

    Attributes:
        width: width T of an embedded token.
        projected_width: width E of a text feature, that of `ImageFeatures.projected`.
        context_length: most tokens a text may have, start and end included.
    """

    causal_mask: Tensor

    def __init__(self, architecture: Architecture, state: Mapping[str, Tensor]) -> None:
        """Take the text side of a CLIP; the tensors of its whole state become the tower's own, not copies."""
        super().__init__()
        clip = architecture.clip(device="meta")
        self.name, self.tokenizer = architecture.name, architecture.tokenizer
        self.token_embedding: nn.Embedding = clip.token_embedding
        self.positional_embedding: nn.Parameter = clip.positional_embedding
        self.transformer: Any = clip.transformer
        self.ln_final: Any = clip.ln_final
        self.text_projection: Any = clip.text_projection
        self.context_length, self.width = (int(size) for size in self.positional_embedding.shape)
        self.projected_width = int(self.text_projection.shape[1])
        mask_LL = torch.full((self.context_length, self.context_length), float("-inf")).triu_(1)
        self.register_buffer("causal_mask", mask_LL, persistent=False)
        self.load_state_dict({key: state[key] for key in self.state_dict()}, assign=True)

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Return int64 [B, context_length] token ids: start, words, end, padding of 0."""
        return cast("Tensor", self.tokenizer(list(texts)).to(self.token_embedding.weight.device))

    def embed(self, tokens: Tensor) -> Tensor:
        """Return the embedding of each token id, int64 [B, L] to float [B, L, T], positions not added."""
        return cast("Tensor", self.token_embedding(tokens))

    def encode(self, embedded: Tensor, end_positions: Tensor) -> Tensor:
        """Return the text features, not normalised: float [B, E].

        `embedded` are float [B, L, T] from the start-of-text token on, L at most `context_length` (else UserError);
        positions are added here. `end_positions`, int64 [B] in 0..L-1, are those of the end-of-text tokens. All L
        tokens are run: leave out those behind the last end-of-text token, which change nothing.
        """
        length = embedded.shape[1]
        if length > self.context_length:
            raise UserError(
                f"A text of {length} tokens is too long for {self.name!r}: {self.context_length} are "
                f"allowed, start and end included. Shorten the prompt."
            )
        mask_LL = self.causal_mask[:length, :length].to(embedded.dtype)
        x_BLT = embedded + self.positional_embedding[:length].to(embedded.dtype)
        *blocks, last = self.transformer.resblocks
        for block in blocks:
            x_BLT = block(x_BLT, attn_mask=mask_LL)
        end_BT = self.ln_final(causal_token_after(last, x_BLT, end_positions, mask_LL))
        return cast("Tensor", end_BT @ self.text_projection)


def both_towers(backbone: BackboneParameters, population: Population | None = None) -> tuple[ImageEncoder, TextEncoder]:
    """Build the image tower as `image_tower` does, and the text tower of the same weights, read once."""
    architecture = Architecture(backbone.name)
    settings = tower_settings(architecture, backbone, population)
    state = pretrained_state(architecture, backbone.pretrained, text=True)
    return build_tower(architecture, settings, state), TextEncoder(architecture, state)
