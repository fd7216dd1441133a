"""The text tower beside open_clip's own, which is built from the same configuration and has the same weights."""

from collections.abc import Callable
from pathlib import Path

import open_clip
import pytest
import torch
from huggingface_hub import constants
from text_towers import KINDS, listed, shrunken, words_of_folders
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from tower_examples import shipped_names

from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.backbone import build_image_encoder
from reid_pipeline.models.last_block import first_token_after, token_after
from reid_pipeline.models.pretrained import pretrained_state
from reid_pipeline.models.prompt_augmentation import mask_prompts
from reid_pipeline.models.prompts import PromptLearner
from reid_pipeline.models.text_encoder import TextEncoder, both_towers
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import BackboneParameters
from reid_pipeline.schema.population import Population

DEMO = Architecture("demo-vit")
PROMPT = "A photo of a X X X X person."
TEXTS = [PROMPT, "a dog", "two people in the red hall"]

Kind = Callable[[str], tuple[torch.nn.Module, Architecture]]


def encoded(text: TextEncoder, tokens: Tensor) -> Tensor:
    """Return the features of whole texts, each cut as its tower needs it."""
    features = []
    for row in tokens:
        position = text.read_position(row)
        features.append(text.encode(text.embed(row[None, : text.run_length(position)]), position))
    return torch.cat(features)


@pytest.fixture
def kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kind:
    """Make open_clip's model of a shrunken configuration, randomly initialised, and our architecture of its name."""

    def make(name: str) -> tuple[torch.nn.Module, Architecture]:
        config = shrunken(name, tmp_path)
        words_of_folders(monkeypatch)
        listed(monkeypatch, "shrunken", config)
        torch.manual_seed(0)
        custom = config.get("custom_text", False)
        build = open_clip.CustomTextCLIP if custom else open_clip.CLIP
        model = build(**{key: value for key, value in config.items() if key != "custom_text"}).eval()
        for parameter in model.parameters():  # biases and layer norms are as they were made else
            if parameter.ndim < 2:
                torch.nn.init.normal_(parameter, std=0.3)
        return model, Architecture("shrunken")

    return make


def with_words_for(prompts: PromptLearner, text: TextEncoder, words: str) -> Tensor:
    """Let the first identity's learnt vectors be those of four words, and return the tokens of that text."""
    whole = text.tokenize([prompts.text.replace("X X X X", words)])
    with torch.no_grad():
        prompts.learnt[0] = text.embed(whole[0, prompts.learnt_positions])
    return whole


@pytest.mark.parametrize("name", KINDS.values(), ids=KINDS)
def test_text_features_are_open_clips(name: str, kind: Kind) -> None:
    """For texts of several lengths, and for a prompt whose learnt vectors are plain words."""
    model, architecture = kind(name)
    text = TextEncoder(architecture, {key.removeprefix("text."): each for key, each in model.state_dict().items()})
    tokens = open_clip.get_tokenizer("shrunken")(TEXTS)
    torch.testing.assert_close(text.tokenize(TEXTS), tokens)
    prompts = PromptLearner(2, text, "person", generator=torch.Generator().manual_seed(0))
    plain = with_words_for(prompts, text, "dog red cat two")
    with torch.no_grad():
        torch.testing.assert_close(encoded(text, tokens), model.encode_text(tokens), atol=1e-5, rtol=1e-5)
        ours = text.encode(prompts(torch.tensor([0])), prompts.position)
        torch.testing.assert_close(ours, model.encode_text(plain), atol=1e-5, rtol=1e-5)
    assert ours.std() > 1e-2
    assert not torch.allclose(ours, encoded(text, tokens[:1]), atol=1e-3)


@pytest.mark.parametrize("name", ["ViT-B-16-quickgelu", "ViT-B-16-SigLIP2-256"])
def test_weights_load_from_either_form_of_names(name: str, kind: Kind, tmp_path: Path) -> None:
    """open_clip's plain CLIP has `token_embedding...`, the one with a text module `text.token_embedding...`."""
    model, architecture = kind(name)
    plain = {key.removeprefix("text."): each for key, each in model.state_dict().items()}
    images = ("visual.", "logit_")
    separate = {key if key.startswith(images) else f"text.{key}": each for key, each in plain.items()}
    separate["logit_scale"] = separate["logit_scale"].reshape(1)  # as some files have it
    for form in (plain, separate):
        torch.save(form, tmp_path / "clip.pt")
        found = pretrained_state(architecture, tmp_path / "clip.pt", text=True)
        assert found.keys() == plain.keys()
        assert all(torch.equal(found[key], each) for key, each in plain.items())


@pytest.fixture
def clip(demo_state: dict[str, Tensor]) -> torch.nn.Module:
    clip = DEMO.clip()
    clip.load_state_dict(demo_state)
    return clip


