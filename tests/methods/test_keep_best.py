"""`unsupervised_pcl.keep`: which model is exported, judged by its clusters alone."""

import io
from dataclasses import replace
from typing import Any

import networkx
import numpy as np
import pytest
import torch
from published import published
from sklearn.metrics import adjusted_rand_score, silhouette_samples

from reid_pipeline import clustering
from reid_pipeline.clustering import ClusteringCollapse, cluster_features
from reid_pipeline.clustering.cluster_quality import reference
from reid_pipeline.engine.best_model import WORTH_TRAINING
from reid_pipeline.engine.loop import Progress, fit
from reid_pipeline.engine.stage import TrainingData
from reid_pipeline.evaluation.extraction import extract_embeddings
from reid_pipeline.methods import find_method
from reid_pipeline.schema.nested import merged
from reid_pipeline.schema.population import Population

pytestmark = pytest.mark.slow

NAME = "unsupervised_pcl"
SMALL = {
    "recipe": "own_data",
    "backbone": {"name": "demo-vit", "pretrained": None, "image_size": [48, 24]},
    "plan": {
        "epochs": 3, "iterations_per_epoch": 2, "batch_size": 8, "instances": 2, "warmup_epochs": 0,
        "learning_rate": 0.05,
    },
    "clustering": {"kind": "dbscan", "k1": 6, "k2": 2, "eps": 0.8, "min_samples": 2},
}  # fmt: skip
TIMES = {"seconds"}


def built(**given: Any) -> tuple[Any, Any]:
    """A stage, and a model of seed 0."""
    method = find_method(NAME)
    parameters = method.params.model_validate(merged(published(NAME), {**SMALL, **given}))
    torch.manual_seed(0)
    return method.stages(parameters)[0], method.build(parameters, Population(4))


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(left: Any, right: Any) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def untimed(history: Any) -> list[dict[str, Any]]:
    return [{name: value for name, value in record.items() if name not in TIMES} for record in history]


def stored(state: Any) -> Any:
    """As the catalog stores and loads it."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, map_location="cpu", weights_only=True)


def clusters_of(model: Any, data: TrainingData, settings: Any) -> Any:
    embeddings = extract_embeddings(model.embedder(), data.plain_images, data.runtime, ids=data.ids)
    return cluster_features(embeddings, settings)


def quality_by_hand(found: Any) -> float:
    """Scikit-learn's silhouette on the dense distance, 0 of noise and of a single cluster; times the modularity."""
    labels, rows = found.labels, np.zeros(len(found.labels))
    clustered = labels >= 0
    similarity = found.similarity.toarray().astype(np.float64)
    if len(set(labels[clustered].tolist())) > 1:
        distance = 1.0 - similarity
        np.fill_diagonal(distance, 0.0)
        inner = distance[np.ix_(clustered, clustered)]
        rows[clustered] = silhouette_samples(inner, labels[clustered], metric="precomputed")
    np.fill_diagonal(similarity, 0.0)
    groups = [set(np.flatnonzero(labels == each).tolist()) for each in set(labels[clustered].tolist())]
    groups += [{row} for row in np.flatnonzero(~clustered).tolist()]
    graph = networkx.from_numpy_array(similarity)
    return float(rows.mean() * networkx.community.modularity(graph, groups, weight="weight"))


@pytest.fixture(scope="module")
def whole(data: TrainingData) -> tuple[list[Any], list[float], list[Any], Progress]:
    """Clusters, quality and weights of the model after each epoch, from 0, found beside the training; and its end."""
    stage, model = built()
    judge = reference(len(data.labels))
    clusters, models = [clusters_of(model, data, stage.parameters.clustering)], [weights(model)]
    qualities, seen = [quality_by_hand(clusters_of(model, data, judge))], []
    for progress in fit(stage, model, data):
        seen.append(progress)
        clusters.append(clusters_of(model, data, stage.parameters.clustering))
        qualities.append(quality_by_hand(clusters_of(model, data, judge)))
        models.append(weights(model))
    return clusters, qualities, models, seen[-1]


def test_the_exported_model_has_the_best_clusters_of_all(whole: Any) -> None:
    _, wanted, models, last = whole
    best = last.state["best"]
    assert best["measures"] == pytest.approx(wanted, abs=1e-6)
    assert len(set(wanted)) == 4, "four models of equal clusters would hide a mix-up"
    worth = max(wanted) > wanted[0] + WORTH_TRAINING * abs(wanted[0])
    assert best["epoch"] == (int(np.argmax(wanted)) if worth else 0)
    assert equal(best["model"], models[best["epoch"]])


