import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.pretrained import pretrained_state
from reid_pipeline.models.prompt_augmentation import _partial_permutation, mask_prompts, mix_prompts, swap_prompts
from reid_pipeline.models.prompts import PromptLearner
from reid_pipeline.models.text_encoder import TextEncoder
from reid_pipeline.schema.errors import UserError

DEMO = Architecture("demo-vit")


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def text(demo_state: dict[str, Tensor]) -> TextEncoder:
    return TextEncoder(DEMO, demo_state)


@pytest.mark.parametrize(
    ("noun", "count", "words"),
    [
        ("person", 4, [320, 1125, 539, 320, 343, 343, 343, 343, 2533, 269]),
        ("vehicle", 4, [320, 1125, 539, 320, 343, 343, 343, 343, 5299, 269]),
        ("person", 1, [320, 1125, 539, 320, 343, 2533, 269]),
    ],
)
def test_a_prompt_is_the_published_sentence_with_learnt_words(
    text: TextEncoder, noun: str, count: int, words: list[int]
) -> None:
    prompts = PromptLearner(5, text, noun, context_tokens=count, generator=_generator())
    assert prompts.text == f"A photo of a {' '.join(['X'] * count)} {noun}."
    tokens = torch.tensor([49406, *words, 49407])
    assert (prompts.length, prompts.learnt_positions) == (len(tokens), slice(5, 5 + count))
    labels = torch.tensor([4, 0, 4])
    embedded = prompts(labels)
    assert embedded.shape == (3, len(tokens), 64)
    assert prompts.position == len(tokens) - 1
    assert torch.equal(embedded[:, 5 : 5 + count], prompts.learnt[labels])
    fixed = text.embed(tokens)
    for row in embedded:
        assert torch.equal(row[:5], fixed[:5])
        assert torch.equal(row[5 + count :], fixed[5 + count :])


def test_with_the_words_themselves_learnt_it_is_clips_own_text(text: TextEncoder) -> None:
    prompts = PromptLearner(2, text, "person", generator=_generator())
    tokens = text.tokenize(["A photo of a red dog and cat person."])
    with torch.no_grad():
        prompts.learnt[1] = text.embed(tokens[0, 5:9])
        ours = text.encode(prompts(torch.tensor([1])), prompts.position)
        torch.testing.assert_close(ours, text.encode(text.embed(tokens[:, :12]), 11), atol=1e-6, rtol=1e-6)


def test_only_the_learnt_vectors_train(text: TextEncoder) -> None:
    prompts = PromptLearner(3, text, "person", generator=_generator())
    assert [key for key, _ in prompts.named_parameters()] == ["learnt"]
    assert set(prompts.state_dict()) == {"learnt", "prefix", "suffix"}
    text.requires_grad_(False)
    text.encode(prompts(torch.tensor([2, 0])), prompts.position).sum().backward()
    gradient = prompts.learnt.grad
    assert gradient[[0, 2]].any(dim=(1, 2)).all()
    assert not gradient[1].any()


