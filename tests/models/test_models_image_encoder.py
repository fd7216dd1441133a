import warnings

import pytest
import torch
from torch import Tensor

from reid_pipeline.models.architecture import Architecture, stored_grid
from reid_pipeline.models.backbone import build_image_encoder
from reid_pipeline.models.image_encoder import ImageEncoder, TowerSettings
from reid_pipeline.models.positions import resize_positions
from reid_pipeline.models.towers import build_tower, class_token_vit
from reid_pipeline.models.towers._open_clip_vit import tokens
from reid_pipeline.models.towers._patches import token_grid
from reid_pipeline.schema.errors import UserError


def _encoder(**options: object) -> ImageEncoder:
    torch.manual_seed(0)
    return build_image_encoder("demo-vit", image_size=(96, 48), **options)


def test_open_clips_forward_is_our_projected_at_the_native_size(demo_images: Tensor) -> None:
    encoder = _encoder()
    for mode in (True, False):
        encoder.train(mode)
        torch.testing.assert_close(encoder(demo_images).projected, encoder.visual(demo_images), atol=1e-5, rtol=1e-5)


def test_saving_in_the_last_block_leaves_features_and_gradients_as_they_are(demo_images: Tensor) -> None:
    encoder = _encoder().double()
    images = demo_images.double()
    encoder(images).projected.square().sum().backward()
    ours = {key: value.grad for key, value in encoder.named_parameters()}
    encoder.zero_grad()
    encoder.visual(images).square().sum().backward()
    for key, value in encoder.named_parameters():
        torch.testing.assert_close(ours[key], value.grad, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_saving_in_the_last_block_changes_no_feature_and_no_gradient(
    monkeypatch: pytest.MonkeyPatch, demo_images: Tensor, dtype: torch.dtype, tolerance: float
) -> None:
    """All three features in the loss, against the whole last block, weights as after training."""
    encoder = build_image_encoder("demo-vit", pretrained="demo", image_size=(96, 48)).to(dtype)

    def run() -> tuple[list[Tensor], dict[str, Tensor]]:
        encoder.zero_grad()
        features = encoder(demo_images.to(dtype))
        sum(feature.square().mean() for feature in features).backward()
        return list(features), {key: value.grad.clone() for key, value in encoder.named_parameters()}

    saved, saved_gradients = run()
    calls = []

    def whole(block: torch.nn.Module, x: Tensor) -> Tensor:
        calls.append(block)
        return block(x)[:, 0]

    monkeypatch.setattr(class_token_vit, "first_token_after", whole)
    plain, plain_gradients = run()
    assert len(calls) == 1
    for ours, wanted in zip(saved, plain, strict=True):
        torch.testing.assert_close(ours, wanted, atol=tolerance, rtol=tolerance)
    for key, wanted in plain_gradients.items():
        torch.testing.assert_close(saved_gradients[key], wanted, atol=tolerance, rtol=tolerance)


def test_the_last_block_runs_its_mlp_on_one_token(demo_images: Tensor) -> None:
    encoder = _encoder()
    shapes = []
    for block in encoder.visual.transformer.resblocks:
        block.mlp.register_forward_pre_hook(lambda _, args: shapes.append(tuple(args[0].shape)))
    encoder(demo_images)
    assert shapes == [(3, 33, 192)] * 5 + [(3, 192)]


def test_the_saving_is_most_of_the_last_of_six_blocks(monkeypatch: pytest.MonkeyPatch, demo_images: Tensor) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    encoder = _encoder()

    def operations() -> int:
        with FlopCounterMode(display=False) as counter:
            encoder(demo_images)
        return counter.get_total_flops()

    saved = operations()
    monkeypatch.setattr(
        "reid_pipeline.models.towers.class_token_vit.first_token_after", lambda block, x: block(x)[:, 0]
    )
    assert 1.1 < operations() / saved < 6 / 5


def test_penultimate_and_final_are_the_class_token_of_the_last_two_blocks(demo_images: Tensor) -> None:
    encoder = _encoder().eval()
    seen: list[Tensor] = []
    hook = encoder.visual.transformer.resblocks[4].register_forward_hook(lambda *args: seen.append(args[2][:, 0]))
    with torch.no_grad():
        features = encoder(demo_images)
        hook.remove()
        whole = encoder.visual.transformer(tokens(encoder, demo_images, None))[:, 0]
    assert features.penultimate.shape == features.final.shape == (3, 192)
    assert features.projected.shape == (3, 128)
    assert torch.equal(features.penultimate, seen[0])
    torch.testing.assert_close(features.final, encoder.visual.ln_post(whole), atol=1e-5, rtol=1e-5)


def test_custom_blocks_take_the_long_way(demo_images: Tensor) -> None:
    custom = Architecture("demo-vit")
    custom.config["vision_cfg"] |= {"block_type": "custom", "qk_norm": True, "no_ln_pre": True, "layers": 2}
    settings = TowerSettings((96, 48), None, 0, 0, *custom.pixel_statistics(None))
    encoder = build_tower(custom, settings, custom.clip(text=False).state_dict())
    torch.testing.assert_close(encoder(demo_images).projected, encoder.visual(demo_images), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "camids", "viewids", "row"),
    [({"num_cameras": 4}, 3, None, 3), ({"num_views": 2}, None, 1, 1), ({"num_cameras": 4, "num_views": 2}, 3, 1, 7)],
)
def test_side_information_moves_the_class_token_only(
    demo_images: Tensor, options: dict[str, int], camids: int | None, viewids: int | None, row: int
) -> None:
    encoder = _encoder(**options)
    ids = [None if number is None else torch.full((3,), number) for number in (camids, viewids)]
    entered: list[Tensor] = []
    encoder.visual.ln_pre.register_forward_pre_hook(lambda _, args: entered.append(args[0]))
    encoder.sie_coefficient = 0.0
    encoder(demo_images, *ids)
    encoder.sie_coefficient = 2.0
    encoder(demo_images, *ids)
    difference = entered[1] - entered[0]
    assert encoder.side_embedding is not None
    torch.testing.assert_close(difference[:, 0], 2 * encoder.side_embedding[row].expand(3, -1))
    assert not difference[:, 1:].any()


