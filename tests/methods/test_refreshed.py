"""`clustering.every` and `clustering.refresh`: what is embedded when, what goes on in between, and what is measured."""

import io
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from published import published
from pydantic import ValidationError

from reid_pipeline import clustering
from reid_pipeline.clustering import cluster_features, cluster_quality
from reid_pipeline.engine.forecast import Forecast
from reid_pipeline.engine.loop import fit
from reid_pipeline.engine.rehearsal import Rehearsal
from reid_pipeline.engine.seeding import derived_seed
from reid_pipeline.engine.stage import TrainingData
from reid_pipeline.evaluation.extraction import extract_embeddings
from reid_pipeline.methods import find_method
from reid_pipeline.methods._refreshed import EpochClustering, RowVectors
from reid_pipeline.schema.nested import merged
from reid_pipeline.schema.population import Population
from reid_pipeline.schema.records import EpochRecord, ExportedModel

pytestmark = pytest.mark.slow

NAME = "unsupervised_pcl"
SMALL = {
    "recipe": "own_data",
    "keep": "last",
    "backbone": {"name": "demo-vit", "pretrained": None, "image_size": [48, 24]},
    "plan": {
        "epochs": 4, "iterations_per_epoch": 2, "batch_size": 8, "instances": 2, "warmup_epochs": 0,
        "learning_rate": 0.05,
    },
    "clustering": {"kind": "dbscan", "k1": 6, "k2": 2, "eps": 0.6, "min_samples": 2},
}  # fmt: skip
CHANGED = {"refresh": "changed", "changed": {"border": 0.2, "sampled": 0.2, "oldest": 2}}


def built(clusters: dict[str, Any], **given: Any) -> tuple[Any, Any]:
    """A stage, and a model of seed 0."""
    method = find_method(NAME)
    asked = merged(merged(published(NAME), SMALL), {"clustering": clusters, **given})
    parameters = method.params.model_validate(asked)
    torch.manual_seed(0)
    return method.stages(parameters)[0], method.build(parameters, Population(4))


