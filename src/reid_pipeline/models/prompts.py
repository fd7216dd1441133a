"""Learnable prompts: "A photo of a X X X X person.", the X vectors of their own for each identity.

Methods.md, section 5; source: CLIP-ReID, AAAI 2023, section 3.2.

Shape suffixes: B prompts, L tokens that the text tower runs, N tokens of its context, T its width, C identities,
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
        length: L: up to the end-of-text token and with it, or with all padding where the tower is not causal.
        position: at which of the L tokens the tower reads a prompt.
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
        tokens_N = _tokens(text_encoder, self.text)
        first = _first_learnt(text_encoder, tokens_N, noun, context_tokens)
        self.learnt_positions = slice(first, first + context_tokens)
        self.position = text_encoder.read_position(tokens_N)
        self.length = text_encoder.run_length(self.position)
        fixed_L = torch.cat([tokens_N[:first], tokens_N[first + context_tokens : self.length]])
        with torch.no_grad():
            fixed_LT = text_encoder.embed(fixed_L).detach().clone()
        _warn_of_unknown_words(text_encoder, fixed_L[: self.position + 1 - context_tokens], fixed_LT)
        self.register_buffer("prefix", fixed_LT[:first])
        self.register_buffer("suffix", fixed_LT[first:])
        sampled_CMT = torch.randn(num_identities, context_tokens, text_encoder.width, generator=generator)
        self.learnt = nn.Parameter((0.02 * sampled_CMT).to(fixed_LT))

    def forward(self, labels: Tensor) -> Tensor:
        """Return prompts of labels, int64 [B] in 0..C-1, repeats allowed: embedded tokens, float [B, L, T]."""
        learnt_BMT = self.learnt[labels]
        prefix_BPT, suffix_BST = (part.expand(len(learnt_BMT), -1, -1) for part in (self.prefix, self.suffix))
        return torch.cat([prefix_BPT, learnt_BMT, suffix_BST], dim=1)


def _tokens(text_encoder: TextEncoder, text: str) -> Tensor:
    """Return the ids of a text, int64 [N], padding included; refuse one that is cut at the end of the context."""
    context, padding = text_encoder.context_length, text_encoder.pad_id
    row_N, longer = text_encoder.tokenize([text])[0], text_encoder.tokenize([text], length=2 * context)[0]
    if not torch.equal(row_N[row_N != padding], longer[longer != padding]):
        raise UserError(
            f"The prompt {text[:60]!r} has too many tokens for {text_encoder.name!r}: {context} are allowed, start and "
            f"end included. Lower `context_tokens`, or shorten `noun`."
        )
    return row_N


def _first_learnt(text_encoder: TextEncoder, tokens_N: Tensor, noun: str, count: int) -> int:
    """Return where the learnt tokens begin; a UserError if the tokenizer does not make one token of each X."""
    opening_N, bare_N = text_encoder.tokenize([_OPENING, f"{_OPENING} {noun}."])
    first = int((tokens_N != opening_N).int().argmax())
    learnt_M, others = tokens_N[first : first + count], torch.cat([tokens_N[:first], tokens_N[first + count :]])
    padding = text_encoder.pad_id
    if len(set(learnt_M.tolist())) > 1 or not torch.equal(others[others != padding], bare_N[bare_N != padding]):
        raise UserError(
            f"The tokenizer of {text_encoder.name!r} does not make one token of each X in a prompt, so that learnt "
            f"vectors cannot stand there. Set `backbone` to another network, such as ViT-B-16-quickgelu."
        )
    return first


def _warn_of_unknown_words(text_encoder: TextEncoder, tokens: Tensor, embedded_LT: Tensor) -> None:
    """Warn of words with an all-zero embedding: the demo CLIP stores those of its own captions only."""
    empty = tokens[~embedded_LT[: len(tokens)].any(dim=1)].tolist()
    if empty:
        decode = getattr(text_encoder.tokenizer, "tokenizer", text_encoder.tokenizer).decode
        words = [decode([token]).strip() for token in empty]
        warnings.warn(
            f"The weights of {text_encoder.name!r} have an all-zero embedding for {first_few(words)}: the "
            f"prompt stands without it. Use a `noun` the weights know, if the text is to say more.",
            stacklevel=3,
        )
