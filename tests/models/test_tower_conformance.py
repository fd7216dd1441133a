"""What every kind of image tower owes, asked of a shrunken network of each; a new kind needs no line here.

The networks are in `tests/tower_examples/`, a module for each module of `models/towers/`.
"""

import copy
import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from tower_examples import configurations, examples, forget_examples

from reid_pipeline.models import towers
from reid_pipeline.models.architecture import Architecture, Grid
from reid_pipeline.models.attention_maps import attention_maps, why_no_attention
from reid_pipeline.models.embedder import Embedder, embedder_from_description
from reid_pipeline.models.image_encoder import ImageEncoder, TowerSettings
from reid_pipeline.models.pretrained import pretrained_state
from reid_pipeline.models.towers import build_tower, tower_class, tower_kinds
from reid_pipeline.schema.errors import UserError

pytestmark = pytest.mark.slow

NAMES = [(kind, name) for kind, configs in configurations().items() for name in configs]
each_network = pytest.mark.parametrize(("kind", "name"), NAMES)
_STATES: dict[str, dict[str, Tensor]] = {}


@pytest.fixture(scope="module", autouse=True)
def known_networks() -> Iterator[None]:
    """open_clip lists the shrunken networks while these tests run."""
    examples()
    yield
    forget_examples()


def state_of(name: str) -> dict[str, Tensor]:
    """Random weights of a network, the same at each call; larger than they are sampled, so that all of them count."""
    if name not in _STATES:
        torch.manual_seed(len(_STATES))
        _STATES[name] = pretrained_state(Architecture(name), None)
        for key, value in _STATES[name].items():
            if value.is_floating_point() and not key.endswith("running_var"):
                value.add_(0.05 * torch.randn_like(value))
    return {key: value.clone() for key, value in _STATES[name].items()}


def own_size(name: str) -> Grid:
    side = Architecture(name).config["vision_cfg"]["image_size"]
    return side, side


def other_size(name: str) -> Grid:
    side, _ = own_size(name)
    return side * 3 // 2, side * 3 // 4


def built(name: str, size: Grid, stride: int | None = None, **options: Any) -> ImageEncoder:
    counts = [options.pop("num_cameras", 0), options.pop("num_views", 0)]
    settings = TowerSettings(size, stride, *counts, (0.5,) * 3, (0.5,) * 3, **options)
    return build_tower(Architecture(name), settings, state_of(name)).eval()


def images_of(size: Grid, count: int = 3) -> Tensor:
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(1))


def one_cell(name: str) -> ImageEncoder:
    """The tower for images of one patch; of patches that come from convolutions 16 x 16 pixels."""
    side = 16 if refusal(lambda: built(name, (8, 8))) else 8
    tower = built(name, (side, side))
    assert tower.grid_size == (1, 1)
    return tower


def takes_side_information(name: str) -> bool:
    refused = refusal(lambda: built(name, other_size(name), num_cameras=2))
    assert not refused or "Set backbone.sie=none (in Python num_cameras and num_views to 0; here 2 and 0)" in refused
    return not refused


def refusal(action: Callable[[], object]) -> str:
    """Return what a refusal says; nothing where there is none."""
    try:
        action()
    except UserError as error:
        return str(error)
    return ""


def test_every_kind_has_a_shrunken_network_and_every_network_is_of_its_kind() -> None:
    modules = {each.name for each in pkgutil.iter_modules(towers.__path__) if each.name[0] != "_"}
    assert set(configurations()) == modules
    assert len({kind.KIND for kind in tower_kinds()}) == len(modules)
    for kind, name in NAMES:
        assert tower_class(Architecture(name).visual(), name).__module__ == f"{towers.__name__}.{kind}"


@each_network
def test_three_features_of_the_widths_that_it_states(kind: str, name: str) -> None:
    del kind
    for size in (own_size(name), other_size(name)):
        tower = built(name, size)
        with torch.no_grad():
            features = tower.encode_image(images_of(size))
        assert features.penultimate.shape == (3, tower.penultimate_width)
        assert [tuple(each.shape) for each in features.retrieved] == [(3, width) for width in tower.retrieved_widths]
        assert (features.projected is features.final) is (not tower.projects)
        assert all(bool(torch.isfinite(each).all()) for each in features)
        assert all(float((each[0] - each[1]).abs().max()) > 1e-4 for each in features)


def theirs(name: str) -> Any:
    """open_clip's own image tower with these weights, built and run as it does, nothing adapted."""
    import open_clip

    config = open_clip.get_model_config(name)
    config["text_cfg"] |= {"vocab_size": 8, "context_length": 4}
    clip = open_clip.CLIP(**config)
    clip.load_state_dict({**clip.state_dict(), **state_of(name)})
    return clip.visual.eval()