def test_padding_behind_the_end_changes_no_feature_and_no_gradient(clip: torch.nn.Module) -> None:
    """Twelve tokens of a causal tower give what open_clip's 77 give, in training mode too."""
    clip.double().train()
    text = TextEncoder(DEMO, {key: each.clone() for key, each in clip.state_dict().items()})
    tokens = text.tokenize([PROMPT])
    position = text.read_position(tokens[0])
    assert (position, text.run_length(position)) == (11, 12)
    embedded = text.embed(tokens[:, :12]).detach().requires_grad_()
    ours, theirs = text.encode(embedded, position), clip.encode_text(tokens)
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-12)
    for features in (ours, theirs):
        features.square().sum().backward()
    torch.testing.assert_close(embedded.grad.sum(0)[5:9].sum(0), clip.token_embedding.weight.grad[343])
    own = dict(text.named_parameters())
    for key, parameter in clip.named_parameters():
        if key in own and key != "token_embedding.weight":
            torch.testing.assert_close(own[key].grad, parameter.grad, atol=1e-9, rtol=1e-9)


def test_a_tower_that_is_not_causal_reads_the_padding(kind: Kind) -> None:
    model, architecture = kind("ViT-B-16-SigLIP2-256")
    text = TextEncoder(architecture, {key.removeprefix("text."): each for key, each in model.state_dict().items()})
    prompts = PromptLearner(1, text, "person", generator=torch.Generator())
    assert (prompts.length, prompts.position, text.pad_id) == (64, 63, 0)
    assert torch.equal(prompts.suffix[-1], text.padding)
    embedded = prompts(torch.tensor([0])).detach().requires_grad_()
    text.encode(embedded, 63).sum().backward()
    assert embedded.grad.abs().sum(2).gt(0).all(), "each of the 64 tokens has a part in the feature"
    masked = mask_prompts(embedded, torch.Generator().manual_seed(0))
    assert masked.eq(0).any(2).all(), "the mask of svll_reid is over the whole context, padding too"
    behind = torch.cat([embedded[:, :12], masked[:, 12:]], dim=1)
    assert not torch.allclose(text.encode(behind, 63), text.encode(embedded, 63), atol=1e-3)
    for cut in (63, 62):
        with pytest.raises(UserError, match=r"does not suit 'shrunken': it takes 64, and 64 at most"):
            text.encode(embedded[:, :cut], cut - 1)


def test_a_prompt_of_12_tokens_runs_12_and_the_last_block_one(clip: torch.nn.Module) -> None:
    text = TextEncoder(DEMO, clip.state_dict())
    shapes = []
    for block in text.transformer.resblocks:
        block.mlp.register_forward_pre_hook(lambda _, args: shapes.append(tuple(args[0].shape)))
    encoded(text, text.tokenize([PROMPT]))
    assert shapes == [(1, 12, 64), (1, 64)]


def test_a_short_prompt_takes_a_sixth_of_a_padded_ones_arithmetic(clip: torch.nn.Module) -> None:
    text = TextEncoder(DEMO, clip.state_dict())

    def operations(length: int) -> int:
        embedded = torch.randn(32, length, 64, requires_grad=True)
        with FlopCounterMode(display=False) as counter:
            text.encode(embedded, length - 1).sum().backward()
        return counter.get_total_flops()

    # 77 tokens for 12, and attention grows faster than the tokens; the last token's own work is alike.
    assert operations(77) > 6 * operations(12)


