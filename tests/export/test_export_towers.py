"""Kinds of towers, exported as ONNX and run by onnxruntime with batches of 1, 3 and 64.

Every kind by bench/matrices.py. Here CLIP's ResNet and rotary positions, and in the other tests a class-token ViT.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from matrices import cells
from tower_examples import configurations, examples, forget_examples

from reid_pipeline.export.files import OPSET, Traced, onnx_bytes
from reid_pipeline.export.graph import ExportGraph
from reid_pipeline.export.int8 import int8_models
from reid_pipeline.export.sessions import run_of_onnx
from reid_pipeline.export.signatures import signature
from reid_pipeline.images.augment import normalise
from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.embedder import Embedder
from reid_pipeline.models.image_encoder import TowerSettings
from reid_pipeline.models.pretrained import pretrained_state
from reid_pipeline.models.towers import build_tower

pytestmark = pytest.mark.slow

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
FIRST = [(kind, next(iter(configs))) for kind, configs in configurations().items()]
EXPORTED = cells(FIRST, always=[("modified_resnet", "small-resnet"), ("timm_class_token_vit", "small-eva02")])


@pytest.fixture(scope="module", autouse=True)
def known_networks() -> Iterator[None]:
    examples()
    yield
    forget_examples()


def embedder(name: str, **settings: Any) -> Embedder:
    torch.manual_seed(0)
    side = Architecture(name).config["vision_cfg"]["image_size"]
    counts = [settings.pop("num_cameras", 0), settings.pop("num_views", 0)]
    made = TowerSettings((side * 3 // 2, side * 3 // 4), None, *counts, MEAN, STD, **settings)
    state = pretrained_state(Architecture(name), None)
    for key, value in state.items():  # larger than they are sampled, so that all of them count
        if value.is_floating_point() and not key.endswith("running_var"):
            value.add_(0.05 * torch.randn_like(value))
    model = Embedder(build_tower(Architecture(name), made, state), neck="after")
    for norm in (each for each in model.modules() if isinstance(each, torch.nn.BatchNorm1d)):
        torch.nn.init.uniform_(norm.running_mean, -0.3, 0.3)
        torch.nn.init.uniform_(norm.weight, 0.5, 2.0)
    return model


def pixels(model: Embedder, count: int = 64) -> np.ndarray:
    size = model.encoder.image_size
    return np.random.default_rng(1).integers(0, 256, (count, 3, *size), dtype=np.uint8)


def by_hand(model: Embedder, images: np.ndarray, *ids: np.ndarray) -> np.ndarray:
    """What the pipeline does: its own normalisation, then the embedder."""
    return model(normalise(torch.from_numpy(images), MEAN, STD), *map(torch.from_numpy, ids)).numpy()


def exported(model: Embedder) -> Any:
    graph = ExportGraph(model, signature("pixels", model.encoder.image_size, MEAN, STD))
    return onnx.load_from_string(onnx_bytes(Traced(graph).model, {"reid_pipeline": "0"}, "words"))


@pytest.mark.parametrize(("kind", "name"), EXPORTED)
def test_a_network_of_every_kind_gives_the_pipelines_embeddings(kind: str, name: str) -> None:
    del kind
    model = embedder(name)
    file = exported(model)
    onnx.checker.check_model(file)
    assert [each.version for each in file.opset_import if each.domain in ("", "ai.onnx")] == [OPSET]
    assert b"site-packages" not in file.SerializeToString(), "no path of the machine that wrote it"
    images = pixels(model)
    wanted = by_hand(model, images)
    run = run_of_onnx(file.SerializeToString(), 1)
    for count in (1, 3, 64):
        assert np.allclose(run({"images": images[:count]}), wanted[:count], rtol=0, atol=2e-6)
    assert float(np.abs(wanted[0] - wanted[1]).max()) > 1e-4, "embeddings that differ show something"


def test_every_arithmetic_of_int8_and_half_precision_are_near_the_model() -> None:
    model = embedder("small-vit")
    made = signature("pixels", model.encoder.image_size, MEAN, STD)
    images = pixels(model)
    wanted = by_hand(model, images)
    network = Traced(ExportGraph(model, made)).model
    before = network.SerializeToString()
    found = dict(int8_models(network, [{"images": images[:32]}]))
    assert network.SerializeToString() == before, "the network in float32 stays as it is"
    found["float16"] = Traced(ExportGraph(model, made, half=True)).model
    operators = {words: Counter(node.op_type for node in each.graph.node) for words, each in found.items()}
    whole, ends, weights, _ = operators.values()
    assert whole["QuantizeLinear"] > ends["QuantizeLinear"] > weights["QuantizeLinear"] == 0
    assert weights["DequantizeLinear"] > 4
    for words, each in found.items():
        vectors = run_of_onnx(each.SerializeToString(), 1)({"images": images})
        assert vectors.dtype == np.float32
        assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-5, words
        cosines = (vectors * wanted).sum(1)
        assert cosines.min() > (0.99999 if words == "float16" else 0.98), words


def test_camera_and_view_are_inputs_and_an_unknown_one_gets_the_mean() -> None:
    model = embedder("small-vit", num_cameras=3, num_views=2, sie_tokens="all")
    torch.nn.init.normal_(model.encoder.side_embedding)
    model.encoder.side_seen[:] = torch.tensor([True, True, True, False, False, False])  # camera 2 was never seen
    images = pixels(model, 8)
    camids = np.array([0, 0, 1, 1, 2, -1, 7, 0])
    viewids = np.array([0, 1, 0, 1, 0, 0, 1, -1])
    with pytest.warns(UserWarning, match="Not seen in training"):
        wanted = by_hand(model, images, camids, viewids)
    run = run_of_onnx(exported(model).SerializeToString(), 1)
    found = run({"images": images, "camids": camids, "viewids": viewids})
    assert np.allclose(found, wanted, rtol=0, atol=2e-6)
    others = run({"images": images, "camids": np.zeros(8, np.int64), "viewids": viewids})
    assert np.abs(found - others).max() > 1e-3, "the camera counts"
