import copy
import json
from pathlib import Path

import pytest
import torch
from resnet_format import SMALL_RESNET, plain_resnet_features, random_resnet_state
from safetensors.torch import save_file
from torch import Tensor

from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.backbone import build_image_encoder
from reid_pipeline.models.embedder import Embedder, embedder_from_description
from reid_pipeline.models.image_encoder import ImageEncoder
from reid_pipeline.models.pretrained import pretrained_state
from reid_pipeline.models.reid_model import ReIDModel
from reid_pipeline.models.towers.modified_resnet import ResNetEncoder
from reid_pipeline.schema.errors import UserError

pytestmark = pytest.mark.slow

NAME = "RN50-quickgelu"
State = dict[str, Tensor]


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> State:
    """OpenAI-format weights of a small ModifiedResNet, which goes by the name of RN50 for the test."""
    monkeypatch.setattr("reid_pipeline.models.architecture.model_config", lambda _: copy.deepcopy(SMALL_RESNET))
    shapes = {key: value.shape for key, value in Architecture(NAME).clip(device="meta").state_dict().items()}
    return random_resnet_state(shapes)


@pytest.fixture
def weights(state: State, tmp_path: Path) -> Path:
    torch.save(state, tmp_path / "RN.pt")
    return tmp_path / "RN.pt"


def _images(rows: int, columns: int, count: int = 2) -> Tensor:
    return torch.randn(count, 3, rows, columns, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("size", "grid"), [((256, 128), (16, 8)), ((224, 224), (14, 14)), ((112, 112), (7, 7)), ((63, 34), (4, 2))]
)
def test_features_equal_an_independent_computation(
    state: State, weights: Path, size: tuple[int, int], grid: tuple[int, int]
) -> None:
    encoder = build_image_encoder(NAME, pretrained=weights, image_size=size).eval()
    assert isinstance(encoder, ResNetEncoder)
    assert (encoder.penultimate_width, encoder.width, encoder.projected_width) == (64, 128, 24)
    assert encoder.embedding_width == 152
    assert encoder.patch_stride is None
    images = _images(*size)
    with torch.no_grad():
        features = encoder.encode_image(images)
    *expected, plain_grid = plain_resnet_features(state, images, last_stride=1, heads=2)
    assert encoder.grid_size == plain_grid == grid
    for feature, wanted in zip(features, expected, strict=True):
        assert feature.dtype == torch.float32
        torch.testing.assert_close(feature.double(), wanted, atol=2e-5, rtol=1e-5)


def test_the_independent_computation_is_open_clips_at_stride_2(state: State) -> None:
    from open_clip.modified_resnet import ModifiedResNet

    theirs = ModifiedResNet([2, 1, 1, 2], output_dim=24, heads=2, width=4).double().eval()
    theirs.load_state_dict({k.removeprefix("visual."): v for k, v in state.items() if k.startswith("visual.")})
    images = _images(224, 224)
    *_, projected, grid = plain_resnet_features(state, images, last_stride=2, heads=2)
    assert grid == (7, 7)
    with torch.no_grad():
        torch.testing.assert_close(theirs(images.double()), projected, atol=1e-10, rtol=1e-10)


def test_open_clips_own_forward_of_rn50_is_our_projected() -> None:
    torch.manual_seed(0)
    encoder = build_image_encoder(NAME, image_size=(96, 48)).eval()
    for key, parameter in encoder.named_parameters():
        if key.endswith("bn3.weight"):  # zero in a fresh network, which would hide every block
            torch.nn.init.ones_(parameter)
    assert (encoder.penultimate_width, encoder.width, encoder.projected_width) == (1024, 2048, 1024)
    images = _images(96, 48)
    with torch.no_grad():
        features = encoder(images)
        torch.testing.assert_close(features.projected, encoder.visual(images), atol=1e-5, rtol=1e-4)
    assert features.penultimate.shape == (2, 1024)
    assert features.final.shape == (2, 2048)


def test_one_query_in_the_attention_pool_leaves_gradients_as_they_are(weights: Path) -> None:
    encoder = build_image_encoder(NAME, pretrained=weights, image_size=(64, 32)).double()
    images = _images(64, 32, count=4).double()
    assert encoder.training
    encoder(images).projected.square().sum().backward()
    ours = {key: value.grad for key, value in encoder.named_parameters()}
    encoder.zero_grad()
    encoder.visual(images).square().sum().backward()
    for key, value in encoder.named_parameters():
        torch.testing.assert_close(ours[key], value.grad, atol=1e-8, rtol=1e-8)


def test_random_positions_are_resized_and_keep_the_mean_token(state: State) -> None:
    def positions(size: tuple[int, int]) -> Tensor:
        torch.manual_seed(0)
        return build_image_encoder(NAME, image_size=size).visual.attnpool.positional_embedding

    native, resized = positions((112, 112)), positions((256, 128))
    assert (native.shape, resized.shape) == ((50, 128), (129, 128))
    assert torch.equal(resized[0], native[0])
    torch.testing.assert_close(resized[[1, 8, -8, -1]], native[[1, 7, -7, -1]])  # corners stay
    assert resized.requires_grad


