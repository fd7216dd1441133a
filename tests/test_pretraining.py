"""Pretraining of the demo CLIP: loss, text tower and schedule against references; a micro run."""

import hashlib
import math

import numpy as np
import pytest
import torch

from reid_drawings import CaptionedDrawings, draw_captioned
from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.pretrained import unpack_demo_state
from reid_pipeline.pretraining import _without_padding, contrastive_loss, encode_text_prefix, pretrain, rate_factor
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import ContrastParameters

DEMO = Architecture("demo-vit")
CAPTIONS = [
    "a photo of a person",
    "a tall woman in a red striped coat with a green backpack, seen from behind",
    "shoes!",
    "!",
]
MICRO = ContrastParameters(
    seed=1, epochs=2, batch_size=16, learning_rate=1e-3, warmup_share=0.1, weight_decay=0.05, padding=2, held_out=16
)


@pytest.fixture(scope="module")
def clip():
    torch.manual_seed(0)
    return DEMO.clip().eval()


@pytest.fixture(scope="module")
def drawn():
    return draw_captioned(CaptionedDrawings(seed=3, count=80, height=96, width=48), processes=1)


@pytest.fixture(scope="module")
def micro(drawn):
    return pretrain(*drawn, MICRO)


class TestText:
    @torch.no_grad()
    def test_the_prefix_equals_open_clips_whole_text(self, clip):
        tokens = DEMO.tokenizer(CAPTIONS)
        short = _without_padding(tokens)
        assert short.shape[1] < 25 < tokens.shape[1]
        difference = encode_text_prefix(clip, short) - clip.encode_text(tokens)
        assert difference.abs().max() < 1e-5

    @pytest.mark.parametrize("caption", CAPTIONS)
    def test_nothing_of_a_caption_is_cut(self, caption):
        """Token 0 is both the padding and the exclamation mark."""
        tokens = DEMO.tokenizer([caption])
        short = _without_padding(tokens)
        assert short[0, -1] == tokens.max(), "it ends with the end-of-text token"
        assert (tokens[:, short.shape[1] :] == 0).all()

    @torch.no_grad()
    def test_gradients_reach_the_used_tokens_only(self, clip):
        with torch.enable_grad():
            tokens = _without_padding(DEMO.tokenizer(CAPTIONS[:2]))
            encode_text_prefix(clip, tokens).square().sum().backward()
        moved = clip.token_embedding.weight.grad.abs().sum(1).nonzero().flatten()
        assert set(moved.tolist()) <= set(tokens.flatten().tolist())
        assert len(moved) > 10
        clip.zero_grad()


class TestLoss:
    def test_against_a_loop(self):
        generator = torch.Generator().manual_seed(0)
        images, texts = (torch.randn(5, 7, generator=generator, dtype=torch.float64) for _ in range(2))
        scale = 3.7

        def unit(vector):
            return [value / math.sqrt(sum(x * x for x in vector)) for value in vector]

        rows, columns = [unit(v) for v in images.tolist()], [unit(v) for v in texts.tolist()]
        logits = [[scale * sum(a * b for a, b in zip(r, c, strict=True)) for c in columns] for r in rows]
        total = 0.0
        for i in range(5):
            total -= logits[i][i] - math.log(sum(math.exp(value) for value in logits[i]))
            total -= logits[i][i] - math.log(sum(math.exp(row[i]) for row in logits))
        assert contrastive_loss(images, texts, torch.tensor(scale, dtype=torch.float64)).item() == pytest.approx(
            total / 10, abs=1e-12
        )

    def test_images_that_all_look_alike_cost_the_logarithm_of_their_number(self):
        loss = contrastive_loss(torch.ones(8, 3), torch.ones(8, 3), torch.tensor(10.0))
        assert loss.item() == pytest.approx(math.log(8), abs=1e-6)


@pytest.mark.parametrize(
    ("share", "warmup", "factor"),
    [
        (0.0, 0.1, 0.0),
        (0.05, 0.1, 0.5),
        (0.1, 0.1, 1.0),
        (0.55, 0.1, 0.5),
        (0.325, 0.1, 0.5 * (1 + math.sqrt(0.5))),
        (1.0, 0.1, 0.0),
        (0.0, 0.0, 1.0),
        (0.5, 0.0, 0.5),
    ],
)
def test_rate_factor(share, warmup, factor):
    assert rate_factor(share, warmup) == pytest.approx(factor, abs=1e-12)


class TestMicroRun:
    @pytest.mark.slow
    def test_the_loss_falls(self, micro):
        _, measured = micro
        first, last = measured["epoch_losses"]
        assert last < first
        assert first < math.log(16) * 2
        assert 0 <= measured["held_out_image_to_text_rank1"] <= 1
        assert math.isfinite(measured["held_out_loss"])

    @pytest.mark.slow
    def test_what_is_known_of_it(self, micro, drawn):
        _, measured = micro
        drawings, captions = drawn
        text = drawings.tobytes() + "\n".join(captions).encode()
        assert measured["data_hash"] == hashlib.sha256(text).hexdigest()
        assert measured["drawings"] == 80

    def test_the_packed_weights_give_a_clip_again(self, micro, drawn):
        packed, measured = micro
        drawings, captions = drawn
        assert sum(tensor.numel() * tensor.element_size() for tensor in packed.values()) < 5_000_000
        clip = DEMO.clip()
        clip.load_state_dict(unpack_demo_state(packed))
        clip.eval()
        with torch.no_grad():
            images = torch.from_numpy(drawings[-16:].astype(np.float32)).permute(0, 3, 1, 2)
            loss = contrastive_loss(
                clip.encode_image(images / 127.5 - 1),
                clip.encode_text(DEMO.tokenizer(captions[-16:])),
                clip.logit_scale.exp(),
            )
        # Half precision: near, not equal.
        assert loss.item() == pytest.approx(measured["held_out_loss"], abs=0.02)

    @pytest.mark.slow
    def test_a_seed_gives_the_same_bits(self, drawn):
        short = MICRO.model_copy(update={"epochs": 1})
        first, _ = pretrain(*drawn, short)
        torch.manual_seed(7)
        again, _ = pretrain(*drawn, short)
        other, _ = pretrain(*drawn, short.model_copy(update={"seed": 2}))
        assert all(torch.equal(first[name], again[name]) for name in first)
        assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize(("held_out", "batch_size"), [(65, 16), (80, 16), (200, 2), (16, 65)])
def test_too_few_drawings_are_refused(drawn, held_out, batch_size):
    parameters = MICRO.model_copy(update={"held_out": held_out, "batch_size": batch_size})
    says = rf"80 drawings less contrast\.held_out {held_out} do not fill .* contrast\.batch_size {batch_size}"
    with pytest.raises(UserError, match=says):
        pretrain(*drawn, parameters)
