"""Attention rollout against loops over weights that are computed by hand from queries and keys."""

import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from tower_examples import examples, forget_examples

from reid_pipeline.evaluation.attention_and_similarity import attended_images
from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.attention_maps import AttentionRecorder, attention_maps, rollout, why_no_attention
from reid_pipeline.models.embedder import Embedder
from reid_pipeline.models.image_encoder import ImageEncoder, TowerSettings
from reid_pipeline.models.pretrained import pretrained_state
from reid_pipeline.models.towers import build_tower

SIZE = (32, 16)


@pytest.fixture(scope="module", autouse=True)
def known_networks() -> Iterator[None]:
    examples()
    yield
    forget_examples()


def tower_of(name: str, size: tuple[int, int] = SIZE) -> ImageEncoder:
    torch.manual_seed(0)
    state = pretrained_state(Architecture(name), None)
    for key, value in state.items():
        if value.is_floating_point() and not key.endswith("running_var"):
            value.add_(0.1 * torch.randn_like(value))
    return build_tower(Architecture(name), TowerSettings(size, None, 0, 0, (0.5,) * 3, (0.5,) * 3), state).eval()


def by_hand(attention: nn.MultiheadAttention, x_LD: Tensor) -> list[list[float]]:
    """The mean over heads of softmax(q k^T / sqrt(K)), pair by pair."""
    width, heads = x_LD.shape[1], attention.num_heads
    size, tokens = width // heads, len(x_LD)
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    query, key = (x_LD @ weight[part].T + bias[part] for part in (slice(0, width), slice(width, 2 * width)))
    mean = [[0.0] * tokens for _ in range(tokens)]
    for head in range(heads):
        own = slice(head * size, (head + 1) * size)
        for row in range(tokens):
            exponents = [
                math.exp(float(query[row, own] @ key[other, own]) / math.sqrt(size)) for other in range(tokens)
            ]
            for other in range(tokens):
                mean[row][other] += exponents[other] / sum(exponents) / heads
    return mean


def slow_rollout(layers: list[list[list[float]]]) -> list[list[float]]:
    """Abnar & Zuidema's product, from the first layer to the last."""
    tokens = len(layers[0])
    product = [[float(row == other) for other in range(tokens)] for row in range(tokens)]
    for layer in layers:
        mixed = [[layer[row][other] + (row == other) for other in range(tokens)] for row in range(tokens)]
        mixed = [[value / sum(row) for value in row] for row in mixed]
        product = [
            [sum(mixed[row][middle] * product[middle][other] for middle in range(tokens)) for other in range(tokens)]
            for row in range(tokens)
        ]
    return product


@torch.no_grad()
def layers_of(tower: ImageEncoder, image: Tensor) -> list[list[list[float]]]:
    """What each block's attention is, with the tokens made step by step."""
    visual = tower.visual
    patches = visual.conv1(image).flatten(2).transpose(1, 2)
    x = torch.cat([visual.class_embedding.expand(1, 1, -1), patches], dim=1)
    x = visual.ln_pre(x + visual.positional_embedding)
    layers = []
    for block in visual.transformer.resblocks:
        layers.append(by_hand(block.attn, block.ln_1(x)[0]))
        x = block(x)
    return layers


@pytest.mark.parametrize("name", ["small-vit", "small-vit-scaled"])
def test_the_class_tokens_row_of_a_slow_rollout(name: str) -> None:
    tower, images = tower_of(name), torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    found = attention_maps(tower, images)
    assert found is not None
    for image, grid, elsewhere in zip(images, found.grids, found.elsewhere, strict=True):
        whole = slow_rollout(layers_of(tower, image[None]))
        assert all(math.isclose(sum(row), 1.0, abs_tol=1e-6) for row in whole)
        own, *patches = whole[0]
        assert float(elsewhere) == pytest.approx(own, abs=1e-5)
        assert grid.flatten().tolist() == pytest.approx(patches, abs=1e-5)
        assert max(patches) > 1.01 * min(patches)


def test_a_mean_of_patches_is_the_mean_of_their_rows() -> None:
    name = next(name for name in examples()["average_pooled_vit"] if tower_of(name, (32, 32)).pooling == "mean")
    tower, image = tower_of(name), torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    found = attention_maps(tower, image)
    assert found is not None
    whole = slow_rollout(layers_of(tower, image))
    mean = [sum(row[column] for row in whole[1:]) / (len(whole) - 1) for column in range(len(whole))]
    assert [float(found.elsewhere), *found.grids.flatten().tolist()] == pytest.approx(mean, abs=1e-5)


def test_a_resnets_pool_has_the_weights_of_its_own_query_and_keys() -> None:
    tower, image = tower_of("small-resnet", (64, 32)), torch.randn(1, 3, 64, 32)
    found = attention_maps(tower, image)
    pool = tower.visual.attnpool
    with torch.no_grad():
        cells = tower.visual.layer4(tower._third(image)).flatten(2)[0].T  # type: ignore[attr-defined]
        tokens = torch.cat([cells.mean(0, keepdim=True), cells]) + pool.positional_embedding
        size = tokens.shape[1] // pool.num_heads
        query, key = pool.q_proj(tokens[0]), pool.k_proj(tokens)
        rows = [
            torch.softmax(key[:, own] @ query[own] / math.sqrt(size), 0)
            for own in (slice(head * size, (head + 1) * size) for head in range(pool.num_heads))
        ]
    wanted = torch.stack(rows).mean(0)
    assert found is not None
    torch.testing.assert_close(torch.cat([found.elsewhere, found.grids.flatten()]), wanted, atol=1e-6, rtol=1e-5)