def test_batch_norms_learn_statistics_in_training_only(weights: Path) -> None:
    encoder = build_image_encoder(NAME, pretrained=weights, image_size=(64, 32))
    before = encoder.visual.bn1.running_mean.clone()
    encoder.eval()(_images(64, 32))
    assert torch.equal(encoder.visual.bn1.running_mean, before)
    encoder.train()(_images(64, 32))
    assert not torch.equal(encoder.visual.bn1.running_mean, before)


@pytest.mark.parametrize("neck", ["before", "after"])
def test_an_exported_resnet_is_the_same_to_the_bit(weights: Path, neck: str) -> None:
    encoder = build_image_encoder(NAME, pretrained=weights, image_size=(64, 32))
    model = ReIDModel(encoder, neck=neck)
    images = _images(64, 32, count=4)
    assert model.embed(images).shape == (4, 152)
    embedder = model.embedder()
    description = json.loads(json.dumps(embedder.description()))
    rebuilt = embedder_from_description(description, embedder.state_dict())
    assert isinstance(rebuilt.encoder, ResNetEncoder)
    assert rebuilt.encoder.embedding_width == 152
    assert torch.equal(rebuilt(images), embedder(images))
    with pytest.raises(UserError, match=r"attnpool.positional_embedding'.*image_size: \[128, 64\]"):
        embedder_from_description(description | {"image_size": [128, 64]}, embedder.state_dict())


def test_old_files_lack_the_counter_of_batch_norms(state: State, weights: Path, tmp_path: Path) -> None:
    counters = [key for key in state if key.endswith("num_batches_tracked")]
    assert counters
    torch.save({key: value for key, value in state.items() if key not in counters}, tmp_path / "old.pt")
    images = _images(64, 32)
    with torch.no_grad():
        old, new = (
            build_image_encoder(NAME, pretrained=path, image_size=(64, 32)).eval()(images)
            for path in (tmp_path / "old.pt", weights)
        )
    assert torch.equal(old.projected, new.projected)


def test_open_clips_formats_carry_resnets_too(state: State, tmp_path: Path) -> None:
    facts = ("input_resolution", "context_length", "vocab_size")
    full = {key: value.contiguous() for key, value in state.items() if key not in facts}
    save_file(full, tmp_path / "rn.safetensors")
    wrapped = {f"module.{key}": value for key, value in full.items()}
    torch.save({"epoch": 1, "state_dict": wrapped}, tmp_path / "epoch_1.pt")
    for file_name in ("rn.safetensors", "epoch_1.pt"):
        loaded = pretrained_state(Architecture(NAME), tmp_path / file_name, text=True)
        assert all(torch.equal(loaded[key], full[key].to(loaded[key].dtype)) for key in full)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"patch_stride": 12}, r"patch_stride 12 is not allowed with 'RN50-quickgelu'.*`patch_stride: null`"),
        ({"num_cameras": 6}, r"Side information is not allowed with 'RN50-quickgelu'.*a ResNet has none.*here 6 and 0"),
        ({"num_views": 2}, "Set backbone.sie=none .*here 0 and 2"),
        (
            {"image_size": (8, 64)},
            r"image_size \[8, 64\] is not allowed with 'RN50-quickgelu'.*the stride of the network, 16\.",
        ),
    ],
)
def test_what_a_resnet_does_not_have(state: State, options: dict[str, object], text: str) -> None:
    with pytest.raises(UserError, match=text):
        build_image_encoder(NAME, **options)


def test_a_resnet_has_no_patch_projection_to_freeze(state: State) -> None:
    with pytest.raises(UserError, match=r"no patch projection.*`freeze_patch_projection: false`"):
        build_image_encoder(NAME, image_size=(64, 32)).freeze_patch_projection()


def test_cameras_are_taken_and_not_read(weights: Path) -> None:
    encoder: ImageEncoder = build_image_encoder(NAME, pretrained=weights, image_size=(64, 32))
    embedder = Embedder(encoder)
    images = _images(64, 32)
    assert torch.equal(embedder(images, torch.tensor([0, 9]), torch.tensor([1, 1])), embedder(images))


def test_weights_of_another_resnet_name_the_one_they_look_like(tmp_path: Path) -> None:
    shapes = {key: value.shape for key, value in Architecture("RN101").clip(device="meta").visual.state_dict().items()}
    torch.save({f"visual.{key}": torch.empty(shape) for key, shape in shapes.items()}, tmp_path / "RN101.pt")
    with pytest.raises(UserError, match=r"not those of 'RN50-quickgelu'.*looks like RN101"):
        build_image_encoder(NAME, pretrained=tmp_path / "RN101.pt")
