from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.backbone import build_image_encoder
from reid_pipeline.models.pretrained import pack_demo_state, pretrained_state, unpack_demo_state
from reid_pipeline.schema.errors import UserError

State = dict[str, Tensor]
DEMO = Architecture("demo-vit")
ROWS = torch.tensor([49406, 320, 7, 49407, 320])


def test_the_packed_form_is_small_and_comes_back(demo_state: State) -> None:
    packed = pack_demo_state(demo_state, ROWS)
    assert packed["token_embedding.rows"].tolist() == [7, 320, 49406, 49407]
    assert packed["token_embedding.values"].shape == (4, 64)
    assert "token_embedding.weight" not in packed
    assert sum(t.numel() * t.element_size() for t in packed.values()) < 4.6e6
    state = unpack_demo_state(packed)
    DEMO.clip().load_state_dict(state)
    embedding = state.pop("token_embedding.weight")
    for key, value in state.items():
        torch.testing.assert_close(value, demo_state[key], atol=1e-3, rtol=1e-3)
    assert torch.equal(embedding[7], demo_state["token_embedding.weight"][7].half().float())
    assert set(embedding.any(1).nonzero().flatten().tolist()) == {7, 320, 49406, 49407}
    again = pack_demo_state(state | {"token_embedding.weight": embedding}, ROWS)
    assert all(torch.equal(again[key], packed[key]) for key in packed)


def test_what_cannot_be_packed(demo_state: State) -> None:
    with pytest.raises(ValueError, match=r"lie in 0..49407; got -1..7"):
        pack_demo_state(demo_state, torch.tensor([7, -1]))
    with pytest.raises(ValueError, match="Not finite in half precision: logit_scale"):
        pack_demo_state(demo_state | {"logit_scale": torch.tensor(1e6)}, ROWS)


def test_the_shipped_file_is_the_tag_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demo_state: State, demo_images: Tensor
) -> None:
    path = tmp_path / "demo_clip.safetensors"
    save_file(pack_demo_state(demo_state, ROWS), path)
    monkeypatch.setattr("reid_pipeline.models.pretrained.DEMO_WEIGHTS", path)
    clip = DEMO.clip().eval()
    clip.load_state_dict(pretrained_state(DEMO, "demo", text=True))
    encoder = build_image_encoder("demo-vit", pretrained="demo", image_size=(96, 48)).eval()
    with torch.no_grad():
        torch.testing.assert_close(encoder(demo_images).projected, clip.encode_image(demo_images), atol=1e-5, rtol=1e-5)


def test_an_absent_file_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reid_pipeline.models.pretrained.DEMO_WEIGHTS", tmp_path / "nothing")
    with pytest.raises(UserError, match=r"make them again with `kedro run --pipeline=pretrain_demo_clip`"):
        build_image_encoder("demo-vit", pretrained="demo")


def test_the_tokenizer_and_both_towers(demo_images: Tensor) -> None:
    tokens = DEMO.tokenizer(["a person in a red coat", "a dog"])
    assert tokens.shape == (2, 77)
    assert tokens[1, :4].tolist() == [49406, 320, 1929, 49407]
    clip = DEMO.clip()
    assert clip.encode_text(tokens).shape == (2, 128)
    assert clip.encode_image(demo_images).shape == (3, 128)
    assert clip.visual.image_size in ((96, 48), [96, 48])


def test_the_file_stays_below_its_limit_with_every_word_a_caption_may_use(demo_state: State) -> None:
    packed = pack_demo_state(demo_state, torch.arange(600))
    assert sum(tensor.numel() for tensor in packed.values()) < 2_400_000
    assert sum(tensor.numel() * tensor.element_size() for tensor in packed.values()) < 4.8e6