@each_network
def test_projected_is_what_the_tower_gives_by_itself(kind: str, name: str) -> None:
    del kind
    own, images = theirs(name), images_of(own_size(name))
    tower = built(name, own_size(name))
    if any(tower.visual.state_dict()[key].shape != value.shape for key, value in own.state_dict().items()):
        own = tower.visual  # a ResNet's last stride, and with it the grid of its positions, is not its own
    with torch.no_grad():
        wanted, found = own(images), tower.encode_image(images).projected
    torch.testing.assert_close(found, wanted[0] if isinstance(wanted, tuple) else wanted, atol=1e-5, rtol=1e-5)


@each_network
def test_penultimate_is_what_enters_the_last_block_or_stage(kind: str, name: str) -> None:
    module, images = importlib.import_module(f"tower_examples.{kind}"), images_of(own_size(name))
    with torch.no_grad():
        wanted = module.penultimate(theirs(name), images)
        found = built(name, own_size(name)).encode_image(images).penultimate
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@each_network
def test_an_image_has_its_features_whatever_stands_beside_it(kind: str, name: str) -> None:
    del kind
    tower, images = built(name, other_size(name)), images_of(other_size(name))
    with torch.no_grad():
        together, alone = tower.encode_image(images), tower.encode_image(images[1:2])
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one[1:2], other, atol=1e-5, rtol=1e-5)


@each_network
def test_each_cell_can_be_read_alone_and_attention_is_followed_to_all_of_them(kind: str, name: str) -> None:
    """Where one cell is all that pooling reads, it has the feature of the image."""
    del kind
    tower, images = built(name, other_size(name)), images_of(other_size(name), 2)
    cells = tower.grid_size[0] * tower.grid_size[1]
    with torch.no_grad():
        alone, features = tower.encode_cells(images), tower.encode_image(images)
    assert [tuple(each.shape) for each in alone] == [(2, cells, width) for width in tower.retrieved_widths]
    if tower.pooling == "mean":
        single = one_cell(name)
        with torch.no_grad():
            wanted, found = (read(images_of(single.image_size)) for read in (single.encode_image, single.encode_cells))
        for one, other in zip(wanted.retrieved, found, strict=True):
            torch.testing.assert_close(other[:, 0], one, atol=1e-5, rtol=1e-5)
    if name in {"small-resnet", "small-fastvit", "small-swin"}:  # the mean of a map, with no norm behind it
        torch.testing.assert_close(alone[0].mean(1), features.final, atol=1e-5, rtol=1e-5)
    if why := why_no_attention(tower):
        assert (tower.pooling, tower.num_blocks) == ("map", 0)
        assert why == f"{name} ({tower.KIND}) has no attention from its output to the whole image"
        return
    maps = attention_maps(tower, images)
    assert maps is not None
    assert maps.grids.shape == (2, *tower.grid_size)
    assert bool((maps.grids > 0).all())
    assert bool((maps.grids.amax((1, 2)) > 1.0001 * maps.grids.amin((1, 2))).all()), "it says nothing"
    torch.testing.assert_close(maps.grids.sum((1, 2)) + maps.elsewhere, torch.ones(2))
    alone_in_batch = attention_maps(tower, images[1:])
    assert alone_in_batch is not None
    torch.testing.assert_close(alone_in_batch.grids, maps.grids[1:])


@each_network
def test_images_of_another_size_are_refused(kind: str, name: str) -> None:
    del kind
    with pytest.raises(UserError, match="the encoder was built for"):
        built(name, other_size(name)).encode_image(images_of(own_size(name)))
    with pytest.raises(UserError, match=r"image_size \[1, 1\] is not allowed"):
        built(name, (1, 1))


@each_network
def test_a_gradient_reaches_all_that_is_trained(kind: str, name: str) -> None:
    del kind
    tower = built(name, other_size(name), num_cameras=2 if takes_side_information(name) else 0).train()
    features = tower.encode_image(images_of(other_size(name)), torch.tensor([0, 1, 1]))
    sum((each * torch.randn_like(each)).sum() for each in features.distinct).backward()
    for key, each in tower.named_parameters():
        assert each.grad is not None or not each.requires_grad, key
    untouched = [key for key, each in tower.named_parameters() if each.requires_grad and not bool(each.grad.any())]
    own = theirs(name)
    output = own(images_of(own_size(name)))
    (output[0] if isinstance(output, tuple) else output).square().sum().backward()
    # What does not change its own output either: relative positions of the last block, where a class token is read.
    idle = {f"visual.{key}" for key, each in own.named_parameters() if each.grad is None or not bool(each.grad.any())}
    assert set(untouched) <= idle


