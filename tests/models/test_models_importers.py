"""Published checkpoints: names and shapes read, the embedding of the release, and what other files are."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from released_models import (
    RELEASED_RESNET,
    RELEASED_VIT,
    ReleasedModel,
    ReleasedResNet,
    ReleasedViT,
    released_model,
    stored,
)
from safetensors.torch import save_file

from reid_pipeline.models import open_clip_lists
from reid_pipeline.models.embedder import Embedder
from reid_pipeline.models.importers import read_published
from reid_pipeline.models.importers.embedder import published_embedder
from reid_pipeline.models.importers.families import HALF, IMAGENET
from reid_pipeline.models.importers.settings import PublishedSettings, published_settings
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import BackboneParameters
from reid_pipeline.schema.population import Population

VIT, RESNET = "small-vit-quickgelu", "small-resnet-quickgelu"
METHODS = ("baseline", "clip_reid", "svll_reid", "pcl", "unsupervised_pcl")
_NECK = ("weight", "bias", "running_mean", "running_var")
NOBODY = Population(5)


@pytest.fixture(autouse=True)
def small_towers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two small networks beside those of open_clip; it never sees them."""
    listed = dict(open_clip_lists._texts())
    added = {VIT: json.dumps(RELEASED_VIT), RESNET: json.dumps(RELEASED_RESNET)}
    monkeypatch.setattr(open_clip_lists, "_texts", lambda: listed | added)


def _backbone(size: tuple[int, int] = (32, 16), name: str = VIT, **values: Any) -> BackboneParameters:
    return BackboneParameters(name=name, image_size=size, **values)


def _vit(size: tuple[int, int], stride: int = 8) -> ReleasedViT:
    return ReleasedViT(RELEASED_VIT, size, stride)


def _saved(model: ReleasedModel, file: Path) -> Path:
    torch.save(stored(model), file)
    return file


def _settings(
    file: Path, backbone: BackboneParameters, population: Population = NOBODY, given: tuple[str, ...] = ()
) -> PublishedSettings:
    return published_settings(read_published(file, backbone=backbone.name), backbone, given, population)


def _embedder(file: Path) -> Embedder:
    return published_embedder(read_published(file, backbone=VIT), _settings(file, _backbone()))


def _images(size: tuple[int, int], count: int = 4) -> torch.Tensor:
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("size", "stride", "kind"),
    [((40, 24), 8, "none"), ((40, 24), 6, "camera"), ((40, 40), 8, "view"), ((40, 40), 6, "both")],
)
def test_the_embedding_is_the_releases(
    method: str, size: tuple[int, int], stride: int, kind: str, tmp_path: Path
) -> None:
    cameras, views = {"none": (0, 0), "camera": (3, 0), "view": (0, 2), "both": (3, 2)}[kind]
    rows = max(cameras, 1) * max(views, 1) if kind != "none" else 0
    model = released_model(method, _vit(size, stride), rows=rows, views=views)
    file = _saved(model, tmp_path / "ViT-B-16_60.pth")
    population = Population(5, cameras=cameras or 9, views=views)
    settings = _settings(file, _backbone(size), population)
    assert settings.backbone.patch_stride == (None if stride == 8 else 6)
    assert settings.backbone.sie == kind

    embedder = published_embedder(read_published(file, backbone=VIT), settings)
    images, camids, viewids = _images(size), torch.tensor([2, 0, 1, 2]), torch.tensor([1, 0, 1, 0])
    expected = model.embedding(images, camids if cameras else None, viewids if views else None)
    torch.testing.assert_close(embedder(images, camids, viewids).double(), expected, atol=1e-6, rtol=0)
    assert embedder.description()["neck"] == ("after" if "pcl" in method else "before")


