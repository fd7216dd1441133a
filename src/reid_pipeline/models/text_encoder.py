"""A CLIP's text tower, fed with embedded tokens (methods.md, sections 5 and 13).

In a causal tower a token sees those before it and no others. A text is read at its end-of-text token, so the padding
behind it is never run: 12 tokens instead of 77 for "A photo of a X X X X person.". In a tower that is not causal every
token sees the padding, as it did in training: all of the context is run.

Shape suffixes: B texts, L tokens that are run, T width of the tower, E width of CLIP's joint space.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.backbone import tower_settings
from reid_pipeline.models.image_encoder import ImageEncoder
from reid_pipeline.models.last_block import is_plain, token_after
from reid_pipeline.models.pretrained import pretrained_state
from reid_pipeline.models.shared_batch import Tower
from reid_pipeline.models.towers import build_tower
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import BackboneParameters
from reid_pipeline.schema.population import Population


class TextEncoder(Tower):
    """The text tower of one CLIP. Its parameters have open_clip's names.

    Attributes:
        width: width T of an embedded token.
        projected_width: width E of a text feature, that of `ImageFeatures.projected`.
        context_length: most tokens a text may have, start and end included.
        pad_id: token that a shorter text is filled with.
    """

    causal_mask: Tensor | None

    def __init__(self, architecture: Architecture, state: Mapping[str, Tensor]) -> None:
        """Take the text side of a CLIP; the tensors of its whole state become the tower's own, not copies."""
        super().__init__()
        text = architecture.text()
        self.name, self.tokenizer = architecture.name, architecture.tokenizer
        self.token_embedding: nn.Embedding = text.token_embedding
        self.positional_embedding: nn.Parameter = text.positional_embedding
        self.transformer: Any = text.transformer
        self.ln_final: Any = text.ln_final
        self.text_projection: Any = text.text_projection
        self.context_length, self.width = (int(size) for size in self.positional_embedding.shape)
        self.projected_width = int(architecture.config["embed_dim"])
        self._pooling, self._end_id = str(text.pool_type), int(getattr(text, "eos_id", None) or 0)
        mask_LL = torch.full((self.context_length, self.context_length), float("-inf")).triu_(1)
        self.register_buffer("causal_mask", None if text.attn_mask is None else mask_LL, persistent=False)
        self.load_state_dict({key: state[key] for key in self.state_dict()}, assign=True)
        self.pad_id = int(self.tokenize([""])[0, -2])  # some tokenizers end a text by a token behind the padding

    @property
    def padding(self) -> Tensor:
        """Embedding of the padding token, float [T]."""
        return self.embed(torch.tensor(self.pad_id, device=self.token_embedding.weight.device))

    def tokenize(self, texts: Sequence[str], *, length: int | None = None) -> Tensor:
        """Return int64 [B, length] token ids, filled with padding; `length` is the context's where it is not given."""
        tokens = self.tokenizer(list(texts), context_length=length or self.context_length)
        return cast("Tensor", tokens.to(self.token_embedding.weight.device))

    def read_position(self, tokens: Tensor) -> int:
        """Return at which of its tokens, int64 [context_length], a text is read: its end-of-text token, or the last."""
        if self._pooling == "argmax":
            return int(tokens.argmax())
        if self._pooling == "eos":
            return int(tokens.eq(self._end_id).int().argmax())
        return len(tokens) - 1 if self._pooling == "last" else 0

    def run_length(self, position: int) -> int:
        """Return L for a text that is read at `position`: what a causal tower does not see is left out."""
        return self.context_length if self.causal_mask is None else position + 1

    def embed(self, tokens: Tensor) -> Tensor:
        """Return the embedding of each token id, int64 [B, L] to float [B, L, T], positions not added."""
        return cast("Tensor", self.token_embedding(tokens))

    def encode(self, embedded: Tensor, position: int) -> Tensor:
        """Return the text features, not normalised: float [B, E].

        `embedded` are float [B, L, T] from the first token on, L being `run_length(position)` (else UserError);
        positions are added here. All texts are read at the same `position`, that of their end-of-text tokens. In a
        training of several processes each encodes a part of the texts, and all get the features of all.
        """
        length, needed = embedded.shape[1], self.run_length(position)
        if not 0 <= position < length == needed <= self.context_length:
            raise UserError(
                f"A text of {length} tokens, read at token {position}, does not suit {self.name!r}: it takes {needed}, "
                f"and {self.context_length} at most, start and end included. Shorten the prompt."
            )
        if self.shared is not None and torch.is_grad_enabled():
            return self.shared.gathered(self._encoded(self.shared.own(embedded), position))
        return self._encoded(embedded, position)

    def _encoded(self, embedded: Tensor, position: int) -> Tensor:
        """Return the text features of texts of the right length."""
        length = embedded.shape[1]
        mask_LL = None if self.causal_mask is None else self.causal_mask[:length, :length].to(embedded.dtype)
        x_BLT = embedded + self.positional_embedding[:length].to(embedded.dtype)
        *blocks, last = self.transformer.resblocks
        if is_plain(last):
            for block in blocks:
                x_BLT = block(x_BLT, attn_mask=mask_LL)
            read_BT = token_after(last, x_BLT, position, mask_LL)
        else:
            read_BT = self.transformer(x_BLT, attn_mask=mask_LL)[:, position]
        return self._projected(self.ln_final(read_BT))

    def _projected(self, read_BT: Tensor) -> Tensor:
        if self.text_projection is None:
            return read_BT
        if isinstance(self.text_projection, nn.Linear):
            return cast("Tensor", self.text_projection(read_BT))
        return cast("Tensor", read_BT @ self.text_projection)


def both_towers(backbone: BackboneParameters, population: Population | None = None) -> tuple[ImageEncoder, TextEncoder]:
    """Build the image tower as `image_tower` does, and the text tower of the same weights, read once."""
    architecture = Architecture(backbone.name)
    architecture.require_prompts()
    _ = architecture.tokenizer  # without it there is no need to read weights
    settings = tower_settings(architecture, backbone, population)
    state = pretrained_state(architecture, backbone.pretrained, text=True)
    return build_tower(architecture, settings, state), TextEncoder(architecture, state)
