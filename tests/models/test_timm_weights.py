"""Weights of towers by timm, from files: names, grids, what the file is of."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from tower_examples import examples, forget_examples

from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.backbone import build_image_encoder
from reid_pipeline.models.checkpoint_files import looks_like
from reid_pipeline.models.pretrained import pretrained_state
from reid_pipeline.schema.errors import UserError

pytestmark = pytest.mark.slow
NAMES = ("small-siglip", "small-eva02", "small-fastvit", "small-vitamin", "small-swin")


@pytest.fixture(scope="module", autouse=True)
def known_networks() -> Iterator[None]:
    """open_clip lists the shrunken networks while these tests run."""
    examples()
    yield
    forget_examples()


def random_state(name: str) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {key: value.contiguous() for key, value in pretrained_state(Architecture(name), None).items()}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_with_a_separate_text_module_is_read(name: str, tmp_path: Path) -> None:
    state = random_state(name)
    text = {
        "text.token_embedding.weight": torch.zeros(3, 2),
        "logit_scale": torch.zeros(1),
        "logit_bias": torch.zeros(1),
    }
    save_file({**state, **text}, tmp_path / "a.safetensors")
    torch.save({"state_dict": {f"module.{key}": value.half() for key, value in state.items()}}, tmp_path / "b.pt")
    torch.save({key.removeprefix("visual."): value for key, value in state.items()}, tmp_path / "alone.pt")
    for file, tolerance in (("a.safetensors", 0.0), ("b.pt", 1e-3), ("alone.pt", 0.0)):
        read = pretrained_state(Architecture(name), tmp_path / file)
        assert read.keys() == state.keys()
        for key, value in state.items():
            torch.testing.assert_close(read[key], value.to(read[key].dtype), atol=tolerance, rtol=tolerance)


def test_positions_of_another_grid_are_taken_from_a_file(tmp_path: Path) -> None:
    for name, special in (("small-siglip", 0), ("small-eva02", 1)):
        state = random_state(name)
        state["visual.trunk.pos_embed"] = torch.randn(1, special + 64, 32)
        torch.save(state, tmp_path / "a.pt")
        tower = build_image_encoder(name, pretrained=tmp_path / "a.pt", image_size=(64, 64))
        assert torch.equal(tower.visual.trunk.pos_embed.data, state["visual.trunk.pos_embed"])
        state["visual.trunk.pos_embed"] = torch.randn(1, special + 63, 32)
        torch.save(state, tmp_path / "b.pt")
        with pytest.raises(UserError, match=rf"'visual.trunk.pos_embed' is \[1, {special + 63}, 32\] in the file"):
            build_image_encoder(name, pretrained=tmp_path / "b.pt", image_size=(64, 64))


def test_a_file_of_another_network_says_which(tmp_path: Path) -> None:
    save_file(random_state("small-convnext"), tmp_path / "a.safetensors")
    with pytest.raises(UserError, match=r"The file looks like small-convnext. Set `backbone` to 'small-convnext'"):
        build_image_encoder("small-swin", pretrained=tmp_path / "a.safetensors", image_size=(64, 64))


def test_published_networks_of_timm_are_known_by_their_shapes() -> None:
    for name, wanted in (("PE-Core-S-16-384", 1), ("ViT-B-16-SigLIP2-384", 2)):
        built = Architecture(name).visual().state_dict()
        found = looks_like({f"visual.{key}": value for key, value in built.items()})
        assert name in found
        assert len(found) == wanted
    assert looks_like({"visual.trunk.unheard_of": torch.zeros(3)}) == []


@pytest.mark.parametrize(
    ("name", "tag", "mean", "std"),
    [
        ("ViT-B-16-SigLIP", "webli", 0.5, 0.5),
        ("PE-Core-B-16", "meta", 0.5, 0.5),
        ("MobileCLIP-S1", "datacompdr", 0.0, 1.0),
        ("ViT-H-14-CLIPA", "datacomp1b", 0.485, 0.229),
        ("EVA02-B-16", "merged2b_s8b_b131k", 0.48145466, 0.26862954),
    ],
)
def test_pixel_statistics_are_those_of_the_tag(name: str, tag: str, mean: float, std: float) -> None:
    (red_mean, _, _), (red_std, _, _) = Architecture(name).pixel_statistics(tag)
    assert (red_mean, red_std) == (mean, std)