@each_network
@pytest.mark.parametrize("device", ["cpu", "moved"])
def test_an_embedder_of_it_is_rebuilt_to_the_bit(kind: str, name: str, device: str) -> None:
    del kind
    counted = 2 if takes_side_information(name) else 0
    embedder = Embedder(built(name, other_size(name), num_cameras=counted), neck="after")
    images, cameras = images_of(other_size(name)), torch.tensor([0, 1, 1])
    again = embedder_from_description(embedder.description(), copy.deepcopy(embedder.state_dict()))
    if device == "moved":
        again = copy.deepcopy(again).to(torch.float64).to(torch.float32)
        again.load_state_dict(embedder.state_dict())
    wanted, found = embedder(images, cameras), again(images, cameras)
    assert not [key for key, each in again.named_buffers() if each.is_meta]
    assert device == "moved" or torch.equal(wanted, found)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-6)


@each_network
def test_side_information_changes_the_features_or_is_refused(kind: str, name: str) -> None:
    del kind
    if not takes_side_information(name):
        return
    images, first, second = images_of(other_size(name)), torch.tensor([0, 0, 0]), torch.tensor([1, 1, 1])
    for tokens in ("class", "all"):
        tower = built(name, other_size(name), num_cameras=2, sie_tokens=tokens)
        with torch.no_grad():
            tower.side_embedding.mul_(50)
            one, other = tower.encode_image(images, first), tower.encode_image(images, second)
            tower.sie_coefficient = 0.0
            without = tower.encode_image(images, first)
            plain = built(name, other_size(name)).encode_image(images)
        assert all(float((a - b).abs().max()) > 1e-3 for a, b in zip(one, other, strict=True))
        for found, wanted in zip(without, plain, strict=True):
            torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-6)


@each_network
def test_a_smaller_patch_stride_gives_more_tokens_or_is_refused(kind: str, name: str) -> None:
    del kind
    plain = built(name, other_size(name))
    if refused := refusal(lambda: built(name, other_size(name), 4)):
        assert f"patch_stride 4 is not allowed with {name!r}" in refused
        return
    tower = built(name, other_size(name), 4)
    height, width = other_size(name)
    assert plain.grid_size == (height // 8, width // 8)
    assert tower.grid_size == ((height - 8) // 4 + 1, (width - 8) // 4 + 1)
    images = images_of(other_size(name))
    with torch.no_grad():
        differences = [
            float((a - b).abs().max())
            for a, b in zip(tower.encode_image(images), plain.encode_image(images), strict=True)
        ]
    assert min(differences) > 1e-4
    with pytest.raises(UserError, match=r"patch_stride 9 is not allowed with .*: 1 to the patch size, 8"):
        built(name, other_size(name), 9)


@each_network
def test_the_patch_projection_can_be_frozen_or_that_is_refused(kind: str, name: str) -> None:
    del kind
    tower = built(name, other_size(name))
    if refused := refusal(tower.freeze_patch_projection):
        assert "has no patch projection to freeze" in refused
        return
    frozen = {key for key, each in tower.named_parameters() if not each.requires_grad}
    fixed = {key for key, each in built(name, other_size(name)).named_parameters() if not each.requires_grad}
    assert all(re.search("conv1|patch_embed|embeds.proj", key) for key in frozen - fixed)
    assert frozen - fixed


@each_network
def test_positions_of_another_grid_are_taken(kind: str, name: str) -> None:
    """A file whose network was trained at a larger size: its grid is known, and resized to this one."""
    del kind
    tower, state = built(name, own_size(name)), state_of(name)
    key = f"visual.{tower.POSITION_KEY}"
    if key not in state or tower.KIND == "ModifiedResNet":
        return
    cells = tower.grid_size[0] * tower.grid_size[1]
    special = state[key].shape[-2] - cells
    outer, width = state[key].shape[:-2], state[key].shape[-1]
    state[key] = torch.ones(*outer, special + 4 * cells, width) * torch.arange(width)
    settings = TowerSettings(other_size(name), None, 0, 0, (0.5,) * 3, (0.5,) * 3)
    larger = build_tower(Architecture(name), settings, state)
    held = larger.visual.get_parameter(larger.POSITION_KEY)
    assert held.shape[-2] == special + larger.grid_size[0] * larger.grid_size[1]
    torch.testing.assert_close(held.data, torch.ones_like(held) * torch.arange(width))
