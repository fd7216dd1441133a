"""CLIP's text tower, fed with embedded tokens (methods.md, section 5).

The tower is causal: a token sees those before it and no others. A text is read at its end-of-text token, so
the padding behind it is never run: 12 tokens instead of 77 for "A photo of a X X X X person.".

Shape suffixes: B texts, L tokens, T width of the tower, E width of CLIP's joint space.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reid_pipeline.models.architecture import build_clip, build_visual_tower, native_grid, supported_config
from reid_pipeline.models.image_encoder import ImageEncoder, adapt_tower, load_tower
from reid_pipeline.models.last_block import causal_token_after
from reid_pipeline.models.position_grid import Grid
from reid_pipeline.models.pretrained import load_pretrained_clip_state, pixel_statistics
from reid_pipeline.schema.errors import UserError


class TextEncoder(nn.Module):
    """The text tower of one CLIP. Its parameters have open_clip's names.

    Attributes:
        name: its name in open_clip.
        width: width T of an embedded token.
        projected_width: width E of a text feature, that of `ImageFeatures.projected`.
        context_length: most tokens a text may have, start and end included.
        vocabulary: number of tokens.
    """

    def __init__(self, name: str, clip: Any) -> None:
        """Take the text side of `build_clip(name)`; its modules are shared, not copied.

        Raises:
            UserError: the tower is not causal, or its tokenizer is not CLIP's.
        """
        super().__init__()
        _require_plain_text(name)
        self.name = name
        self.token_embedding: nn.Embedding = clip.token_embedding
        self.positional_embedding: nn.Parameter = clip.positional_embedding
        self.transformer: Any = clip.transformer
        self.ln_final: Any = clip.ln_final
        self.text_projection: Any = clip.text_projection
        self.context_length, self.width = (int(size) for size in self.positional_embedding.shape)
        self.vocabulary = int(self.token_embedding.num_embeddings)
        self.projected_width = int(self.text_projection.shape[1])
        mask_LL = torch.full((self.context_length, self.context_length), float("-inf")).triu_(1)
        self.causal_mask: Tensor
        self.register_buffer("causal_mask", mask_LL, persistent=False)

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Return int64 [B, context_length] token ids: start, words, end, padding of 0."""
        import open_clip

        tokens_BL: Tensor = open_clip.get_tokenizer(self.name)(list(texts))
        return tokens_BL.to(self.token_embedding.weight.device)

    def embed(self, tokens: Tensor) -> Tensor:
        """Return the embedding of each token, float [B, L, T], positions not added.

        Args:
            tokens: Int64 [B, L] in 0..vocabulary-1.
        """
        embedded_BLT: Tensor = self.token_embedding(tokens)
        return embedded_BLT

    def encode(self, embedded: Tensor, end_positions: Tensor) -> Tensor:
        """Return the text features, not normalised: float [B, E].

        All L tokens given are run: leave out those behind the last end-of-text token, as `PromptLearner`
        and `encode_tokens` do. They change nothing. In the last block the end-of-text tokens alone are run.

        Args:
            embedded: float [B, L, T], embedded tokens from the start-of-text token on, L at most
                `context_length`; positions are added here.
            end_positions: Int64 [B] in 0..L-1, where the end-of-text token stands.

        Raises:
            UserError: more tokens than the tower has positions.
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
        features_BE: Tensor = end_BT @ self.text_projection
        return features_BE

    def encode_tokens(self, tokens: Tensor) -> Tensor:
        """Return the text features of token ids, not normalised: float [B, E], open_clip's `encode_text`.

        Args:
            tokens: Int64 [B, L], as `tokenize` returns them; the end-of-text token is the highest id.
        """
        end_positions_B = tokens.argmax(dim=1)
        return self.encode(self.embed(tokens[:, : int(end_positions_B.max()) + 1]), end_positions_B)

    def forward(self, embedded: Tensor, end_positions: Tensor) -> Tensor:
        """Do as `encode`."""
        return self.encode(embedded, end_positions)


def build_text_encoder(name: str, *, pretrained: str | Path | None = None) -> TextEncoder:
    """Return CLIP's text tower `name`.

    Args:
        name: as for `build_image_encoder`.
        pretrained: likewise.

    Returns:
        a module in training mode, on the CPU, float32.

    Raises:
        UserError: as `build_image_encoder`; also where the text tower is not CLIP's own.
    """
    _require_plain_text(name)
    return _text_tower(name, load_pretrained_clip_state(name, pretrained))


def build_encoders(
    name: str, *, pretrained: str | Path | None = None, image_size: Grid = (256, 128), **options: Any
) -> tuple[ImageEncoder, TextEncoder]:
    """Return both towers of one CLIP, its checkpoint read once.

    Args:
        name: as for `build_image_encoder`.
        pretrained: likewise.
        image_size: likewise.
        options: `patch_stride`, `num_cameras` and `num_views`, likewise.

    Returns:
        the towers that `build_image_encoder` and `build_text_encoder` return for the same weights.

    Raises:
        UserError: as these two.
    """
    _require_plain_text(name)
    state = load_pretrained_clip_state(name, pretrained)
    visual = build_visual_tower(supported_config(name), device="meta")
    native = native_grid(visual)
    encoder = adapt_tower(name, visual, image_size=image_size, **options)
    prefix = "visual."
    load_tower(encoder, {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}, native)
    encoder.pixel_mean, encoder.pixel_std = pixel_statistics(name, pretrained)
    return encoder, _text_tower(name, state)


def _text_tower(name: str, state: Mapping[str, Tensor]) -> TextEncoder:
    """Return the text tower with the weights of a whole CLIP's state; they are shared, not copied."""
    text = TextEncoder(name, build_clip(name, device="meta"))
    text.load_state_dict({key: state[key] for key in text.state_dict()}, assign=True)
    return text


def _require_plain_text(name: str) -> None:
    text = supported_config(name)["text_cfg"]
    foreign = text.get("hf_tokenizer_name")
    if foreign or text.get("embed_cls") or text.get("no_causal_mask"):
        reason = f"reads tokens of another make ({foreign})" if foreign else "is not causal"
        raise UserError(
            f"The text tower of {name!r} {reason}; prompts need CLIP's own. Set `backbone` to a plain CLIP "
            f"such as ViT-B-16-quickgelu."
        )