def test_vectors_are_drawn_from_the_generator_with_std_002(text: TextEncoder) -> None:
    before = torch.get_rng_state()
    first, again, other = (PromptLearner(400, text, "person", generator=_generator(seed)).learnt for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (400, 4, 64)
    assert first.std().item() == pytest.approx(0.02, rel=0.02)
    assert first.mean().item() == pytest.approx(0, abs=5e-4)


@pytest.mark.parametrize("noun", ["person", "vehicle", "animal"])
def test_the_demo_clip_knows_the_prompts_of_what_it_was_pretrained_on(noun: str) -> None:
    text = TextEncoder(DEMO, pretrained_state(DEMO, "demo", text=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prompts = PromptLearner(2, text, noun, generator=_generator())
    assert prompts.prefix.any(1).all()
    assert prompts.suffix.any(1).all()


def test_the_demo_clip_does_not_know_the_prompt_of_another_noun() -> None:
    text = TextEncoder(DEMO, pretrained_state(DEMO, "demo", text=True))
    with pytest.warns(UserWarning, match="'demo-vit' have an all-zero embedding for castle: the prompt"):
        PromptLearner(2, text, "castle", generator=_generator())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_identities": 0}, "num_identities 0 is not allowed"),
        ({"context_tokens": 0}, "context_tokens 0 is not allowed"),
        ({"noun": " "}, "noun '' is not allowed"),
        ({"context_tokens": 70}, r"too many tokens for 'demo-vit'.*77 are allowed.*Lower `context_tokens`"),
    ],
)
def test_what_is_not_allowed(text: TextEncoder, options: dict[str, object], message: str) -> None:
    given = {"num_identities": 2, "noun": "person", "context_tokens": 4} | options
    with pytest.raises(UserError, match=message):
        PromptLearner(
            given["num_identities"], text, given["noun"], context_tokens=given["context_tokens"], generator=_generator()
        )


def _prompts(count: int, length: int = 12, width: int = 6) -> Tensor:
    return 1 + torch.rand(count, length, width, generator=_generator(9))


def test_mask_zeroes_single_components_everywhere() -> None:
    prompts = _prompts(200).requires_grad_()
    masked = mask_prompts(prompts, _generator(), probability=0.3)
    zero = masked == 0
    assert zero.float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert zero.float().mean((0, 2)).tolist() == pytest.approx([0.3] * 12, abs=0.06)
    assert torch.equal(masked[~zero], prompts[~zero])
    assert zero[:, 0].any(1).float().mean().item() > 0.8  # components, not whole tokens: 1 - 0.7 ** 6
    masked.sum().backward()
    assert torch.equal(prompts.grad, (~zero).float())


def test_mask_over_the_learnt_positions_only() -> None:
    prompts = _prompts(50)
    masked = mask_prompts(prompts, _generator(), positions=slice(5, 9))
    assert (masked[:, 5:9] == 0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert torch.equal(masked[:, :5], prompts[:, :5])
    assert torch.equal(masked[:, 9:], prompts[:, 9:])


def test_masked_padding_does_not_matter_to_the_text_feature(text: TextEncoder) -> None:
    """The released code masks 77 positions; 12 masked alike give the same feature."""
    full = text.embed(text.tokenize(["A photo of a X X X X person."])).detach()
    mask = torch.rand(full.shape, generator=_generator()) < 0.5
    causal = torch.full((77, 77), float("-inf")).triu_(1)
    with torch.no_grad():
        whole = text.transformer(full.masked_fill(mask, 0) + text.positional_embedding, attn_mask=causal)
        torch.testing.assert_close(
            text.ln_final(whole[:, 11]) @ text.text_projection,
            text.encode(full[:, :12].masked_fill(mask[:, :12], 0), 11),
            atol=1e-6,
            rtol=1e-6,
        )


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 20), low=st.floats(0, 1), high=st.floats(0, 1), seed=st.integers(0, 1000))
def test_swap_permutes_at_most_its_share(length: int, low: float, high: float, seed: int) -> None:
    low, high = min(low, high), max(low, high)
    prompts = torch.arange(3 * length).view(3, length, 1).expand(-1, -1, 2).float()
    swapped = swap_prompts(prompts, _generator(seed), share=(low, high))
    assert torch.equal(swapped.sort(dim=1).values, prompts)
    moved = (swapped != prompts).any(2).sum(1)
    assert (moved <= int(high * length + 1e-5)).all()  # shares are counted in single precision


def test_swap_takes_every_set_and_every_order_alike() -> None:
    """2 of 3 positions: 3 sets, each in place or exchanged: 1 / 2 unchanged, 1 / 6 for each exchange."""
    source = _partial_permutation(torch.full((12000, 1), 2), 3, _generator())
    shares = {
        tuple(row): count / 12000
        for row, count in zip(*[part.tolist() for part in source.unique(dim=0, return_counts=True)], strict=True)
    }
    wanted = {(0, 1, 2): 1 / 2, (0, 2, 1): 1 / 6, (1, 0, 2): 1 / 6, (2, 1, 0): 1 / 6}
    assert shares.keys() == wanted.keys()
    assert all(shares[row] == pytest.approx(share, abs=0.015) for row, share in wanted.items())