@pytest.mark.parametrize("method", ["baseline", "clip_reid"])
def test_the_embedding_of_a_resnet_is_the_releases(method: str, tmp_path: Path) -> None:
    model = released_model(method, ReleasedResNet(RELEASED_RESNET, (64, 32)))
    file = _saved(model, tmp_path / "RN50_120.pth")
    settings = _settings(file, _backbone((64, 32)))  # the shapes name another tower than the parameters
    assert (settings.backbone.name, settings.backbone.patch_stride) == (RESNET, None)
    assert (settings.backbone.pixel_mean, settings.backbone.pixel_std) == IMAGENET
    images = _images((64, 32))
    made = published_embedder(read_published(file), settings)(images)
    torch.testing.assert_close(made.double(), model.embedding(images), atol=1e-6, rtol=0)


@pytest.mark.parametrize("form", ["module", "module.module", "tar", "half", "safetensors"])
def test_each_form_of_file_is_read(form: str, tmp_path: Path) -> None:
    model = released_model("unsupervised_pcl", _vit((32, 16)))
    state, file = stored(model), tmp_path / "model_best.pth.tar"
    if form == "safetensors":
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, file)
    elif form == "half":
        state = {name: each.half() if each.is_floating_point() else each for name, each in state.items()}
        model.load_state_dict(state)
        torch.save(state, file)
    else:
        wrapper = form if form != "tar" else "module"
        wrapped = {f"{wrapper}.{name}": tensor for name, tensor in state.items()}
        best = {"state_dict": wrapped, "epoch": 60, "best_mAP": np.float64(0.9), "optimizer": {"state": {}}}
        torch.save(best if form == "tar" else wrapped, file)
    read = read_published(file)
    assert read.family.method == "unsupervised_pcl"
    images = _images((32, 16))
    made = published_embedder(read, published_settings(read, _backbone(), (), NOBODY))(images)
    torch.testing.assert_close(made.double(), model.embedding(images), atol=1e-6, rtol=0)


def test_what_a_file_says_beside_the_embedding(tmp_path: Path) -> None:
    model = released_model("svll_reid", _vit((32, 16)), rows=6, identities=7)
    read = read_published(_saved(model, tmp_path / "a.pth"), method="svll_reid")
    state = stored(model)
    assert (read.family.release, read.identities, read.positions, read.architecture) == ("SVLL-ReID", 7, 8, VIT)
    assert read.side_table is not None
    assert read.side_table.shape == (6, 64)
    assert read.prompts is not None
    torch.testing.assert_close(read.prompts.learnt, state["prompt_learner.cls_ctx"])
    torch.testing.assert_close(read.prompts.prefix, state["prompt_learner.token_prefix"][0])
    torch.testing.assert_close(
        read.prompts.suffix, state["prompt_learner.token_suffix"][0, :3], msg="up to the end of the text"
    )
    assert set(read.text_state) == {
        name.removeprefix("text_encoder.") for name in state if name.startswith("text_encoder.")
    }
    assert set(read.necks[0]) == {"weight", "bias", "running_mean", "running_var"}
    assert not read.untrained_necks


def test_a_stride_that_no_shape_tells_is_asked_for(tmp_path: Path) -> None:
    file = _saved(released_model("clip_reid", _vit((32, 16), 6)), tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"10 positions.*at a stride of 5, 6 alike.*Give backbone.patch_stride=<n>"):
        _settings(file, _backbone())
    assert _settings(file, _backbone(patch_stride=6)).backbone.patch_stride == 6, "the environment's or the user's"


def test_the_strides_of_real_grids_are_those_of_the_papers() -> None:
    from reid_pipeline.models.importers.settings import _strides

    grids = {((256, 128), 128): [16], ((256, 128), 210): [12], ((256, 256), 256): [16], ((256, 256), 441): [12]}
    assert {key: _strides(key[0], 16, key[1]) for key in grids} == grids