def test_side_table_is_drawn_with_std_002() -> None:
    table = _encoder(num_cameras=20, num_views=8).side_embedding
    assert table is not None
    assert table.shape == (160, 192)
    assert table.std().item() == pytest.approx(0.02, rel=0.03)
    assert _encoder().side_embedding is None


def test_an_unseen_camera_gets_the_mean_and_a_warning(demo_images: Tensor) -> None:
    encoder = _encoder(num_cameras=4).eval()
    with torch.no_grad(), pytest.warns(UserWarning, match=r"Not seen in training: camera \[9\];"):
        unseen = encoder(demo_images, torch.tensor([0, 9, 1]))
    with torch.no_grad():
        nothing = encoder(demo_images)
        seen = encoder(demo_images, torch.tensor([0, 2, 1]))
        encoder.side_embedding[2] = encoder.side_embedding.mean(0)
        replaced = encoder(demo_images, torch.tensor([0, 2, 1]))
    torch.testing.assert_close(unseen.final, replaced.final, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(nothing.final[1], replaced.final[1], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(unseen.final[1], seen.final[1], atol=1e-4)


def test_the_warning_is_given_once_and_not_per_batch(demo_images: Tensor) -> None:
    encoder = _encoder(num_cameras=2, num_views=2).eval()
    zeros = torch.zeros(3, dtype=torch.long)
    with warnings.catch_warnings(record=True) as caught, torch.no_grad():
        warnings.simplefilter("always")
        for camera in (5, 6, -1):
            encoder(demo_images, torch.tensor([0, camera, 1]), zeros)
        encoder(demo_images, None, zeros)
        assert [str(warning.message).split(";")[0] for warning in caught] == ["Not seen in training: camera [5]"]
        encoder(demo_images, zeros, None)
        encoder(demo_images, zeros, zeros + 2)
    assert len(caught) == 2
    assert str(caught[1].message).startswith("No view is given, of 2 learnt ones; the mean")


def test_the_mean_is_over_what_is_unknown_alone() -> None:
    encoder = _encoder(num_cameras=3, num_views=2).eval()
    assert encoder.side_embedding is not None
    table = encoder.side_embedding.detach()  # rows: camera 0 view 0, camera 0 view 1, camera 1 view 0 ...
    with pytest.warns(UserWarning, match="Not seen in training"):
        side = encoder._side_information(
            torch.zeros(4, 3, 96, 48), torch.tensor([1, 7, 2, -1]), torch.tensor([1, 1, 9, -1])
        )
    assert side is not None
    wanted = [table[3], table[[1, 3, 5]].mean(0), table[[4, 5]].mean(0), table.mean(0)]
    torch.testing.assert_close(side.detach(), torch.stack(wanted))


def test_a_camera_of_the_table_that_no_training_image_showed_has_the_mean_of_those_that_were() -> None:
    encoder = _encoder(num_cameras=4, num_views=2)
    images = torch.rand(4, 3, 96, 48, generator=torch.Generator().manual_seed(2))
    encoder(images, torch.tensor([0, 2, 2, 3]), torch.tensor([0, 0, 1, 0]))  # never camera 1
    assert encoder.side_embedding is not None
    assert encoder.side_seen.tolist() == [True, False, False, False, True, True, True, False]
    table = encoder.side_embedding.detach()
    encoder.eval()
    asked = torch.tensor([1, 1, 0, 2, -1]), torch.tensor([0, 1, 1, 1, -1])
    with pytest.warns(UserWarning, match=r"Not seen in training: camera \[-1, 1\]"):
        side = encoder._side_information(torch.zeros(5, 3, 96, 48), *asked)
    assert side is not None
    first, second = table[[0, 4, 6]].mean(0), table[5]  # of the first view, and of the second
    wanted = [first, second, second, table[5], table[[0, 4, 5, 6]].mean(0)]
    torch.testing.assert_close(side.detach(), torch.stack(wanted))


def test_an_image_without_a_camera_in_training_marks_no_row() -> None:
    encoder = _encoder(num_cameras=3)
    images = torch.rand(2, 3, 96, 48, generator=torch.Generator().manual_seed(2))
    encoder(images, torch.tensor([-1, 2]))
    assert encoder.side_seen.tolist() == [False, False, True]


def test_side_information_on_every_token(demo_images: Tensor) -> None:
    encoder = _encoder(num_cameras=2)
    encoder.sie_tokens = "all"
    entered: list[Tensor] = []
    encoder.visual.ln_pre.register_forward_pre_hook(lambda _, args: entered.append(args[0]))
    cameras = torch.tensor([1, 0, 1])
    for coefficient in (0.0, 2.0):
        encoder.sie_coefficient = coefficient
        encoder(demo_images, cameras)
    assert encoder.side_embedding is not None
    wanted = 2 * encoder.side_embedding[cameras][:, None].expand(-1, 33, -1)
    torch.testing.assert_close(entered[1] - entered[0], wanted, atol=1e-6, rtol=1e-5)


def test_training_needs_the_cameras(demo_images: Tensor) -> None:
    with pytest.raises(UserError, match=r"`num_cameras: 4`\) and the batch names none.*backbone\.sie=none"):
        _encoder(num_cameras=4)(demo_images)


def test_images_of_another_size(demo_images: Tensor) -> None:
    with pytest.raises(UserError, match=r"images are \(90, 48\).*built for \(96, 48\).*`image_size` to \[90, 48\]"):
        _encoder()(demo_images[:, :, :90])


def test_freezing_the_patch_projection(demo_images: Tensor) -> None:
    encoder = _encoder()
    encoder.freeze_patch_projection()
    encoder(demo_images).final.sum().backward()
    assert [key for key, p in encoder.named_parameters() if not p.requires_grad] == ["visual.conv1.weight"]
    assert encoder.visual.conv1.weight.grad is None


def test_bfloat16_autocast_gives_finite_features(demo_images: Tensor) -> None:
    encoder = _encoder(num_cameras=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = encoder(demo_images, torch.tensor([0, 1, 0]))
    exact = encoder(demo_images, torch.tensor([0, 1, 0]))
    torch.testing.assert_close(features.final.float(), exact.final, atol=0.1, rtol=0.1)


def test_token_grids() -> None:
    assert token_grid((256, 128), (16, 16), 16) == (16, 8)
    assert token_grid((256, 128), (16, 16), 12) == (21, 10)
    assert token_grid((256, 256), (16, 16), 12) == (21, 21)
    assert stored_grid(73, (12, 6)) == (12, 6)
    assert stored_grid(577, (16, 16)) == (24, 24)
    assert stored_grid(578, (16, 16)) is None
    assert stored_grid(0, (16, 16)) is None


def test_resized_positions_by_hand() -> None:
    table = torch.tensor([[9.0], [0.0], [1.0], [2.0], [3.0]])
    resized = resize_positions(table, (2, 2), (4, 2))
    assert resized.flatten().tolist() == pytest.approx([9, 0, 1, 0.5, 1.5, 1.5, 2.5, 2, 3])
    assert resize_positions(table, (2, 2), (2, 2)) is table
