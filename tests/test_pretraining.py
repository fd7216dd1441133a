"""Pretraining of the demo CLIP: loss, towers, batches and schedule against references; a micro run."""

import hashlib
import math

import numpy as np
import pytest
import torch

from reid_drawings import CaptionedDrawings, draw_captioned
from reid_pipeline.models import build_image_encoder
from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.pretrained import pretrained_state, unpack_demo_state
from reid_pipeline.pretraining import (
    _without_padding,
    contrastive_loss,
    encode_resized,
    encode_text_prefix,
    epoch_batches,
    pretrain,
    rate_factor,
)
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import ContrastParameters

pytestmark = pytest.mark.slow

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
    """Two kinds, each in its own shape."""
    people = draw_captioned(CaptionedDrawings(seed=3, count=64, height=96, width=48), processes=1)
    animals = CaptionedDrawings(seed=3, count=48, height=72, width=72)
    pairs = {"people": people, "animals": draw_captioned(animals, kind="animals", processes=1)}
    return {kind: pair[0] for kind, pair in pairs.items()}, {kind: pair[1] for kind, pair in pairs.items()}


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


class TestShapes:
    def test_a_square_picture_is_encoded_as_the_encoder_of_square_pictures_does(self):
        clip = DEMO.clip().eval()
        clip.load_state_dict(pretrained_state(DEMO, "demo", text=True))
        images = torch.rand(3, 3, 72, 72, generator=torch.Generator().manual_seed(0)) * 2 - 1
        encoder = build_image_encoder("demo-vit", image_size=(72, 72), pretrained="demo").eval()
        with torch.no_grad():
            assert torch.allclose(encode_resized(clip, images), encoder.encode_image(images).projected, atol=1e-5)

    def test_the_native_shape_is_open_clips_own(self, clip):
        images = torch.rand(2, 3, 96, 48, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            assert torch.equal(encode_resized(clip, images), clip.encode_image(images))

    def test_gradients_reach_every_position_through_the_resize(self, clip):
        """Bilinear from 8 to 6 rows and 4 to 6 columns: the gradient is the transpose of the weights, restated here."""

        def weights(source, target):
            table = np.zeros((target, source))
            for row in range(target):
                place = min(max((row + 0.5) * source / target - 0.5, 0), source - 1)
                low = int(place)
                table[row, low] += 1 - (place - low)
                table[row, min(low + 1, source - 1)] += place - low
            return table

        tower, seen = clip.visual, []
        hook = tower.ln_pre.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        encode_resized(clip, torch.zeros(1, 3, 72, 72))
        hook.remove()
        cotangent = torch.randn(seen[0].shape[1:], generator=torch.Generator().manual_seed(0))
        (gradient,) = torch.autograd.grad((seen[0][0] * cotangent).sum(), tower.positional_embedding)
        grid = cotangent[1:].reshape(6, 6, -1).double().numpy()
        expected = np.einsum("ra,cb,rcw->abw", weights(8, 6), weights(4, 6), grid).reshape(32, -1)
        assert gradient[0] == pytest.approx(cotangent[0])
        assert np.abs(gradient[1:].double().numpy() - expected).max() < 1e-5
        assert tower.positional_embedding.shape == (33, 192), "the parameter stays as it is"


class TestBatches:
    COUNTS = {"people": 70, "vehicles": 33, "animals": 16}  # noqa: RUF012

    def test_a_batch_is_of_one_kind_and_an_epoch_shows_a_row_once(self):
        batches = list(epoch_batches(self.COUNTS, MICRO, 0))
        assert sorted(kind for kind, _ in batches) == [
            "animals",
            "people",
            "people",
            "people",
            "people",
            *["vehicles"] * 2,
        ]
        for kind, count in self.COUNTS.items():
            rows = np.concatenate([rows for name, rows in batches if name == kind])
            assert len(rows) == len(set(rows.tolist())) == count // 16 * 16
            assert set(rows.tolist()) <= set(range(count))
        assert all(len(rows) == 16 for _, rows in batches)

    def test_kinds_take_turns_in_an_order_of_seed_and_epoch(self):
        counts = {"people": 200, "animals": 200}
        first, again, later = (list(epoch_batches(counts, MICRO, epoch)) for epoch in (0, 0, 1))
        other = list(epoch_batches(counts, MICRO.model_copy(update={"seed": 9}), 0))
        orders = [[kind for kind, _ in batches] for batches in (first, again, later, other)]
        assert orders[0] == orders[1]
        assert orders[0] not in orders[2:]
        assert all((a[1] == b[1]).all() for a, b in zip(first, again, strict=True))
        changes = sum(a != b for a, b in zip(orders[0], orders[0][1:], strict=False))
        assert changes > 4, "not one kind after the other"


class TestMicroRun:
    def test_the_loss_falls(self, micro):
        _, measured = micro
        assert set(measured["epoch_losses"]) == {"people", "animals"}
        for first, last in measured["epoch_losses"].values():
            assert last < first
            assert first < math.log(16) * 2
        for figures in measured["held_out"].values():
            assert 0 <= figures["image_to_text_rank1"] <= 1
            assert math.isfinite(figures["loss"])

    def test_what_is_known_of_it(self, micro, drawn):
        _, measured = micro
        drawings, captions = drawn
        text = b"".join(drawings[kind].tobytes() + "\n".join(captions[kind]).encode() for kind in ("people", "animals"))
        assert measured["data_hash"] == hashlib.sha256(text).hexdigest()
        assert measured["drawings"] == {"people": 64, "animals": 48}

    def test_the_packed_weights_give_a_clip_again(self, micro, drawn):
        packed, measured = micro
        drawings, captions = drawn
        assert sum(tensor.numel() * tensor.element_size() for tensor in packed.values()) < 5_000_000
        clip = DEMO.clip()
        clip.load_state_dict(unpack_demo_state(packed))
        clip.eval()
        with torch.no_grad():
            images = torch.from_numpy(drawings["people"][-16:].astype(np.float32)).permute(0, 3, 1, 2)
            loss = contrastive_loss(
                clip.encode_image(images / 127.5 - 1),
                clip.encode_text(DEMO.tokenizer(captions["people"][-16:])),
                clip.logit_scale.exp(),
            )
        # Half precision: near, not equal.
        assert loss.item() == pytest.approx(measured["held_out"]["people"]["loss"], abs=0.02)

    def test_a_seed_gives_the_same_bits(self, drawn):
        short = MICRO.model_copy(update={"epochs": 1})
        first, _ = pretrain(*drawn, short)
        torch.manual_seed(7)
        again, _ = pretrain(*drawn, short)
        other, _ = pretrain(*drawn, short.model_copy(update={"seed": 2}))
        assert all(torch.equal(first[name], again[name]) for name in first)
        assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize(("held_out", "batch_size"), [(33, 16), (48, 16), (200, 2), (16, 33)])
def test_too_few_drawings_are_refused(drawn, held_out, batch_size):
    parameters = MICRO.model_copy(update={"held_out": held_out, "batch_size": batch_size})
    says = (
        rf"(64 drawings of people|48 drawings of animals) less contrast\.held_out {held_out} do not fill .*"
        rf" contrast\.batch_size {batch_size}\. Raise drawings\.(people|animals)\.count"
    )
    with pytest.raises(UserError, match=says):
        pretrain(*drawn, parameters)
