"""Backbones that open_clip does not list: folders in the form that it saves, and repositories in the hub's cache."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from torch import Tensor
from tower_examples import TEXT, configurations

from reid_pipeline.models import published_weights
from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.backbone import build_image_encoder, image_tower
from reid_pipeline.models.embedder import Embedder, embedder_from_description
from reid_pipeline.models.pretrained import weights_digest
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import BackboneParameters

pytestmark = pytest.mark.slow

COMMIT = "b" * 40
VISION = {
    "timm_model_name": "small_siglip",
    "timm_pool": "map",
    "timm_proj": "none",
    "timm_model_pretrained": True,
    "image_size": 32,
}
CONFIG: dict[str, Any] = {"embed_dim": 32, "vision_cfg": VISION, "text_cfg": TEXT}
PIXELS = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "interpolation": "bicubic", "resize_mode": "squash"}


class Tokenizer:
    """What open_clip's saving asks of a tokenizer."""

    def save_pretrained(self, folder: Path) -> None:
        (folder / "tokenizer_config.json").write_text("{}")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that open_clip's own code writes for the hub, of a small SigLIP."""
    import open_clip
    from open_clip.push_to_hf_hub import save_for_hf

    configurations()  # registers the small network with timm
    torch.manual_seed(4)
    config = json.loads(json.dumps(CONFIG))
    model = open_clip.CLIP(**(config | {"vision_cfg": config["vision_cfg"] | {"timm_model_pretrained": False}}))
    model.visual.image_mean, model.visual.image_std = PIXELS["mean"], PIXELS["std"]
    model.visual.preprocess_cfg = PIXELS
    folder = tmp_path_factory.mktemp("saved") / "siglip"
    save_for_hf(model, Tokenizer(), config, str(folder), safe_serialization=True)
    return folder


@pytest.fixture(autouse=True)
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache in the test's folder, and no host that answers."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    template = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(published_weights, "URL_CACHE", tmp_path / "clip")
    return tmp_path / "hub"


def their_output(folder: Path, images: Tensor) -> Tensor:
    import open_clip
    from safetensors.torch import load_file

    config = CONFIG | {"vision_cfg": VISION | {"timm_model_pretrained": False}}
    clip = open_clip.CLIP(**config).eval()
    clip.load_state_dict(load_file(folder / "open_clip_model.safetensors"))
    with torch.no_grad():
        return clip.visual(images)


def into_the_cache(folder: Path, cache: Path, repository: str) -> None:
    """Lay a folder out as huggingface_hub's cache has it: blobs by digest, links by name."""
    place = cache / f"models--{repository.replace('/', '--')}"
    snapshot = place / "snapshots" / COMMIT
    for each in ("blobs", "refs"):
        (place / each).mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (place / "refs" / "main").write_text(COMMIT)
    for file in folder.iterdir():
        blob = place / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copy(file, blob)
        (snapshot / file.name).symlink_to(blob)


