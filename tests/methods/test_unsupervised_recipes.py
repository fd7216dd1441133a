"""`unsupervised_pcl.recipe` in training: the precision of what is clustered, and the pixels that are read."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from published import published
from torch.nn.functional import normalize

from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.stage import TrainingData
from reid_pipeline.methods import find_method
from reid_pipeline.schema.nested import merged
from reid_pipeline.schema.population import Population

pytestmark = pytest.mark.slow

SMALL = {
    "backbone": {"name": "demo-vit", "pretrained": None, "image_size": [48, 24]},
    "plan": {"epochs": 1, "iterations_per_epoch": 1, "batch_size": 8, "instances": 2},
    "clustering": {"k1": 6, "k2": 2, "eps": 0.8, "min_samples": 2},
}


def stage_and_model(recipe: str) -> tuple[Any, Any]:
    method = find_method("unsupervised_pcl")
    parameters = method.params.model_validate(merged(published("unsupervised_pcl"), {**SMALL, "recipe": recipe}))
    torch.manual_seed(0)
    return method.stages(parameters)[0], method.build(parameters, Population(4))


@pytest.mark.parametrize("recipe", ["released", "paper"])
def test_released_clusters_what_float32_embeds(
    data: TrainingData, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a training of bfloat16: the embeddings that are clustered are those of the tower without autocast, or not."""
    from reid_pipeline import clustering

    seen: list[np.ndarray] = []
    cluster = clustering.cluster_features
    monkeypatch.setattr(clustering, "cluster_features", lambda x, *given: seen.append(x) or cluster(x, *given))
    stage, model = stage_and_model(recipe)
    half = replace(data, runtime=Runtime(torch.device("cpu"), "bfloat16"))
    next(iter(stage.epoch_batches(model, half, 1)))
    mean, std = {
        "released": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "paper": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    }[recipe]
    pixels = data.images.batch(range(len(data.labels))).float() / 255
    pixels = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    model.eval()
    with torch.no_grad():
        features = model.encoder.encode_image(pixels, None)
        necked = model.final_neck(features.final), model.projected_neck(features.projected)
        wanted = normalize(torch.cat(necked, dim=1), dim=1).numpy()
    away = np.abs(seen[0] - wanted).max()
    assert away < 1e-5 if recipe == "released" else 1e-4 < away < 0.05
