"""One training of bench/collapse.py: a cell of its grid, scored before training and after every epoch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
PEOPLE_OR_VEHICLES: Mapping[str, Literal["people", "vehicles"]] = {
    "synthetic": "people",
    "synthetic_vehicles": "vehicles",
}
METHOD = "unsupervised_pcl"
TESTED = ("dev", "test")
DEV_FRACTION = 0.25
# Shortened, so that 120 cells take about half an hour on two quiet cores. The demo takes 10 epochs of 40 steps of 128
# images, the first of them at a hundredth of the rate. Of the training identities that are not the dev split's, and of
# those of the test split, so many take part, sampled by hash; the test has no distractors. Batches stay as large as the
# demo's: smaller ones, with more steps, learnt less or harmed (tried on dev, seed 0, DBSCAN, k1 15, eps 0.5).
PLAN: dict[str, Any] = {
    "epochs": 3,
    "iterations_per_epoch": 8,
    "batch_size": 128,
    "warmup_epochs": 0,
    "milestones": [2],
}
TRAINING_IDENTITIES = 36
TEST_IDENTITIES = 16


@dataclass(frozen=True)
class Cell:
    """A training."""

    benchmark: str
    kind: str
    k1: int
    eps: float | str
    seed: int

    @property
    def file(self) -> str:
        """Its file below the folder of results."""
        return f"{self.benchmark}/{self.kind}_k1_{self.k1}_eps_{self.eps}_seed_{self.seed}.json"


@dataclass(frozen=True)
class Images:
    """A benchmark, drawn and split."""

    benchmark: str
    raw: Any
    split_table: pd.DataFrame


def drawn(benchmark: str, folder: Path) -> Images:
    """Draw a benchmark, unless the same lies in the folder, and part it with a dev split and a smaller test."""
    from reid_pipeline.images.check import check_images
    from reid_pipeline.io.raw import SyntheticBenchmarkDataset
    from reid_pipeline.pipelines.ingestion import read_manifest
    from reid_pipeline.schema.columns import PATH, PID, SPLIT
    from reid_pipeline.schema.parameters import IngestionParameters, SplitParameters
    from reid_pipeline.splits import normalise_splits
    from reid_pipeline.splits.sampling import sampled_identities

    raw = SyntheticBenchmarkDataset(filepath=str(folder / benchmark), kind=PEOPLE_OR_VEHICLES[benchmark]).load()
    manifest, _ = read_manifest(raw, None, IngestionParameters(reader=benchmark))
    facts = check_images(raw.root, manifest[PATH].tolist())
    table = normalise_splits(manifest, facts, SplitParameters(dev_fraction=DEV_FRACTION)).split_table
    asked = sampled_identities(table[table[SPLIT] == "query"], TEST_IDENTITIES, 0, "collapse")
    learnt = sampled_identities(table[table[SPLIT] == "train"], TRAINING_IDENTITIES, 0, "collapse")
    wanted = {"query": asked, "gallery": asked, "train": learnt}
    used = ~table[SPLIT].isin(list(wanted))
    for split, identities in wanted.items():
        used |= (table[SPLIT] == split) & table[PID].isin(identities)
    return Images(benchmark, raw, table[used].reset_index(drop=True))


class Shared:
    """What the cells of a process share: decoded images, and which of them are tested on."""

    def __init__(self, images: Images) -> None:
        import torch

        from reid_pipeline.engine.runtime import Runtime
        from reid_pipeline.evaluation.protocol import retrieval_draws, retrieval_rows
        from reid_pipeline.schema.columns import PATH, REPEAT, TEST_SET
        from reid_pipeline.schema.parameters import EvaluationParameters

        self.images = images
        self.runtime = Runtime(torch.device("cpu"), threads=torch.get_num_threads())
        none = pd.DataFrame({TEST_SET: [], REPEAT: [], PATH: []})
        self.evaluations = {split: EvaluationParameters(splits=split, resamples=0) for split in TESTED}
        self.draws = {
            split: retrieval_draws(images.split_table, none, how)[0] for split, how in self.evaluations.items()
        }
        self.rows = {split: retrieval_rows(images.split_table, [draw]) for split, draw in self.draws.items()}

    def run(self, parameters: Any, seed: int) -> Any:
        """Return a training on these images."""
        from reid_pipeline.engine.training import TrainingRun
        from reid_pipeline.methods import find_method

        images = self.images
        read = find_method(METHOD), parameters, images.split_table, images.raw, self.runtime, seed
        return TrainingRun(*read, benchmark=images.benchmark)

    @cached_property
    def training(self) -> Any:
        """The training images."""
        return self.run(parameters_of(Cell(self.images.benchmark, "dbscan", 15, 0.5, 0)), 0).data()

    @cached_property
    def tested(self) -> Any:
        """The images of both tests, dev before test."""
        from reid_pipeline.engine.loading import images_of_rows

        rows = self.images.split_table.iloc[np.concatenate(list(self.rows.values()))]
        size, memory = self.training.plain_images.target, self.runtime.image_memory
        return images_of_rows(rows, self.images.raw, size, self.runtime, None, memory_limit=memory)

    @cached_property
    def identities(self) -> dict[str, np.ndarray]:
        """Pids and cameras of the rows that are embedded, for what is tried on stored embeddings."""
        rows = {"train": np.flatnonzero(self.images.split_table["split"] == "train"), **self.rows}
        columns = {name: self.images.split_table[name].to_numpy(np.int64) for name in ("pid", "camid")}
        queries = {f"{split}_queries": np.array(len(draw.query_rows)) for split, draw in self.draws.items()}
        return {f"{split}_{name}": all_[own] for split, own in rows.items() for name, all_ in columns.items()} | queries

    def embedded(self, model: Any) -> dict[str, Any]:
        """Return the embeddings of the rows of each test."""
        from reid_pipeline.evaluation.extraction import extract_embeddings
        from reid_pipeline.schema.embeddings import Embeddings

        vectors = extract_embeddings(model.embedder(), self.tested, self.runtime)
        parts = np.split(vectors, [len(self.rows["dev"])])
        return {split: Embeddings(self.rows[split], part) for split, part in zip(TESTED, parts, strict=True)}

    def scores(self, embeddings: Mapping[str, Any]) -> dict[str, float]:
        """Return mAP and Rank-1 of each test."""
        from reid_pipeline.evaluation.protocol import retrieval_inputs, score

        found: dict[str, float] = {}
        for split, how in self.evaluations.items():
            inputs = retrieval_inputs(embeddings[split], self.images.split_table, self.draws[split], how)
            result = score(inputs, how)
            found |= {f"{split}_mAP": float(result.mean_ap), f"{split}_rank1": float(result.rank(1))}
        return found


def measures(features: np.ndarray, clustering: Any, settings: Any, before: np.ndarray | None, data: Any) -> Any:
    """Return what a model's clusters look like, without labels; and their ARI, which nothing is decided by."""
    from reid_pipeline.clustering import cluster_quality, graph_modularity, label_measures, pseudo_label_quality

    quality = pseudo_label_quality(clustering.labels, data.labels)
    return {
        "clusters": quality.clusters,
        "noise_share": quality.noise_share,
        "ari": quality.ari,
        "modularity": graph_modularity(clustering.similarity, clustering.labels),
        "cluster_quality": cluster_quality(features, settings, clustering),
        "stability": None,  # of the first labels
        "camera_balance": None,  # without cameras
        "eps": float(clustering.eps),
        "split": clustering.split,
        **label_measures(clustering.silhouettes, clustering.labels, before=before, camids=data.camids),
    }