def stored(state: Any) -> Any:
    """As the catalog stores and loads it."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, map_location="cpu", weights_only=True)


def equal(left: Any, right: Any) -> bool:
    """Equal to the bit, but for times and the optimiser, whose part the weights show."""
    if isinstance(left, dict):
        names = (left.keys() | right.keys()) - {"seconds", "optimiser"}
        return all(name in left and name in right and equal(left[name], right[name]) for name in names)
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(equal, left, right))
    return bool(left == right)


def embedded(model: Any, data: TrainingData) -> np.ndarray:
    return extract_embeddings(model.embedder(), data.plain_images, data.runtime, ids=data.ids)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_between_clusterings_labels_stay_and_the_memory_goes_on(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Any] = []

    def cluster(vectors: Any, settings: Any, *_: Any) -> Any:
        found.append((vectors, cluster_features(vectors, settings)))
        return found[-1][1]

    monkeypatch.setattr(clustering, "cluster_features", cluster)
    stage, model = built({"every": 2}, camera_aware={"kind": "none"}, memory={"update": "mean", "momentum": 0.3})
    steps: list[Any] = []
    move = stage.after_step

    def noted(batch: Any, output: Any) -> None:
        steps.append((output.retained["embeddings"].numpy().astype(np.float64), batch.labels.numpy()))
        move(batch, output)

    stage.after_step = noted
    training = fit(stage, model, data)
    clusterings = [(len(found), next(training)) and len(found) for _ in range(4)]
    assert clusterings == [1, 1, 2, 2]

    vectors, last = found[1]
    prototypes = np.stack(
        [unit(unit(vectors[last.labels == label]).mean(axis=0)) for label in range(last.labels.max() + 1)]
    ).astype(np.float64)
    for embeddings, labels in steps[4:]:  # two epochs of two steps, by the labels of epoch 3
        for embedding, label in zip(embeddings, labels, strict=True):
            prototypes[label] = unit(0.3 * prototypes[label] + 0.7 * embedding)
    assert stage.memory.prototypes.numpy() == pytest.approx(prototypes, abs=1e-5)


@pytest.fixture(scope="module")
def both(data: TrainingData) -> list[Any]:
    """The states of a training by both parameters, with proxies, that looks for its best model; as they are stored."""
    stage, model = built({**CHANGED, "every": 2}, keep="best")
    return [stored(progress.state) for progress in fit(stage, model, data)]


@pytest.mark.parametrize("killed_after", [1, 2])
def test_a_killed_run_goes_on_to_the_same_bits(killed_after: int, both: list[Any], data: TrainingData) -> None:
    assert "clusters" in both[0]["clustered"]["memory"], "cameras make these proxies"
    stage, model = built({**CHANGED, "every": 2}, keep="best")
    *_, last = fit(stage, model, data, resume=both[killed_after - 1])
    assert equal(stored(last.state), both[-1])
    stage, model = built({**CHANGED, "every": 2}, keep="best")
    (over,) = fit(stage, model, data, resume=both[-1])
    assert equal(stored(over.state), both[-1])


def test_only_models_whose_vectors_are_all_their_own_are_compared(data: TrainingData, both: list[Any]) -> None:
    assert [each is None for each in both[-1]["best"]["measures"]] == [False, True, True, True, False]
    stage, model = built({"every": 2}, keep="best", plan={"epochs": 3})
    wanted: list[float | None] = []
    for epoch in range(4):
        if epoch != 1:
            vectors = embedded(model, data)
            settings = stage.parameters.clustering
            wanted.append(cluster_quality(vectors, settings, cluster_features(vectors, settings)))
        else:
            wanted.append(None)
        if not epoch:
            training = fit(stage, model, data)
        if epoch < 3:
            progress = next(training)
    assert progress.state["best"]["measures"] == pytest.approx(wanted, abs=1e-6)
    records = [EpochRecord.of(record, "0" * 64) for record in progress.history]
    assert [record.clustered_in for record in records] == [1, 1, 3]
    first, between, _ = records
    assert (between.clusters, between.noise_share) == (first.clusters, first.noise_share)
    assert between.cluster_quality is between.stability is None
    assert between.seconds["extraction"] == 0
    exported = records[-1].exported
    assert isinstance(exported, ExportedModel)
    assert exported.measure == exported.measures[exported.epoch]


def test_vectors_are_of_the_epochs_that_a_slow_reading_gives(data: TrainingData) -> None:
    stage, model = built(CHANGED)
    settings, rows = stage.parameters.clustering, range(len(data.labels))
    vectors: dict[int, np.ndarray] = {}
    origins: dict[int, int] = {}
    due = set(rows)
    training = fit(stage, model, data)
    for epoch in range(1, 5):
        present = embedded(model, data)
        for row in due:
            vectors[row], origins[row] = present[row], epoch
        progress = next(training)
        state, record = progress.state["vectors"], EpochRecord.of(progress.history[-1], "0" * 64)
        assert state["origins"].tolist() == [origins[row] for row in rows]
        assert state["vectors"].numpy() == pytest.approx(np.stack([vectors[row] for row in rows]), abs=1e-5)
        ages = [epoch - origins[row] for row in rows]
        assert record.embedded_share == pytest.approx(len(due) / len(rows))
        assert (record.mean_age, record.oldest_age) == (pytest.approx(sum(ages) / len(ages)), max(ages))
        assert max(ages) <= 2

        found = cluster_features(state["vectors"].numpy(), settings)
        clustered = sorted((found.silhouettes[row], row) for row in rows if found.labels[row] >= 0)
        due = {row for row in rows if found.labels[row] < 0}
        due |= {row for _, row in clustered[: math.ceil(0.2 * len(clustered))]}
        chance = np.random.default_rng(derived_seed(0, stage.name, "refresh", epoch + 1))
        due |= {row for row, figure in enumerate(chance.random(len(rows))) if figure < 0.2}
        due |= {row for row in rows if epoch + 1 - origins[row] > 2}
    assert len(set(origins.values())) > 1, "vectors of one epoch would hide a mix-up"


def test_a_border_of_all_rows_is_refresh_all(data: TrainingData) -> None:
    given = {"plan": {"epochs": 2}}
    *_, every_row = fit(*built({"refresh": "changed", "changed": {"border": 1.0}}, **given), data)
    *_, plain = fit(*built({}, **given), data)
    assert equal(every_row.state["model"], plain.state["model"])
    assert not {"vectors", "clustered"} & plain.state.keys()
    assert "clustered_in" not in plain.history[-1]


def test_rows_that_are_due_by_hand() -> None:
    rows = RowVectors(EpochClustering(changed={"border": 0.4, "sampled": 0.0, "oldest": 3}))
    data: Any = SimpleNamespace(labels=np.zeros(6), seed=0, ids=(None, None))
    rows.renewed(lambda _: np.eye(6, dtype=np.float32), data, stage="s", epoch=1)
    found: Any = SimpleNamespace(
        labels=np.array([0, 0, -1, 1, 1, 1]), silhouettes=np.array([0.5, 0.1, 0.0, 0.1, -0.2, 0.9])
    )
    rows.seen(found.labels, found.silhouettes)
    # Noise; of five clustered rows the two of the smallest silhouettes, of equals the earlier row.
    due = rows.due(0, stage="s", epoch=2)
    assert due is not None
    assert due.tolist() == [False, True, True, False, True, False]
    assert np.all(rows.due(0, stage="s", epoch=5)), "all are older than 3 epochs"


def test_the_forecast_counts_what_is_embedded(data: TrainingData) -> None:
    stage, _ = built({**CHANGED, "every": 2})
    assert stage.work.uncounted == ("clustering", "the vectors of noise and of old rows")
    measured = Rehearsal(8, 0.0, 1.0, 1)
    start: Any = None
    seconds = Forecast(start, stage, data, frozenset())._seconds(stage, measured, 5)
    assert seconds == pytest.approx(len(data.images) * (1 + 2 * (0.2 + 0.8 * 0.2)))


@pytest.mark.parametrize(
    ("given", "named"),
    [({"every": 0}, "every"), ({"refresh": "some"}, "refresh"), ({"changed": {"border": 1.5}}, "border"),
     ({"changed": {"oldest": 0}}, "oldest"), ({"changed": {"boder": 0.1}}, "border"),
     ({"refresh": "changed", "every": 3, "changed": {"oldest": 2}}, "would keep no vector: they are 3 epochs old"),
     ({"refresh": "changed", "every": 5}, "Give changed.oldest 10 or more")],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        EpochClustering.model_validate(given)
