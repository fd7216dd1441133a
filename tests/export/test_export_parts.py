"""The parts of an export: signatures, the resize within the graph, weights of 8 bits, bounds, refusals, the card."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from reid_pipeline.export import files, packages
from reid_pipeline.export.attention import PlainAttention
from reid_pipeline.export.files import Traced
from reid_pipeline.export.graph import resize_matrix
from reid_pipeline.export.int8 import quantised
from reid_pipeline.export.licences import licence_note
from reid_pipeline.export.proof import Proof, refusal, require_finite
from reid_pipeline.export.proof_images import Files, ProofImages, _beyond, opencv_bilinear
from reid_pipeline.export.signatures import require_side_information_fits, signature
from reid_pipeline.images.decode import TargetSize, resize
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.export_parameters import ExportParameters
from reid_pipeline.schema.origin import Origin

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)


@pytest.mark.parametrize("name", ["pixels", "normalised", "boxmot", "ultralytics"])
def test_what_is_fed_becomes_the_models_own_pixels(name: str) -> None:
    made = signature(name, (96, 48), MEAN, STD)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, *made.size), dtype=np.uint8)
    scale, shift = (np.array(values).reshape(3, 1, 1) for values in made.scale_and_shift(MEAN, STD))
    wanted = (pixels / 255 - np.array(MEAN).reshape(3, 1, 1)) / np.array(STD).reshape(3, 1, 1)
    assert np.allclose(made.fed(pixels) * scale + shift, wanted, atol=1e-6)
    assert made.fed(pixels).dtype == made.dtype


def test_trackers_feed_their_own_sizes() -> None:
    """By hand from BoxMOT's get_crops and Ultralytics' _crops_to_tensor, for one pixel of value 51."""
    one = np.full((1, 3, 256, 128), 51, np.uint8)
    person = signature("boxmot", (256, 128), MEAN, STD)
    assert (person.size, person.prefix) == ((256, 128), "osnet_x0_25_")
    assert np.allclose(
        person.fed(one)[0, :, 0, 0], [(0.2 - 0.485) / 0.229, (0.2 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]
    )
    vehicle = signature("boxmot", (72, 72), MEAN, STD)
    assert (vehicle.size, vehicle.prefix) == ((256, 256), "osnet_x0_25_vehicleid_")
    square = signature("ultralytics", (256, 128), MEAN, STD)
    assert square.size == (256, 256)
    assert np.allclose(square.fed(one), 0.2)
    with pytest.raises(UserError, match="a tracker that feeds images alone"):
        require_side_information_fits(square, 6, 0)
    require_side_information_fits(signature("pixels", (256, 128), MEAN, STD), 6, 0)


@pytest.mark.parametrize("resize_filter", ["bicubic", "bilinear"])
def test_the_graphs_resize_is_the_pipelines(resize_filter: str) -> None:
    pixels = np.random.default_rng(0).integers(80, 176, (64, 32, 3), dtype=np.uint8)  # nothing is cut off at 0 or 255
    wanted = resize(pixels, TargetSize(48, 24, resize_filter)).astype(np.float32)
    rows, columns = resize_matrix(64, 48, resize_filter), resize_matrix(32, 24, resize_filter)
    found = rows @ torch.from_numpy(pixels).float().permute(2, 0, 1) @ columns.T
    assert np.abs(found.clamp(0, 255).permute(1, 2, 0).numpy() - wanted).max() <= 2.0, "the pipeline's is rounded twice"
    assert torch.equal(resize_matrix(7, 7, resize_filter), torch.eye(7))


def test_opencvs_bilinear_by_hand() -> None:
    """Rows of 0, 10 ... 70 to two: OpenCV reads at (i + 0.5) * 4 - 0.5 = 1.5 and 5.5, and mixes two pixels alone."""
    ramp = np.repeat(np.arange(0, 80, 10, dtype=np.uint8)[:, None, None], 3, axis=2).repeat(2, axis=1)
    assert opencv_bilinear(ramp, (2, 2))[:, 0, 0].tolist() == [15, 55]


@pytest.mark.parametrize("batch_first", [True, False])
def test_plain_attention_is_torchs(batch_first: bool) -> None:
    torch.manual_seed(0)
    for widths in ({}, {"kdim": 10, "vdim": 6}):
        theirs = nn.MultiheadAttention(8, 2, batch_first=batch_first, **widths).eval()
        nn.init.normal_(theirs.in_proj_bias)
        asked = torch.randn(3, 5, widths.get("kdim", 8)), torch.randn(3, 5, widths.get("vdim", 8))
        given = [torch.randn(3, 1, 8), *asked]
        if not batch_first:
            given = [each.transpose(0, 1) for each in given]
        wanted, _ = theirs(*given, need_weights=False)
        found, none = PlainAttention(theirs)(*given)
        assert none is None
        assert torch.allclose(found, wanted, atol=1e-6)


def test_a_network_that_torch_cannot_trace_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(graph: object) -> None:
        raise RuntimeError("Could not guard on data-dependent expression")

    monkeypatch.setattr(files, "traced", fail)
    encoder = SimpleNamespace(name="new-net", KIND="new kind")
    with pytest.raises(
        UserError, match=r"network 'new-net' \(new kind\) cannot be traced by torch .*: Could not guard"
    ):
        _ = Traced(SimpleNamespace(embedder=SimpleNamespace(encoder=encoder))).program


def test_fewer_images_are_of_whole_identities() -> None:
    pids = np.repeat(np.arange(10), 6)
    splits = np.where(pids < 4, "train", "query")
    left = ~_beyond(pids, splits, 18)
    assert sorted(set(pids[left])) == [0, 1, 2, 3, 4, 6, 8], "three of six tested identities, all that is trained on"
    assert all((pids[left] == pid).sum() == 6 for pid in set(pids[left]))


def test_int8_weights_are_within_half_a_step_by_channel() -> None:
    values = np.random.default_rng(0).normal(size=(6, 40)).astype(np.float32) * np.arange(6, dtype=np.float32)[:, None]
    stored, scale = quantised(values, 0)
    assert (stored.dtype, stored.shape, scale.shape) == (np.int8, values.shape, (6,))
    assert np.all(np.abs(stored * scale[:, None] - values) <= scale[:, None] / 2 + 1e-7)
    assert scale[0] == 1
    assert np.abs(stored[1:]).max(axis=1).tolist() == [127] * 5


def proof(score: object) -> Proof:
    unit = np.eye(3, dtype=np.float32)
    images = ProofImages("three images", Files([Path("a")] * 3), Files([]), score)
    before = None if score is None else score(unit)
    return Proof(SimpleNamespace(), images, unit, before, {}, 0.1)


def test_the_bound_is_on_map_or_without_labels_on_cosines() -> None:
    turned = np.eye(3, dtype=np.float32)
    turned[0] = [0.6, 0.8, 0.0]
    found = proof(None).agreement(turned)
    assert np.allclose([found.cosine_min, found.cosine_mean, found.largest_difference], [0.6, 2.6 / 3, 0.8])
    assert found.mAP is None
    assert "its least cosine to the model is 0.60000, and 0.9999 is needed" in refusal("float32", found)
    assert refusal("float32", proof(None).agreement(np.eye(3, dtype=np.float32))) == ""
    scored = proof(lambda vectors: 0.5 + 0.01 * float(vectors[0, 1]))
    found = scored.agreement(turned)
    assert (found.mAP, found.mAP_difference) == (pytest.approx(0.508), pytest.approx(0.008))
    assert refusal("int8", found) == (
        "its mAP is 50.80 and the model's 50.00, a difference of +0.80 points, of which 0.5 are allowed"
    )
    assert refusal("int8", scored.agreement(turned * np.float32(0.5))) == ""
    with pytest.raises(UserError, match=r"float16.onnx gives numbers that are not finite for 1 of 3 images"):
        require_finite(turned * np.array([[1], [np.nan], [1]]), "float16.onnx")


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(UserError) as caught:
        packages.require_formats(["onnx", "pt2"])
    assert str(caught.value) == (
        "An ONNX file needs the package onnxscript, which the extra export brings: pip install 'reid-pipeline[export]'."
    )
    packages.require_formats(["pt2"])


def test_precisions_are_one_several_or_all() -> None:
    assert ExportParameters(precision="int8+float32").precision == ("float32", "int8")
    assert ExportParameters(precision=["float16"]).precision == ("float16",)
    assert ExportParameters().precision == ExportParameters(precision="all").precision == ("float32", "float16", "int8")
    with pytest.raises(ValueError, match=r"precision 'float61' is not allowed. Did you mean 'float16'"):
        ExportParameters(precision="float61")


def test_the_licence_note_says_what_is_known() -> None:
    backbone = {"name": "ViT-B-16-quickgelu", "pretrained": "openai"}
    origin = Origin(made_by="pcl.export", benchmark="market1501", method="pcl", weights="ab", code="0",
                    parameters={"pcl": {"backbone": backbone}})  # fmt: skip
    assert "openai of ViT-B-16-quickgelu, SHA-256 ab: OpenAI's CLIP, published under the MIT licence" in licence_note(
        origin
    )
    assert "It was trained on Market-1501: For research only" in licence_note(origin)
    own = origin.replace(benchmark="zoo", parameters={"pcl": {"backbone": {**backbone, "pretrained": "webli"}}})
    assert "their publisher's licence holds" in licence_note(own)
    assert "images of zoo, whose owner says" in licence_note(own)
    assert licence_note(None) == "It is not known what these weights were made from: ask whoever made them."