def parameters_of(cell: Cell, plan: Mapping[str, Any] | None = None) -> Any:
    """Return the parameters of a cell: the benchmark's in conf, the short plan, and what the cell varies."""
    from reid_pipeline.methods import find_method
    from reid_pipeline.schema.nested import merged

    clustering = {"kind": cell.kind, "k1": cell.k1, "eps": cell.eps}
    clustering |= {"largest_share": 1.0, "join_within": 0.0} if cell.kind == "dbscan" else {}
    params = find_method(METHOD).params
    own = {"plan": {**PLAN, **(plan or {})}, "clustering": clustering} | (
        {"keep": "last"} if "keep" in params.model_fields else {}
    )
    return params.model_validate(merged(configured(cell.benchmark), own))


@cache
def configured(benchmark: str) -> dict[str, Any]:
    """Return the method's parameters for a benchmark, as conf has them."""
    from reid_pipeline.config.loader import LayeredConfigLoader
    from reid_pipeline.settings import CONFIG_LOADER_ARGS

    parameters: dict[str, Any] = LayeredConfigLoader(str(ROOT / "conf"), benchmark, **CONFIG_LOADER_ARGS)["parameters"]
    return dict(parameters[METHOD])


def trained(cell: Cell, shared: Shared, parameters: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Train a cell; return its figures and all embeddings by split and epoch."""
    from reid_pipeline.clustering import ClusteringCollapse, cluster_features
    from reid_pipeline.engine.finite import NotFinite
    from reid_pipeline.engine.loop import fit
    from reid_pipeline.methods.unsupervised_pcl import ClusterContrastStage

    class Watched(ClusterContrastStage):
        embeddings: np.ndarray  # of the training images, as they were last asked for

        def embed_all(self, *given: Any, **options: Any) -> np.ndarray:
            self.embeddings = super().embed_all(*given, **options)
            return self.embeddings

    run, data = shared.run(parameters, cell.seed), replace(shared.training, seed=cell.seed)
    model, stage, stopped = run.model(), Watched(parameters), ""
    tested, train = [shared.embedded(model)], []
    try:
        for _ in fit(stage, model, data):
            train.append(stage.embeddings)  # of the model that the epoch began with
            tested.append(shared.embedded(model))
        stage.embed_all(model, data, float32=True)
    except (ClusteringCollapse, NotFinite) as error:
        stopped = str(error)
    train.append(stage.embeddings)
    epochs: list[dict[str, Any]] = []
    settings, before = parameters.clustering, None
    for epoch, (own, others) in enumerate(zip(train, tested, strict=True)):
        clustering = cluster_features(own, settings)
        epochs.append({"epoch": epoch, **shared.scores(others), **measures(own, clustering, settings, before, data)})
        before = clustering.labels
    vectors = {f"train_{epoch}": own for epoch, own in enumerate(train)}
    vectors |= {f"{split}_{epoch}": each[split].vectors for epoch, each in enumerate(tested) for split in TESTED}
    return {"stopped": stopped, "epochs": epochs}, vectors
