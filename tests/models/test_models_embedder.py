import json

import pytest
import torch
from torch import Tensor

from reid_pipeline.models.backbone import build_image_encoder
from reid_pipeline.models.embedder import Embedder, embedder_from_description
from reid_pipeline.models.heads import BNNeck, identity_classifier
from reid_pipeline.models.reid_model import ReIDModel
from reid_pipeline.schema.errors import UserError


@pytest.fixture
def model(demo_images: Tensor) -> ReIDModel:
    torch.manual_seed(0)
    encoder = build_image_encoder("demo-vit", image_size=(96, 48), num_cameras=3, patch_stride=6)
    encoder.pixel_mean = (0.5, 0.5, 0.5)
    encoder.sie_tokens, encoder.evaluation_resize = "all", "bilinear"
    model = ReIDModel(encoder)
    model.embed(demo_images, torch.tensor([0, 1, 2]))  # moves the running statistics
    with torch.no_grad():
        model.final_neck.norm.weight.uniform_(0.5, 2)
    return model


CAMIDS = torch.tensor([2, 0, 1])


def test_a_neck_trains_its_scale_and_not_its_shift() -> None:
    neck = BNNeck(5)
    assert neck.norm.weight.tolist() == [1.0] * 5
    assert neck.norm.bias.tolist() == [0.0] * 5
    out = neck(torch.randn(8, 5, generator=torch.Generator().manual_seed(0)) * 3 + 2)
    torch.testing.assert_close(out.mean(0), torch.zeros(5), atol=1e-6, rtol=0)
    out.square().sum().backward()
    optimiser = torch.optim.SGD([p for p in neck.parameters() if p.requires_grad], lr=1.0)
    optimiser.step()
    assert neck.norm.bias.grad is None
    assert not neck.norm.bias.any()
    assert not torch.equal(neck.norm.weight, torch.ones(5))


def test_the_classifier_has_no_bias_and_small_weights() -> None:
    torch.manual_seed(0)
    classifier = identity_classifier(320, 700)
    assert classifier.bias is None
    assert classifier.weight.shape == (700, 320)
    assert classifier.weight.std().item() == pytest.approx(0.001, rel=0.01)


def test_embedding_in_training_is_the_two_necked_features(model: ReIDModel, demo_images: Tensor) -> None:
    model.train()
    embedding = model.embed(demo_images, CAMIDS)
    features = model.encoder(demo_images, CAMIDS)
    assert embedding.shape == (3, model.encoder.embedding_width) == (3, 320)
    torch.testing.assert_close(embedding[:, :192], model.final_neck(features.final))
    torch.testing.assert_close(embedding[:, 192:], model.projected_neck(features.projected))
    assert embedding.requires_grad
    assert (embedding.norm(dim=1) > 2).all()


@pytest.mark.parametrize("neck", ["before", "after"])
def test_unit_rows_before_or_after_the_necks(model: ReIDModel, demo_images: Tensor, neck: str) -> None:
    model.neck = neck
    embedder = model.embedder()
    embedding = embedder(demo_images, CAMIDS)
    with torch.no_grad():
        features = model.encoder(demo_images, CAMIDS)
        raw = torch.cat([features.final, features.projected], 1)
        wanted = model.eval().embed(demo_images, CAMIDS) if neck == "after" else raw
    torch.testing.assert_close(embedding, wanted / wanted.norm(dim=1, keepdim=True), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(3))
    assert not embedding.requires_grad


def test_the_embedder_shares_weights_and_stays_in_eval_mode(model: ReIDModel, demo_images: Tensor) -> None:
    embedder = model.embedder()
    assert embedder.encoder is model.encoder
    model.train()
    before = model.final_neck.norm.running_mean.clone()
    embedder.train()
    embedder(demo_images, CAMIDS)
    assert torch.equal(model.final_neck.norm.running_mean, before)
    assert not embedder.training


@pytest.mark.parametrize("neck", ["before", "after"])
def test_a_rebuilt_embedder_is_the_same_to_the_bit(model: ReIDModel, demo_images: Tensor, neck: str) -> None:
    model.encoder.sie_coefficient = 3.0
    model.neck = neck
    embedder = model.embedder()
    description = json.loads(json.dumps(embedder.description()))
    state = {key: value.clone() for key, value in embedder.state_dict().items()}
    before = torch.get_rng_state()
    rebuilt = embedder_from_description(description, state)
    assert torch.equal(before, torch.get_rng_state())
    assert rebuilt.description() == embedder.description()
    assert rebuilt.encoder.pixel_mean == (0.5, 0.5, 0.5)
    assert (rebuilt.encoder.sie_tokens, rebuilt.encoder.evaluation_resize) == ("all", "bilinear")
    assert torch.equal(rebuilt(demo_images, CAMIDS), embedder(demo_images, CAMIDS))
    state["encoder.visual.proj"].zero_()
    assert torch.equal(rebuilt(demo_images, CAMIDS), embedder(demo_images, CAMIDS))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"num_cameras": 6}, r"'encoder.side_embedding' is \[3, 192\].*num_cameras: 6.*Change `num_cameras` or `num_v"),
        ({"num_cameras": 0}, r"'encoder.side_embedding' is \[3, 192\] in the weights, and absent with num_cameras: 0"),
        (
            {"image_size": [128, 64]},
            r"positional_embedding'.*image_size: \[128, 64\].*Change `image_size` or `patch_st",
        ),
        ({"patch_stride": 8}, r"positional_embedding'.*patch_stride: 8"),
        ({"neck": "before"}, r"'final_neck.norm.weight' is \[192\] in the weights, and absent.*Change `neck`"),
        ({"backbone": "ViT-B-32", "patch_stride": 32}, r"with backbone: ViT-B-32.*Change `backbone`"),
        ({"neck": "befor"}, r"neck 'befor' is not allowed. Did you mean 'before'"),
        ({"backbone": "demo-vti"}, "Unknown backbone 'demo-vti'"),
    ],
)
def test_a_mismatch_names_the_parameter(model: ReIDModel, change: dict[str, object], text: str) -> None:
    embedder = model.embedder()
    with pytest.raises(UserError, match=text):
        embedder_from_description(embedder.description() | change, embedder.state_dict())


def test_a_description_with_gaps(model: ReIDModel) -> None:
    embedder = Embedder(model.encoder)
    description = {k: v for k, v in embedder.description().items() if k not in ("image_size", "neck")}
    with pytest.raises(UserError, match="lacks image_size, neck"):
        embedder_from_description(description, embedder.state_dict())