def test_a_rollout_of_two_tokens_by_hand() -> None:
    """Half of each row is the residual: [[.75, .25], [.1, .9]], then [[.6, .4], [.3, .7]]; the last times the first."""
    first = torch.tensor([[[0.5, 0.5], [0.2, 0.8]]])
    last = torch.tensor([[[0.2, 0.8], [0.6, 0.4]]])
    assert rollout([first, last], torch.tensor([[1.0, 0.0]]))[0].tolist() == pytest.approx([0.49, 0.51])
    assert rollout([first, last[:, :1]], torch.tensor([[1.0, 0.0]]))[0].tolist() == pytest.approx([0.49, 0.51])
    assert rollout([], torch.tensor([[0.25, 0.75]]))[0].tolist() == [0.25, 0.75]


def test_recording_changes_no_output_and_ends_with_the_block() -> None:
    tower, image = tower_of("small-vit"), torch.randn(1, 3, *SIZE)
    with torch.no_grad():
        plain = tower.encode_image(image)
        with AttentionRecorder() as recorder:
            recorded = tower.encode_image(image)
        again = tower.encode_image(image)
    assert [tuple(each.shape) for each in recorder.weights] == [(1, 9, 9), (1, 1, 9)]
    torch.testing.assert_close(recorded.final, plain.final, atol=1e-5, rtol=1e-5)
    assert torch.equal(again.final, plain.final)


def test_attention_that_torch_does_not_compute_is_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    tower = tower_of("small-vit")

    def unseen(self: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **kwargs or {})

    monkeypatch.setattr(AttentionRecorder, "__torch_function__", unseen)
    assert attention_maps(tower, torch.randn(1, 3, *SIZE)) is None


def test_too_many_patches_are_named() -> None:
    tower = tower_of("small-vit")
    tower.grid_size = (64, 33)
    assert (
        why_no_attention(tower)
        == "small-vit makes 2112 patches of an image, and attention is followed over 2048 at most"
    )


@pytest.mark.parametrize("neck", ["before", "after"])
def test_cells_of_a_vit_are_its_patches_behind_norm_projection_and_necks(neck: str) -> None:
    tower, image = tower_of("small-vit"), torch.randn(1, 3, *SIZE)
    embedder = Embedder(tower, neck=neck)
    for each in (embedder.final_neck, embedder.projected_neck):
        if each is not None:
            each.norm.running_mean.normal_()
            each.norm.running_var.uniform_(0.5, 2)
    entering: list[Tensor] = []
    handle = tower.visual.ln_post.register_forward_pre_hook(lambda _, given: entering.append(given[0]))
    cells = embedder.cells(image)
    handle.remove()
    assert cells.shape == (1, 8, tower.embedding_width)
    for place in range(8):
        with torch.no_grad():
            final = tower.visual.ln_post(entering[0][place : place + 1])
            parts = [final, final @ tower.visual.proj]
            if neck == "after":
                parts = [embedder.final_neck(parts[0]), embedder.projected_neck(parts[1])]  # type: ignore[misc]
            joined = torch.cat(parts, dim=1)[0]
        torch.testing.assert_close(cells[0, place], joined / joined.norm(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["small-vit", "small-convnext"])
def test_a_report_has_the_attention_or_says_why_and_shows_cosines(name: str) -> None:
    """Of a network of stages each cell, read alone, is compared with the whole; before has another model's."""
    size = (64, 32)
    before, after = Embedder(tower_of(name, size)), Embedder(tower_of(name, size))
    with torch.no_grad():
        for parameter in after.encoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    extraction: Any = SimpleNamespace(inputs=lambda _, __, rows: iter([(images[rows], None, None)]))
    made = attended_images(after, before, pd.DataFrame({"path": ["a.jpg", "b.jpg"]}), np.array([1, 0]), extraction)
    assert [each.path for each in made.images] == ["b.jpg", "a.jpg"]
    for each, row in zip(made.images, (1, 0), strict=True):
        assert each.before is not None
        assert each.before != each.after
        for heat, embedder in ((each.before, before), (each.after, after)):
            assert (heat.rows, heat.columns) == embedder.encoder.grid_size
            if name == "small-vit":
                found = attention_maps(embedder.encoder, images[row : row + 1])
                assert found is not None
                assert [*heat.values, heat.elsewhere] == pytest.approx(
                    [*found.grids.flatten().tolist(), float(found.elsewhere)], abs=1e-4
                )
            else:
                whole, cells = (read(images[row : row + 1])[0] for read in (embedder, embedder.cells))
                assert heat.values == pytest.approx([float(cell @ whole) for cell in cells], abs=1e-4)
                assert heat.elsewhere is None
    assert made.kind == ("class token" if name == "small-vit" else "map")
    assert ("has no attention from its output to the whole image" in made.why_not) is (name == "small-convnext")


def test_too_many_patches_give_a_reason_and_no_map() -> None:
    embedder = Embedder(tower_of("small-vit"))
    embedder.encoder.grid_size = (64, 33)
    extraction: Any = SimpleNamespace(inputs=lambda *_: iter([(torch.zeros(1, 3, *SIZE), None, None)]))
    made = attended_images(embedder, None, pd.DataFrame({"path": ["a.jpg"]}), np.array([0]), extraction)
    assert made.images == ()
    assert made.why_not.startswith("small-vit makes 2112 patches")
