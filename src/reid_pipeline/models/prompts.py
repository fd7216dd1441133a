"""Learnable prompts: "A photo of a X X X X person.", the X vectors of their own for each identity.

Methods.md, section 5; source: CLIP-ReID, AAAI 2023, section 3.2.

Shape suffixes: B prompts, L tokens up to the end-of-text token, T width of the text tower, C identities,
M learnt tokens, P and S fixed tokens before and after them.
"""

import warnings

import torch
from torch import Tensor, nn

from reid_pipeline.models.text_encoder import TextEncoder
from reid_pipeline.schema.errors import UserError, first_few

_OPENING = "A photo of a"


class PromptLearner(nn.Module):
    """One prompt per identity, as embedded tokens. Its only parameter is `learnt`, float [C, M, T].

    The fixed tokens are in its state, so that stored prompts are whole without the vocabulary.

    Attributes:
        text: the prompt, with X where learnt vectors stand.
        length: L, tokens up to the end-of-text token and with it.
        learnt_positions: where in 0..L-1 the learnt tokens stand.
    """

    prefix: Tensor
    suffix: Tensor

    def __init__(
        self,
        num_identities: int,
        text_encoder: TextEncoder,
        noun: str,
        *,
        context_tokens: int = 4,
        generator: torch.Generator,
    ) -> None:
        """Sample M learnt vectors for each of C identities, normal with std 0.02; the text tower is not stored.

        `noun` is "person" or "vehicle", `context_tokens` is M, and `generator` is of the CPU.

        Raises:
            UserError: no identity, no learnt token, no noun, or a prompt longer than the tower's context.
        """
        super().__init__()
        for what, count in (("num_identities", num_identities), ("context_tokens", context_tokens)):
            if count < 1:
                raise UserError(f"{what} {count} is not allowed: at least 1. Correct `{what}`.")
        if not noun.strip():
            raise UserError("noun '' is not allowed: a word, such as 'person' or 'vehicle'. Correct `noun`.")
        self.text = f"{_OPENING} {' '.join('X' * context_tokens)} {noun}."
        before, whole = (_tokens(text_encoder, text) for text in (_OPENING, self.text))
        first = len(before) - 1  # the opening's own end-of-text token is not part of the prompt
        self.learnt_positions = slice(first, first + context_tokens)
        self.length = len(whole)
        fixed_L = [*whole[:first], *whole[first + context_tokens :]]
        with torch.no_grad():
            device = text_encoder.token_embedding.weight.device
            fixed_LT = text_encoder.embed(torch.tensor(fixed_L, device=device)).detach().clone()
        _warn_of_unknown_words(text_encoder, fixed_L, fixed_LT)
        self.register_buffer("prefix", fixed_LT[:first])
        self.register_buffer("suffix", fixed_LT[first:])
        sampled_CMT = torch.randn(num_identities, context_tokens, text_encoder.width, generator=generator)
        self.learnt = nn.Parameter((0.02 * sampled_CMT).to(fixed_LT))

    def forward(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return prompts of labels, int64 [B] in 0..C-1, repeats allowed, for `TextEncoder.encode`.

        Embedded tokens, float [B, L, T], with nothing after the end-of-text token, and its positions, int64 [B].
        """
        learnt_BMT = self.learnt[labels]
        prefix_BPT, suffix_BST = (part.expand(len(learnt_BMT), -1, -1) for part in (self.prefix, self.suffix))
        embedded_BLT = torch.cat([prefix_BPT, learnt_BMT, suffix_BST], dim=1)
        return embedded_BLT, torch.full((len(learnt_BMT),), self.length - 1, device=embedded_BLT.device)


def _tokens(text_encoder: TextEncoder, text: str) -> list[int]:
    """Return the ids of a text from the start-of-text to the end-of-text token; refuse one that would be cut."""
    row_L = text_encoder.tokenize([text])[0]
    ids: list[int] = row_L[: int(row_L.argmax()) + 1].tolist()
    if len(ids) == text_encoder.context_length:  # a cut text ends at the limit as well
        raise UserError(
            f"The prompt {text[:60]!r} has too many tokens for {text_encoder.name!r}: it must be below "
            f"{text_encoder.context_length}, start and end included. Lower `context_tokens`, or shorten `noun`."
        )
    return ids


def _warn_of_unknown_words(text_encoder: TextEncoder, ids: list[int], fixed_LT: Tensor) -> None:
    """Warn of words with an all-zero embedding: the demo CLIP stores those of its own captions only."""
    empty_L = (~fixed_LT.any(dim=1)).tolist()
    words = [text_encoder.tokenizer.decode([token]).strip() for token, empty in zip(ids, empty_L, strict=True) if empty]
    if words:
        warnings.warn(
            f"The weights of {text_encoder.name!r} have an all-zero embedding for {first_few(words)}: the "
            f"prompt stands without it. Use a `noun` the weights know, if the text is to say more.",
            stacklevel=3,
        )
