from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.backbone import build_image_encoder
from reid_pipeline.models.last_block import causal_token_after
from reid_pipeline.models.pretrained import pretrained_state
from reid_pipeline.models.text_encoder import TextEncoder, both_towers
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import BackboneParameters
from reid_pipeline.schema.population import Population

DEMO = Architecture("demo-vit")
TEXTS = ["A photo of a X X X X person.", "a dog", "two people in the red hall"]


def encode_tokens(text: TextEncoder, tokens: Tensor) -> Tensor:
    """Return the features of whole texts, cut behind the last end-of-text token."""
    ends = tokens.argmax(1)
    return text.encode(text.embed(tokens[:, : int(ends.max()) + 1]), ends)


@pytest.fixture
def clip(demo_state: dict[str, Tensor]) -> torch.nn.Module:
    clip = DEMO.clip()
    clip.load_state_dict(demo_state)
    return clip


def test_text_features_are_open_clips(clip: torch.nn.Module) -> None:
    text = TextEncoder(DEMO, clip.state_dict())
    tokens = text.tokenize(TEXTS)
    assert tokens.shape == (3, 77)
    for mode in (True, False):
        clip.train(mode)
        with torch.no_grad():
            torch.testing.assert_close(encode_tokens(text, tokens), clip.encode_text(tokens), atol=1e-6, rtol=1e-6)
    text.double()
    with torch.no_grad():
        torch.testing.assert_close(
            encode_tokens(text, tokens), clip.double().encode_text(tokens), atol=1e-12, rtol=1e-12
        )


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 5e-6)])
def test_padding_behind_the_end_changes_no_feature_and_no_gradient(
    clip: torch.nn.Module, dtype: torch.dtype, tolerance: float
) -> None:
    text = TextEncoder(DEMO, clip.state_dict()).to(dtype)
    tokens = text.tokenize(TEXTS)
    ends = tokens.argmax(1)
    assert ends.tolist() == [11, 3, 7]

    def run(length: int) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        text.zero_grad()
        embedded = text.embed(tokens[:, :length]).detach().requires_grad_()
        features = text.encode(embedded, ends)
        features.square().sum().backward()
        gradients = {k: p.grad.clone() for k, p in text.named_parameters() if p.grad is not None}
        return features.detach(), embedded.grad, gradients

    short, full = run(12), run(77)
    torch.testing.assert_close(short[0], full[0], atol=tolerance, rtol=tolerance)
    assert not full[1][:, 12:].any()
    assert not short[1][1, 4:].any()
    gradients = [(short[1], full[1][:, :12]), *((short[2][key], wanted) for key, wanted in full[2].items())]
    for ours, wanted in gradients:  # tiny embeddings before a layer norm: their gradients run to thousands
        size = wanted.abs().max().clamp(min=1)
        torch.testing.assert_close(ours / size, wanted / size, atol=2 * tolerance, rtol=0)


def test_a_prompt_of_12_tokens_runs_12_and_the_last_block_one(clip: torch.nn.Module) -> None:
    text = TextEncoder(DEMO, clip.state_dict())
    shapes = []
    for block in text.transformer.resblocks:
        block.mlp.register_forward_pre_hook(lambda _, args: shapes.append(tuple(args[0].shape)))
    encode_tokens(text, text.tokenize(TEXTS))
    assert shapes == [(3, 12, 64), (3, 64)]


def test_a_short_prompt_takes_a_sixth_of_a_padded_ones_arithmetic(clip: torch.nn.Module) -> None:
    text = TextEncoder(DEMO, clip.state_dict())
    tokens = text.tokenize(TEXTS[:1] * 32)
    ends = tokens.argmax(1)

    def operations(length: int) -> int:
        embedded = text.embed(tokens[:, :length]).detach().requires_grad_()
        with FlopCounterMode(display=False) as counter:
            text.encode(embedded, ends).sum().backward()
        return counter.get_total_flops()

    # 77 tokens for 12, and attention grows faster than the tokens; the last token's own work is alike.
    assert operations(77) > 6 * operations(12)


