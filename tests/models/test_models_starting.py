"""A model that starts from an embedder embeds as it does before the first step; each difference is settled and said."""

import pytest
import torch
from torch import Tensor

from reid_pipeline.methods import find_method, method_names
from reid_pipeline.models.backbone import build_image_encoder
from reid_pipeline.models.embedder import Embedder
from reid_pipeline.models.image_encoder import ImageEncoder
from reid_pipeline.models.reid_model import ReIDModel
from reid_pipeline.models.starting import take_over
from reid_pipeline.models.supervised import SupervisedReIDModel
from reid_pipeline.schema.errors import UserError

pytestmark = pytest.mark.slow


def encoder(seed: int, size: tuple[int, int] = (48, 36), name: str = "demo-vit", **options: int) -> ImageEncoder:
    torch.manual_seed(seed)
    made = build_image_encoder(name, image_size=size, **options)
    for parameter in made.parameters():  # positions begin at nearly nothing
        parameter.data += 0.05 * torch.randn_like(parameter)
    return made


def images(size: tuple[int, int] = (48, 36)) -> Tensor:
    return torch.randn(3, 3, *size, generator=torch.Generator().manual_seed(4))


def started(source: Embedder, model: ReIDModel, *, same_cameras: bool = False) -> list[str]:
    return take_over(model, source, named="cell", same_cameras=same_cameras)


def trained_necks(embedder: Embedder) -> None:
    for neck in (embedder.final_neck, embedder.projected_neck):
        neck.norm.running_mean.normal_()
        neck.norm.running_var.uniform_(0.5, 2)
        neck.norm.weight.data.uniform_(0.5, 2)


@pytest.mark.parametrize("neck", ["before", "after"])
def test_before_the_first_step_it_embeds_as_its_source(neck: str) -> None:
    source, model = Embedder(encoder(0), neck=neck), ReIDModel(encoder(1), neck=neck)
    if neck == "after":
        trained_necks(source)
    assert started(source, model) == (["necks: taken over with their statistics"] if neck == "after" else [])
    torch.testing.assert_close(model.embedder()(images()), source(images()), atol=1e-6, rtol=0)
    with torch.no_grad():  # nothing is shared
        model.encoder.visual.proj.add_(1)
    assert not torch.equal(model.encoder.visual.proj, source.encoder.visual.proj)


def test_a_resnet_is_taken_over_with_its_statistics() -> None:
    source, model = Embedder(encoder(0, (32, 32), "RN50")), ReIDModel(encoder(1, (32, 32), "RN50"), neck="before")
    source.encoder.visual.bn1.running_mean.normal_()
    started(source, model)
    torch.testing.assert_close(model.embedder()(images((32, 32))), source(images((32, 32))), atol=1e-6, rtol=0)


@pytest.mark.parametrize("tokens", ["class", "all"])
def test_without_its_cameras_it_embeds_as_the_source_does_where_it_knows_none(tokens: str) -> None:
    given = encoder(0, num_cameras=3)
    given.sie_coefficient, given.sie_tokens = 0.5, tokens
    given.side_seen[:2] = True
    source, model = Embedder(given), ReIDModel(encoder(1), neck="before")
    (line,) = started(source, model)
    part = "class token" if tokens == "class" else "positions"
    assert line == f"side information of 3 cameras and 0 viewpoints: left out; its mean is a part of the {part}"
    with pytest.warns(UserWarning, match="Not seen in training"):
        expected = source(images(), torch.tensor([7, 7, 7]))
    torch.testing.assert_close(model.embedder()(images()), expected, atol=1e-6, rtol=0)


def test_cameras_of_the_same_benchmark_are_taken_over() -> None:
    given = encoder(0, num_cameras=3)
    given.side_seen[:] = True
    source, camids = Embedder(given), torch.tensor([0, 2, 1])
    same, other = (ReIDModel(encoder(1, num_cameras=3), neck="before") for _ in range(2))
    assert started(source, same, same_cameras=True) == ["side information of 3 cameras and 0 viewpoints: taken over"]
    torch.testing.assert_close(same.embedder()(images(), camids), source(images(), camids), atol=1e-6, rtol=0)
    assert started(source, other)[0].endswith("; that of this run begins anew")
    fresh = ReIDModel(encoder(1, num_cameras=3), neck="before")
    assert started(Embedder(encoder(0)), fresh) == ["side information: it has none; that of this run begins anew"]


def test_size_stride_pixels_and_parts_that_differ_are_said() -> None:
    given = encoder(0, (96, 48))
    given.pixel_mean, given.pixel_std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
    own = encoder(1, (48, 48), patch_stride=9)
    own.pixel_mean, own.pixel_std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    model = SupervisedReIDModel(own, 4, neck="after")
    assert started(Embedder(given), model) == [
        "input: trained on images of 96 x 48, stride 12; its positions are resized from 8 x 4 to 5 x 5",
        "pixels: normalised with this run's mean (0.5, 0.5, 0.5) and std (0.5, 0.5, 0.5); for those of its own training"
        " give backbone.pixel_std=[0.25, 0.25, 0.25]",
        "necks: begin anew; its embedding is read before them",
        "begin anew: classifiers",
    ]
    rows = given.visual.positional_embedding.detach()
    grid = rows[1:].T.reshape(1, -1, 8, 4)
    expected = torch.nn.functional.interpolate(grid, size=(5, 5), mode="bilinear", align_corners=False)
    resized = own.visual.positional_embedding.detach()
    torch.testing.assert_close(resized[1:], expected.reshape(-1, 25).T, atol=1e-6, rtol=0)
    assert torch.equal(resized[0], rows[0])
    after = Embedder(encoder(0), neck="after")
    assert started(after, ReIDModel(encoder(1), neck="before")) == [
        "necks: left out; this run's embedding is read before them"
    ]


def test_another_tower_is_refused_by_both_names() -> None:
    with pytest.raises(UserError, match=r"init_from cell has the tower RN50, and this run has demo-vit: .*name=RN50"):
        started(Embedder(encoder(0, (32, 32), "RN50")), ReIDModel(encoder(1)))


@pytest.mark.parametrize("name", method_names())
def test_a_method_says_whether_it_reads_text(name: str) -> None:
    assert find_method(name).reads_text == any(field == "prompts" for field in find_method(name).params.model_fields)