@pytest.mark.parametrize("form", ["{}", "local-dir:{}", "relative", "hub"])
def test_a_saved_network_is_a_backbone_with_its_own_weights(
    saved: Path, form: str, no_network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = form.format(saved)
    if form == "relative":
        monkeypatch.chdir(saved.parent)
        name = saved.name
    if form == "hub":
        into_the_cache(saved, no_network, "someone/siglip-small")
        name = "hf-hub:someone/siglip-small"
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    digest = hashlib.sha256((saved / "open_clip_model.safetensors").read_bytes()).hexdigest()
    for pretrained in (None, "openai"):  # a tag, as conf/base has one, means nothing to a folder
        given = {"pixel_mean": None, "pixel_std": None, "image_size": (32, 32)}
        tower = image_tower(BackboneParameters(name=name, pretrained=pretrained, **given)).eval()
        with torch.no_grad():
            torch.testing.assert_close(
                tower.encode_image(images).projected, their_output(saved, images), atol=1e-5, rtol=0
            )
        assert (tower.pixel_mean, tower.pixel_std) == ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
        assert weights_digest(name, pretrained) == digest


def test_an_embedder_of_it_needs_the_folder_no_more(saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "moved"
    shutil.copytree(saved, folder)
    embedder = Embedder(build_image_encoder(str(folder), image_size=(48, 24)))
    shutil.rmtree(folder)
    description = json.loads(json.dumps(embedder.description()))
    again = embedder_from_description(description, embedder.state_dict())
    images = torch.randn(2, 3, 48, 24)
    assert torch.equal(again(images), embedder(images))


def test_a_file_of_weights_counts_more_than_those_of_the_folder(saved: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(saved / "open_clip_model.safetensors")
    save_file({key: value + 1 for key, value in state.items()}, tmp_path / "other.safetensors")
    tower = build_image_encoder(str(saved), pretrained=tmp_path / "other.safetensors", image_size=(32, 32))
    key = "trunk.blocks.0.attn.qkv.bias"
    assert torch.equal(tower.visual.get_parameter(key).data, state[f"visual.{key}"] + 1)


def test_what_a_folder_lacks_is_said(saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    shutil.copytree(saved, folder)

    def refused(match: str, name: str = str(folder)) -> None:
        with pytest.raises(UserError, match=match):
            build_image_encoder(name)

    shutil.copy(folder / "open_clip_model.safetensors", folder / "b.bin")
    build_image_encoder(str(folder), image_size=(32, 32))  # the usual name is the one that is meant
    (folder / "open_clip_model.safetensors").rename(folder / "a.safetensors")
    refused(r"several files of weights \(a.safetensors, b.bin\); open_clip_model.safetensors is the usual name")
    (folder / "b.bin").unlink()
    (folder / "a.safetensors").unlink()
    refused("has no file of weights; open_clip_model.safetensors is the usual name")
    config = folder / "open_clip_config.json"
    for text, match in (
        ('{"model_cfg": {"embed_dim": 3}}', "`model_cfg` lacks vision_cfg, text_cfg"),
        ("[1]", "`model_cfg` lacks embed_dim, vision_cfg, text_cfg"),
        ("{", "cannot be read"),
        (
            json.dumps({"model_cfg": CONFIG | {"vision_cfg": {"timm_model_name": "hf_hub:a/b"}}}),
            r"names a network of timm that lies elsewhere \('hf_hub:a/b'\)",
        ),
    ):
        config.write_text(text)
        refused(match)
    config.unlink()
    refused("has no open_clip_config.json, so it is no network that open_clip saved")
    refused("means a folder, and there is none", str(tmp_path / "none"))
    refused("means a folder, and there is none", "local-dir:none")
    refused("A repository of Hugging Face is named hf-hub:<organisation>/<repository>", "hf-hub:siglip")
    refused("A repository of Hugging Face is named hf-hub:<organisation>/<repository>", "hf-hub:../siglip")
    refused("Backbone 'local-dir:' lacks the folder", "local-dir:")


def test_a_configuration_that_this_open_clip_cannot_build(saved: Path, tmp_path: Path) -> None:
    for number, vision in enumerate(({"unheard_of": 1}, {"timm_model_name": "unheard_of"})):
        folder = tmp_path / str(number)
        shutil.copytree(saved, folder)
        text = json.dumps({"model_cfg": CONFIG | {"vision_cfg": vision}})
        (folder / "open_clip_config.json").write_text(text)
        network = Architecture(str(folder))
        for build in (network.visual, network.clip):
            with pytest.raises(UserError, match=rf"{folder}.*cannot be built by open_clip \d.* timm \d.*unheard_of"):
                build()


@pytest.mark.parametrize(
    ("block", "key", "value", "text"),
    [
        (
            "vision_cfg",
            "image_size",
            "224",
            "`model_cfg.vision_cfg.image_size` is '224'. Allowed: a whole number above",
        ),
        ("vision_cfg", "image_size", 224.0, "`model_cfg.vision_cfg.image_size` is 224.0"),
        ("vision_cfg", "image_size", None, "`model_cfg.vision_cfg.image_size` is null"),
        ("vision_cfg", "image_size", [1, 2, 3], "`model_cfg.vision_cfg.image_size` is [1, 2, 3]"),
        ("vision_cfg", "patch_size", 0, "`model_cfg.vision_cfg.patch_size` is 0"),
        ("vision_cfg", "patch_size", None, "`model_cfg.vision_cfg.patch_size` is null"),
        ("vision_cfg", "patch_size", 256, "`model_cfg.vision_cfg.patch_size` is 256, more than its `image_size` 224"),
        ("vision_cfg", "timm_model_name", 3, "`model_cfg.vision_cfg.timm_model_name` is 3. Allowed: null or a text"),
        ("vision_cfg", "head_width", 0, "`model_cfg.vision_cfg.head_width` is 0"),
        ("vision_cfg", "width", "768", "`model_cfg.vision_cfg.width` is '768'"),
        ("text_cfg", "context_length", True, "`model_cfg.text_cfg.context_length` is True"),
        (None, "embed_dim", "512", "`model_cfg.embed_dim` is '512'. Allowed: a whole number above 0"),
        ("preprocess_cfg", "mean", 0.5, "`preprocess_cfg.mean` is 0.5. Allowed: a list of three numbers, one per"),
        ("preprocess_cfg", "mean", None, "`preprocess_cfg.mean` is null"),
        ("preprocess_cfg", "mean", [0.5], "`preprocess_cfg.mean` is [0.5]"),
        ("preprocess_cfg", "mean", "imagenet", "`preprocess_cfg.mean` is 'imagenet'"),
        ("preprocess_cfg", "mean", [0.5, float("nan"), 0.5], "`preprocess_cfg.mean` is [0.5, nan, 0.5]"),
        ("preprocess_cfg", "mean", [0.5] * 4, "`preprocess_cfg.mean` is [0.5, 0.5, 0.5, 0.5]"),
        (
            "preprocess_cfg",
            "std",
            [0.5, 0, 0.5],
            "`preprocess_cfg.std` is [0.5, 0, 0.5]. Allowed: a list of three numbe",
        ),
    ],
)
def test_an_edited_configuration(tmp_path: Path, block: str | None, key: str, value: object, text: str) -> None:
    model: dict[str, Any] = {"embed_dim": 32, "vision_cfg": {"layers": 1}, "text_cfg": {"layers": 1}}
    whole: dict[str, Any] = {"model_cfg": model, "preprocess_cfg": {}}
    parts = whole | model
    (model if block is None else parts[block])[key] = value
    file = tmp_path / "open_clip_config.json"
    file.write_text(json.dumps(whole))
    with pytest.raises(UserError) as caught:
        Architecture(str(tmp_path))
    message = str(caught.value)
    assert message.startswith(f"The configuration {file} cannot be used: {text}")
    assert message.endswith(". Correct it there, or get the file again.")


def test_a_repository_that_is_not_in_the_cache_and_cannot_be_fetched() -> None:
    with pytest.raises(UserError) as caught:
        Architecture("hf-hub:someone/unknown")
    message = str(caught.value)
    assert message.startswith("The configuration and weights of 'hf-hub:someone/unknown' are not in the cache")
    assert "https://huggingface.co/someone/unknown/resolve/main/open_clip_config.json" in message
    assert "set `backbone.name` to a folder that holds it and the weights" in message