def test_swap_draws_its_share_between_the_bounds() -> None:
    prompts = torch.arange(1000.0).view(1, 1000, 1).expand(400, -1, -1)
    moved = (swap_prompts(prompts, _generator(), share=(0.3, 0.5)) != prompts).float().mean((1, 2))
    assert 0.29 < moved.min() < 0.31
    assert 0.49 < moved.max() <= 0.5
    fixed = (swap_prompts(prompts, _generator(), share=(0.3, 0.3)) != prompts).float().mean((1, 2))
    assert fixed.min() > 0.29


def test_swap_as_released_lets_padding_in() -> None:
    prompts = _prompts(300, length=12)
    padding = torch.full((6,), -1.0)
    swapped = swap_prompts(prompts, _generator(), share=(0.4, 0.4), padding=(77, padding))
    assert swapped.shape == prompts.shape
    entered = (swapped == padding).all(2)
    # int(0.4 * 77) = 30 of 77 positions take part; 65 of 77 tokens are padding.
    assert entered.float().mean().item() == pytest.approx(30 / 77 * 65 / 77, abs=0.02)
    for row, given_row in zip(swapped[:20], prompts[:20], strict=True):
        known = {tuple(token) for token in given_row.tolist()} | {tuple(padding.tolist())}
        assert {tuple(token) for token in row.tolist()} <= known


def test_mix_takes_its_share_from_another_identity() -> None:
    prompts = torch.arange(4.0).view(4, 1, 1).expand(-1, 12, 6)
    partners = [set() for _ in range(4)]
    for seed in range(60):
        mixed = mix_prompts(prompts, _generator(seed), share=0.25)
        drawn = (mixed - 0.75 * prompts) / 0.25
        for row in range(4):
            partners[row].add(round(drawn[row, 0, 0].item(), 4))
    assert partners == [{1, 2, 3}, {0, 2, 3}, {0, 1, 3}, {0, 1, 2}]


def test_mix_as_released_never_draws_the_last() -> None:
    prompts = torch.arange(4.0).view(4, 1, 1).expand(-1, 12, 6)
    drawn = torch.cat(
        [
            ((mix_prompts(prompts, _generator(seed), partner="released") - 0.7 * prompts) / 0.3)[:, 0, 0]
            for seed in range(60)
        ]
    )
    assert set(drawn.round(decimals=3).tolist()) == {0.0, 1.0, 2.0}
    assert torch.equal(mix_prompts(prompts[:1], _generator()), prompts[:1])


@pytest.mark.parametrize("augment", [mask_prompts, swap_prompts, mix_prompts])
def test_augmentations_are_pure(augment) -> None:
    prompts = _prompts(8)
    kept, before = prompts.clone(), torch.get_rng_state()
    generator = _generator(1)
    first, second, again = (augment(prompts, generator), augment(prompts, generator), augment(prompts, _generator(1)))
    assert torch.equal(prompts, kept)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, g: mask_prompts(x, g, probability=1.5), "probability 1.5 is not allowed"),
        (lambda x, g: swap_prompts(x, g, share=(0.5, 0.3)), r"share \[0.5, 0.3\] is not allowed"),
        (lambda x, g: mix_prompts(x, g, share=-0.1), "share -0.1 is not allowed"),
        (lambda x, g: mix_prompts(x, g, partner="last"), "partner 'last' is not allowed: 'other' or"),
    ],
)
def test_wrong_settings_of_an_augmentation(call, message: str) -> None:
    with pytest.raises(UserError, match=message):
        call(_prompts(2), _generator())