def test_a_record_has_the_figures_of_the_labels_that_its_epoch_was_trained_with(whole: Any, data: TrainingData) -> None:
    clusters, *_, last = whole
    figures = [*last.history, last.history[-1]["after"]]
    for place, (found, record) in enumerate(zip(clusters, figures, strict=True)):
        sizes = np.bincount(found.labels[found.labels >= 0])
        assert record["clusters"] == len(sizes)
        assert record["largest_cluster"] == sizes.max() / len(found.labels)
        assert (record["eps"], record["split_clusters"]) == (0.8, found.split)
        assert record["silhouette"] == pytest.approx(found.silhouette, abs=1e-12)
        assert 0 <= record["camera_balance"] <= 1
        assert ("stability" in record) is (place > 0)
        if place and -1 not in {*found.labels.tolist(), *clusters[place - 1].labels.tolist()}:
            wanted = adjusted_rand_score(clusters[place - 1].labels, found.labels)
            assert record["stability"] == pytest.approx(wanted, abs=1e-12)
    assert last.state["labels"]["present"].tolist() == clusters[3].labels.tolist()
    assert last.state["labels"]["before"].tolist() == clusters[2].labels.tolist()
    assert len(data.labels) == len(clusters[0].labels)


@pytest.mark.parametrize("killed_after", [1, 2])
def test_a_killed_run_exports_the_same_bits(killed_after: int, whole: Any, data: TrainingData) -> None:
    *_, last = whole
    stage, model = built()
    killed = fit(stage, model, data)
    states = [stored(next(killed).state) for _ in range(killed_after)]
    stage, model = built()
    *_, resumed = fit(stage, model, data, resume=states[-1])
    assert equal(resumed.state["best"]["model"], last.state["best"]["model"])
    assert {**resumed.state["best"], "model": 0} == {**last.state["best"], "model": 0}
    assert untimed(resumed.history) == untimed(last.history)
    assert equal(resumed.state["labels"], last.state["labels"])


def test_keep_last_is_the_same_training_with_one_clustering_less(
    whole: Any, data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, models, best = whole
    calls: list[int] = []
    monkeypatch.setattr(clustering, "cluster_features", lambda *given: calls.append(1) or cluster_features(*given))
    stage, model = built(keep="last")
    *_, last = fit(stage, model, data)
    assert len(calls) == 3
    assert equal(weights(model), models[-1])
    assert "best" not in last.state
    left_out = {"after", "exported"}
    assert untimed(last.history) == [
        {name: value for name, value in record.items() if name not in left_out} for record in untimed(best.history)
    ]


class TestCollapse:
    """Labels of no use in the middle of a training."""

    @pytest.fixture
    def collapsing(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Clusterings from the given one on find nothing."""

        def make(first: int) -> None:
            made: list[int] = []

            def cluster(*given: Any) -> Any:
                made.append(1)
                found = cluster_features(*given)
                return replace(found, labels=np.full_like(found.labels, -1)) if len(made) >= first else found

            monkeypatch.setattr(clustering, "cluster_features", cluster)

        return make

    def test_with_best_training_ends_and_what_was_best_is_exported(
        self, whole: Any, data: TrainingData, collapsing: Any
    ) -> None:
        *_, models, _ = whole
        collapsing(3)
        stage, model = built()
        *_, before, last = fit(stage, model, data)
        assert (before.epoch, before.ended) == (2, "")
        assert last.epoch == 2
        assert last.ended.startswith("Clustering collapsed: no cluster was found (0 clusters, 100.0% noise")
        best = last.state["best"]
        assert len(best["measures"]) == 2
        assert equal(best["model"], models[best["epoch"]])
        assert last.history[-1]["exported"]["ended"] == last.ended

    def test_after_the_last_epoch_it_is_noted(self, data: TrainingData, collapsing: Any) -> None:
        collapsing(4)
        stage, model = built()
        *_, last = fit(stage, model, data)
        assert (last.epoch, last.ended) == (3, "")
        assert last.history[-1]["after"]["clusters"] == 0

    @pytest.mark.parametrize(("keep", "first"), [("last", 2), ("last", 1), ("best", 1)])
    def test_else_it_is_an_error(self, keep: str, first: int, data: TrainingData, collapsing: Any) -> None:
        collapsing(first)
        stage, model = built(keep=keep)
        with pytest.raises(ClusteringCollapse, match="no cluster was found"):
            list(fit(stage, model, data))


def test_the_measure_is_one_function(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever replaces it replaces it throughout: here each model is worse than the one before."""
    seen: list[Any] = []
    monkeypatch.setattr(clustering, "cluster_quality", lambda *given: seen.append(given) or -float(len(seen)))
    stage, model = built()
    start = weights(model)
    *_, last = fit(stage, model, data)
    assert last.state["best"]["measures"] == [-1.0, -2.0, -3.0, -4.0]
    assert equal(last.state["best"]["model"], start)
    assert [record["cluster_quality"] for record in last.history] == [-1.0, -2.0, -3.0]