def test_a_custom_block_is_run_whole_and_agrees() -> None:
    from open_clip.transformer import CustomResidualAttentionBlock, ResidualAttentionBlock

    torch.manual_seed(0)
    mask = torch.full((6, 6), float("-inf")).triu_(1)
    x, ends = torch.randn(4, 6, 32), torch.tensor([5, 0, 3, 2])
    for block in (CustomResidualAttentionBlock(32, 4, qk_norm=True), ResidualAttentionBlock(32, 4, ls_init_value=0.1)):
        wanted = block(x, attn_mask=mask)[torch.arange(4), ends]
        torch.testing.assert_close(causal_token_after(block, x, ends, mask), wanted, atol=1e-6, rtol=1e-6)


def test_bfloat16_autocast_gives_features_close_to_the_exact(clip: torch.nn.Module) -> None:
    text = TextEncoder(DEMO, clip.state_dict())
    tokens = text.tokenize(TEXTS)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        rough = encode_tokens(text, tokens)
    with torch.no_grad():
        torch.testing.assert_close(rough.float(), encode_tokens(text, tokens), atol=0.1, rtol=0.1)


def test_both_towers_from_one_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demo_state) -> None:
    from reid_pipeline.models import pretrained

    torch.save(demo_state, tmp_path / "clip.pt")
    reads = []

    def counted(path: Path) -> object:
        reads.append(path)
        return read(path)

    read = pretrained.read_checkpoint
    monkeypatch.setattr(pretrained, "read_checkpoint", counted)
    path = tmp_path / "clip.pt"
    given = {"name": "demo-vit", "pretrained": str(path), "image_size": (48, 48), "patch_stride": 6}
    backbone = BackboneParameters(**given, sie="camera", pixel_mean=None, pixel_std=None)
    torch.manual_seed(5)
    image, text = both_towers(backbone, Population(identities=5, cameras=3))
    assert len(reads) == 1
    torch.manual_seed(5)
    lone_image = build_image_encoder(**given, num_cameras=3)
    lone_text = TextEncoder(DEMO, pretrained_state(DEMO, path, text=True))
    for ours, wanted in ((image, lone_image), (text, lone_text)):
        state = ours.state_dict()
        assert state.keys() == wanted.state_dict().keys()
        assert all(torch.equal(state[key], value) for key, value in wanted.state_dict().items())
    assert (image.grid_size, image.num_cameras) == ((7, 7), 3)
    assert (text.width, text.projected_width, text.context_length) == (64, 128, 77)
    assert "causal_mask" not in text.state_dict()
    assert all(p.requires_grad and p.device.type == "cpu" for p in (*image.parameters(), *text.parameters()))


def test_random_towers_follow_the_seed() -> None:
    def weights(seed: int) -> list[Tensor]:
        torch.manual_seed(seed)
        image, text = both_towers(BackboneParameters(name="demo-vit", image_size=(96, 48)))
        return [image.visual.proj, text.text_projection]

    assert all(torch.equal(*pair) for pair in zip(weights(1), weights(1), strict=True))
    assert not any(torch.equal(*pair) for pair in zip(weights(1), weights(2), strict=True))


def test_a_text_that_is_too_long(clip: torch.nn.Module) -> None:
    with pytest.raises(UserError, match=r"A text of 78 tokens is too long for 'demo-vit': 77 are allowed"):
        TextEncoder(DEMO, clip.state_dict()).encode(torch.zeros(1, 78, 64), torch.tensor([77]))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ViT-L-14-worldwide", r"reads tokens of another make \(google/mt5-base\)"),
        ("roberta-ViT-B-32", r"tokens of another make \(roberta-base\)"),
        ("coca_base", "is not causal"),
    ],
)
def test_text_towers_that_cannot_have_prompts(name: str, text: str) -> None:
    with pytest.raises(UserError, match=f"{text}; prompts need CLIP's own.*ViT-B-16-quickgelu"):
        both_towers(BackboneParameters(name=name))