def test_pixels_and_resize_are_the_releases_unless_given(tmp_path: Path) -> None:
    decided = {}
    for method in METHODS:
        file = _saved(released_model(method, _vit((32, 16))), tmp_path / f"{method}.pth")
        backbone = _settings(file, _backbone(sie_tokens="all")).backbone
        decided[method] = ((backbone.pixel_mean, backbone.pixel_std), backbone.evaluation_resize, backbone.sie_tokens)
    of_clip_reid, of_pcl = (HALF, "bilinear", "class"), (HALF, "bicubic", "class")
    assert decided == {
        **dict.fromkeys(("baseline", "clip_reid", "svll_reid"), of_clip_reid),
        "pcl": of_pcl,
        "unsupervised_pcl": (IMAGENET, "bicubic", "class"),
    }
    own = _backbone(pixel_mean=(0.4, 0.4, 0.4), evaluation_resize="bicubic")
    given = _settings(tmp_path / "clip_reid.pth", own, given=("pixel_mean", "evaluation_resize")).backbone
    assert (given.pixel_mean, given.pixel_std, given.evaluation_resize) == ((0.4, 0.4, 0.4), HALF[1], "bicubic")


def test_eight_rows_are_cameras_of_one_benchmark_and_viewpoints_of_another(tmp_path: Path) -> None:
    file = _saved(released_model("clip_reid", _vit((32, 16)), rows=8), tmp_path / "a.pth")
    kinds = {
        people: (found.backbone.sie, found.num_cameras, found.num_views)
        for people in (Population(5, cameras=8), Population(5, cameras=20, views=8), Population(5, cameras=4, views=2))
        for found in [_settings(file, _backbone(), people)]
    }
    assert list(kinds.values()) == [("camera", 8, 0), ("view", 0, 8), ("both", 4, 2)]
    alike = Population(5, cameras=8, views=8)
    with pytest.raises(
        UserError, match=r"has 8 rows.*8 cameras and 8 viewpoints.*backbone.sie=camera or backbone.sie=view"
    ):
        _settings(file, _backbone(), alike)
    assert _settings(file, _backbone(sie="view"), alike).backbone.sie == "view", "the environment's parameters decide"
    assert _settings(file, _backbone(sie="camera"), alike, ("sie",)).num_cameras == 8


def test_side_information_of_other_images_is_asked_for(tmp_path: Path) -> None:
    file = _saved(model := released_model("baseline", _vit((32, 16)), rows=15), tmp_path / "a.pth")
    market = Population(751, cameras=6)
    with pytest.raises(UserError, match=r"has 15 rows.*6 cameras and no viewpoints.*--env.*backbone.sie=none"):
        _settings(file, _backbone(), market)
    with pytest.raises(UserError, match="learnt on other images"):
        _settings(file, _backbone(sie="camera"), market, ("sie",))
    without = _settings(file, _backbone(), market, ("sie",))
    images = _images((32, 16))
    made = published_embedder(read_published(file), without)(images)
    torch.testing.assert_close(made.double(), model.embedding(images), atol=1e-6, rtol=0)
    assert _settings(file, _backbone(sie="camera"), Population(0), ("sie",)).num_cameras == 15, "nothing says otherwise"


@pytest.mark.parametrize(
    ("population", "kind", "other"),
    [(Population(5, cameras=3), "view", "camera"), (Population(5, views=3), "camera", "view")],
)
def test_side_information_that_no_image_has_is_refused(
    population: Population, kind: str, other: str, tmp_path: Path
) -> None:
    file = _saved(released_model("baseline", _vit((32, 16)), rows=3), tmp_path / "a.pth")
    with pytest.raises(UserError, match=rf"backbone.sie={kind} has other rows. Give backbone.sie={other}\.$"):
        _settings(file, _backbone(sie=kind), population, ("sie",))