@pytest.mark.parametrize("position", [0, 3, 5])
def test_a_block_gives_one_token_as_it_gives_all(position: int) -> None:
    from open_clip.transformer import CustomResidualAttentionBlock, ResidualAttentionBlock

    torch.manual_seed(0)
    causal = torch.full((6, 6), float("-inf")).triu_(1)
    x = torch.randn(4, 6, 32)
    for block in (CustomResidualAttentionBlock(32, 4, qk_norm=True), ResidualAttentionBlock(32, 4, ls_init_value=0.1)):
        for mask in (causal, None):
            wanted = block(x, attn_mask=mask)[:, position]
            torch.testing.assert_close(token_after(block, x, position, mask), wanted, atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(first_token_after(block, x), block(x)[:, 0], atol=1e-6, rtol=1e-6)


def test_a_tower_of_custom_blocks_is_run_whole(kind: Kind, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = shrunken("ViT-B-16-quickgelu", tmp_path)
    config["text_cfg"] |= {"qk_norm": True, "scale_attn": True}
    listed(monkeypatch, "custom", config)
    torch.manual_seed(0)
    model = open_clip.CLIP(**config).eval()
    text = TextEncoder(Architecture("custom"), model.state_dict())
    tokens = text.tokenize(TEXTS)
    with torch.no_grad():
        torch.testing.assert_close(encoded(text, tokens), model.encode_text(tokens), atol=1e-5, rtol=1e-5)


class TomorrowsAttention(torch.nn.Module):
    """The attention of open_clip's main branch: its own module, which returns the tokens alone."""

    def __init__(self, own: torch.nn.MultiheadAttention) -> None:
        super().__init__()
        self.own = own

    def forward(self, x: Tensor, *, k_x: Tensor, v_x: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        return self.own(x, k_x, v_x, attn_mask=attn_mask, need_weights=False)[0]


def test_tomorrows_attention_is_called_by_what_all_versions_offer(
    clip: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    from open_clip.transformer import ResidualAttentionBlock

    def attention(self, q_x, k_x=None, v_x=None, attn_mask=None):
        k_x, v_x = q_x if k_x is None else k_x, q_x if v_x is None else v_x
        return self.attn(q_x, k_x=k_x, v_x=v_x, attn_mask=attn_mask)

    text = TextEncoder(DEMO, clip.state_dict())
    tokens = text.tokenize(TEXTS)
    with torch.no_grad():
        wanted = clip.encode_text(tokens)
        for block in text.transformer.resblocks:
            block.attn = TomorrowsAttention(block.attn)
        monkeypatch.setattr(ResidualAttentionBlock, "attention", attention)
        torch.testing.assert_close(encoded(text, tokens), wanted, atol=1e-6, rtol=1e-6)


def test_bfloat16_autocast_gives_features_close_to_the_exact(clip: torch.nn.Module) -> None:
    text = TextEncoder(DEMO, clip.state_dict())
    tokens = text.tokenize(TEXTS)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        rough = encoded(text, tokens)
    with torch.no_grad():
        torch.testing.assert_close(rough.float(), encoded(text, tokens), atol=0.1, rtol=0.1)


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
    assert not {"causal_mask", "padding"} & set(text.state_dict())
    assert all(p.requires_grad and p.device.type == "cpu" for p in (*image.parameters(), *text.parameters()))


def test_random_towers_follow_the_seed() -> None:
    def weights(seed: int) -> list[Tensor]:
        torch.manual_seed(seed)
        image, text = both_towers(BackboneParameters(name="demo-vit", image_size=(96, 48)))
        return [image.visual.proj, text.text_projection]

    assert all(torch.equal(*pair) for pair in zip(weights(1), weights(1), strict=True))
    assert not any(torch.equal(*pair) for pair in zip(weights(1), weights(2), strict=True))


def test_a_text_that_is_too_long(clip: torch.nn.Module) -> None:
    with pytest.raises(
        UserError, match=r"A text of 78 tokens, read at token 77, does not suit 'demo-vit'.* 77 at most"
    ):
        TextEncoder(DEMO, clip.state_dict()).encode(torch.zeros(1, 78, 64), 77)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("roberta-ViT-B-32", r"is a language model of the package transformers \(roberta-base\)"),
        ("nllb-clip-base-siglip", r"is a language model .*\(facebook/nllb-200-distilled-600M\)"),
        ("coca_ViT-B-32", r"is read at a token of its own behind the padding \(CoCa\)"),
    ],
)
def test_text_towers_that_cannot_have_prompts(name: str, reason: str) -> None:
    with pytest.raises(UserError, match=rf"{name}' {reason}.*networks serve, such as ViT-B-16-quickgelu, .*baseline"):
        both_towers(BackboneParameters(name=name))


SIGLIP = BackboneParameters(name="ViT-B-16-SigLIP2-256")


def test_a_tokenizer_whose_package_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(
        UserError, match=r"tokens of timm/ViT-B-16-SigLIP2-256.*`pip install transformers.*PE-Core-B-16"
    ):
        both_towers(SIGLIP)


def test_a_tokenizer_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words_of_folders(monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    told = r"tokenizer timm/ViT-B-16-SigLIP2-256 of .* not in the cache.*no download was tried.*`hf download timm/ViT-"
    with pytest.raises(UserError, match=f"{told}.*models--timm--ViT-B-16-SigLIP2-256"):
        both_towers(SIGLIP)


def test_a_folder_without_a_tokenizer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words_of_folders(monkeypatch)
    listed(monkeypatch, "shrunken", shrunken("ViT-B-16-SigLIP2-256", tmp_path))
    (tmp_path / "words.json").unlink()
    with pytest.raises(UserError, match=r"of 'shrunken' cannot be made: .* holds no tokenizer"):
        both_towers(BackboneParameters(name="shrunken"))


def test_every_network_is_served_or_refused_with_a_reason() -> None:
    """What the configurations say is what open_clip builds: no tower that would be read otherwise slips through."""
    from reid_pipeline.models.open_clip_lists import configs
    from reid_pipeline.models.text_configs import fault_of_text

    known = {name: config for name, config in configs().items() if name in shipped_names() and config["text_cfg"]}
    refused = {name for name, config in known.items() if fault_of_text(config)}
    families = ("coca", "mt5", "nllb", "roberta", "xlm-roberta")
    assert refused == {name for name in known if name.startswith(families)}