def test_a_single_row_is_part_of_the_class_token(tmp_path: Path) -> None:
    """VehicleID has one camera in CLIP-ReID's code, and none here."""
    model = released_model("clip_reid", _vit((32, 16)), rows=1)
    file = _saved(model, tmp_path / "a.pth")
    images = _images((32, 16))
    made = published_embedder(read_published(file), _settings(file, _backbone()))(images)
    torch.testing.assert_close(made.double(), model.embedding(images, torch.zeros(4).long()), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("values", "given", "message"),
    [
        (
            {"size": (32, 32)},
            (),
            r"8 positions, which images of 32 x 32 .*Give backbone.image_size=\[<height>,<width>\]",
        ),
        (
            {"patch_stride": 6},
            ("patch_stride",),
            "patch_stride is 6, and the 8 positions.*at a stride of 7, 8. Leave it out",
        ),
        ({"name": "ViT-B-16"}, ("name",), "backbone.name is 'ViT-B-16'.*has the shapes of 'small-vit-quickgelu'"),
        ({"sie": "camera"}, ("sie",), "sie is 'camera', and .* has no side information"),
    ],
)
def test_what_contradicts_the_shapes_is_refused(
    values: dict[str, Any], given: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    file = _saved(released_model("clip_reid", _vit((32, 16))), tmp_path / "a.pth")
    with pytest.raises(UserError, match=message):
        _settings(file, _backbone(**values), given=given)


def test_the_size_of_images_decides_between_grids(tmp_path: Path) -> None:
    """8 positions are 4 x 2 or 2 x 4, as 128 are 16 x 8 or 8 x 16: the size in force says which."""
    file = _saved(released_model("clip_reid", _vit((16, 32))), tmp_path / "a.pth")
    for size in ((32, 16), (16, 32)):
        assert published_embedder(read_published(file), _settings(file, _backbone(size))).encoder.image_size == size
    real = _saved(released_model("clip_reid", ReleasedResNet(RELEASED_RESNET, (256, 128))), tmp_path / "b.pth")
    with pytest.raises(
        UserError, match=r"128 positions, which images of 256 x 256 .*image_size=\[256,128\].*\[128,256\]"
    ):
        _settings(real, _backbone((256, 256)))


def test_pixels_of_a_resnet_that_was_never_released_are_asked_for(tmp_path: Path) -> None:
    file = _saved(released_model("pcl", ReleasedResNet(RELEASED_RESNET, (64, 32))), tmp_path / "a.pth")
    with pytest.raises(
        UserError, match=r"No ResNet of PCL-CLIP was released.*backbone.pixel_mean=.*backbone.pixel_std="
    ):
        _settings(file, _backbone((64, 32)))
    own = _settings(file, _backbone((64, 32)), given=("pixel_mean", "pixel_std")).backbone
    assert (own.pixel_mean, own.pixel_std) == HALF


def test_a_checkpoint_of_another_method_is_refused(tmp_path: Path) -> None:
    messages = {}
    for made, asked in (("clip_reid", "svll_reid"), ("baseline", "clip_reid"), ("pcl", "zero_shot")):
        file = _saved(released_model(made, _vit((32, 16))), tmp_path / f"{made}.pth")
        with pytest.raises(UserError) as refused:
            read_published(file, method=asked)
        messages[made] = str(refused.value)
    assert "no model of SVLL-ReID" in messages["clip_reid"]
    assert messages["clip_reid"].endswith("Give method=clip_reid.")
    assert "it is one of CLIP-ReID's baseline. Give method=baseline." in messages["baseline"]
    assert "No published checkpoint is of zero_shot." in messages["pcl"]
    assert "give method=pcl" in messages["pcl"]


def _tensors(*names: str) -> dict[str, torch.Tensor]:
    return {name: torch.zeros(2) for name in names}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (_tensors("visual.conv1.weight", "visual.proj", "ln_final.weight"), "is a plain CLIP.*backbone.pretrained"),
        (_tensors("base.cls_token", "base.blocks.0.attn.qkv.weight", "bottleneck.weight"), "is a model of TransReID"),
        (_tensors("base.layer1.0.conv1.weight", "bottleneck.weight"), "is a ReID model on a plain ResNet"),
        (_tensors("encoder.visual.proj", "final_neck.norm.weight"), "is an embedder of this project"),
        (_tensors("encoder.visual.proj", "classifiers.0.weight"), "is a checkpoint of this project's own training"),
        ({"state": {0: _tensors("exp_avg", "exp_avg_sq")}, "param_groups": [{"lr": 0.1}]}, "state of an optimiser"),
        (_tensors("vision_model.embeddings.class_embedding"), "is a CLIP by the names of Hugging Face"),
        (_tensors("cls_token", "blocks.0.attn.qkv.weight", "patch_embed.proj.weight"), "is a ViT by timm's names"),
        (_tensors("something.weight"), "holds 1 tensors of no ReID model that is known: something.weight"),
        (_tensors("image_encoder.proj", "prompt_learner.cls_ctx"), "image tower of a ReID model.*as no release"),
        (_tensors("image_encoder.proj", "bottleneck.weight"), "shapes of no CLIP that open_clip lists"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_the_file_is(content: dict[str, Any], what: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(UserError, match=what) as refused:
        read_published(tmp_path / "a.pth")
    assert "`pretrained`" not in str(refused.value), "the parameter is called checkpoint"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("cv_embed", torch.tensor(1.0), r"cv_embed has the shape \[\].*\[rows, width\]"),
        ("cv_embed", torch.zeros(1, 10), r"cv_embed has the shape \[1, 10\].*\[rows, 64\]"),
        ("cv_embed", torch.zeros(6, 64, dtype=torch.int32), r"cv_embed \[6, 64\] holds numbers of type int32"),
        ("classifier.weight", torch.tensor(1.0), r"classifier.weight has the shape \[\].*\[identities, width\]"),
        ("prompt_learner.token_suffix", torch.zeros(1, 0, 16), r"token_suffix has the shape \[1, 0, 16\]"),
        ("prompt_learner.token_prefix", torch.zeros(0, 5, 16), r"token_prefix has the shape \[0, 5, 16\]"),
        ("bottleneck.bias", torch.tensor(1.0), r"bottleneck.bias has the shape \[\].*\[width\]"),
        ("image_encoder.class_embedding", torch.zeros(10), r"tensor image_encoder.class_embedding is \[10\]"),
    ],
)
def test_a_tensor_of_another_shape_is_named(name: str, value: torch.Tensor, message: str, tmp_path: Path) -> None:
    state = stored(released_model("clip_reid", _vit((32, 16)), rows=1))
    torch.save({**state, name: value}, tmp_path / "a.pth")
    with pytest.raises(UserError, match=message):
        _embedder(tmp_path / "a.pth")


def test_a_neck_of_another_width_is_named_as_in_the_file(tmp_path: Path) -> None:
    state = stored(released_model("pcl", _vit((32, 16))))
    torch.save({**state, **{f"bottleneck.{part}": torch.ones(10) for part in _NECK}}, tmp_path / "a.pth")
    with pytest.raises(
        UserError, match=r"tensor bottleneck.weight is \[10\] in it, and \[64\] in a small-vit"
    ) as refused:
        _embedder(tmp_path / "a.pth")
    assert "Change" not in str(refused.value)


def test_a_file_that_runs_code_is_not_run(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            import os

            return os.system, (f"touch {tmp_path / 'ran'}",)

    torch.save({**_tensors("image_encoder.proj"), "x": Harm()}, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"names 'os.system'.*nothing of it was run"):
        read_published(tmp_path / "a.pth")
    assert not (tmp_path / "ran").exists()


def test_a_damaged_or_missing_file(tmp_path: Path) -> None:
    _saved(released_model("pcl", _vit((32, 16))), tmp_path / "ViT-B-16_60.pth")
    with pytest.raises(UserError, match=r"ViT-B-16_60.pht.*there is no such file\. Did you mean 'ViT-B-16_60.pth'"):
        read_published(tmp_path / "ViT-B-16_60.pht")
    state = stored(released_model("pcl", _vit((32, 16))))
    for name, message in (
        ("bottleneck_proj.running_var", "lacks bottleneck_proj.running_var"),
        ("image_encoder.positional_embedding", "lacks image_encoder.positional_embedding"),
        ("image_encoder.ln_pre.weight", r"image_encoder.ln_pre.weight is absent in it.*Get the whole file\.$"),
    ):
        torch.save({key: tensor for key, tensor in state.items() if key != name}, tmp_path / "b.pth")
        with pytest.raises(UserError, match=message):
            _embedder(tmp_path / "b.pth")
    torch.save({**state, "bottleneck.bias": torch.full((64,), math.nan)}, tmp_path / "c.pth")
    with pytest.raises(UserError, match="is not finite: bottleneck"):
        read_published(tmp_path / "c.pth")
