"""Scores of a trial: those of the training that a run would do, on the dev split alone."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from published import published

from reid_pipeline.engine.checkpoint import checkpoint_of
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.training import TrainingRun, train_stage
from reid_pipeline.evaluation.dev_scores import dev_scores
from reid_pipeline.evaluation.extraction import extract_embeddings
from reid_pipeline.images.check import check_images
from reid_pipeline.images.decode import TargetSize
from reid_pipeline.images.reid_images import ReIDImages
from reid_pipeline.methods import find_method
from reid_pipeline.retrieval import evaluate_retrieval
from reid_pipeline.schema.parameters import EvaluationParameters, IngestionParameters, SplitParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.splits import normalise_splits
from reid_pipeline.tuning.trials import Unusable

BACKBONE = {"name": "demo-vit", "pretrained": None, "image_size": [32, 16]}
PLAN = {"iterations_per_epoch": 1, "batch_size": 8, "instances": 4, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def table(drawn_folder, drawn_files) -> pd.DataFrame:
    from reid_pipeline.readers.synthetic import read

    manifest = read(RawFolder(drawn_folder, tuple(drawn_files)), IngestionParameters(reader="synthetic"))
    facts = check_images(drawn_folder, manifest.manifest["path"].tolist())
    split = normalise_splits(manifest.manifest, facts, SplitParameters(dev_fraction=0.5)).split_table
    return split[split["split"].isin(["train", "dev_query", "dev_gallery"])].reset_index(drop=True)


@pytest.fixture
def make_run(table, drawn_folder, drawn_files, project):
    def make(name: str, **changed) -> TrainingRun:
        method = find_method(name)
        given = published(name)
        given["backbone"] |= BACKBONE
        given["plan"] |= {**PLAN, **changed.pop("plan", {})}
        for group, values in changed.items():
            given[group] = given[group] | values if isinstance(values, dict) else values
        raw = RawFolder(drawn_folder, tuple(drawn_files))
        runtime = Runtime(torch.device("cpu"))
        return TrainingRun(method, method.params.model_validate(given), table, raw, runtime, 0)

    return make


def by_hand(run: TrainingRun) -> list[float]:
    """The dev mAP after every epoch of the last stage, from what `train_stage` stores."""
    table, method = run.split_table, run.method
    resize = run.parameters.backbone.evaluation_resize
    earlier = None
    for name in method.stage_names:
        stored = [checkpoint_of(state) for state, _ in train_stage(run, name, None, earlier)]
        earlier = stored[-1]
    scores = []
    for checkpoint in stored:
        embedder = run.model(checkpoint).embedder()
        sides = [table[table["split"] == f"dev_{side}"] for side in ("query", "gallery")]
        features, ids = [], []
        for rows in sides:
            images = ReIDImages(run.raw_images.root, rows["path"].tolist(), TargetSize(32, 16, resize))
            camids = rows["camid"].to_numpy(np.int64)
            features.append(extract_embeddings(embedder, images, run.runtime, ids=(camids, None)))
            ids.append((rows["pid"].to_numpy(np.int64), camids))
        (query_pids, query_camids), (gallery_pids, gallery_camids) = ids
        result = evaluate_retrieval(*features, query_pids, gallery_pids, query_camids, gallery_camids)
        scores.append(result.mean_ap)
    return scores


@pytest.mark.slow
def test_the_scores_are_those_of_the_training_that_a_run_does(make_run) -> None:
    run = make_run("pcl", plan={"epochs": 3, "learning_rate": 0.05, "warmup_epochs": 0, "milestones": []})
    scores = list(dev_scores(run, EvaluationParameters(splits="test")))
    assert [(score.epoch, score.epochs) for score in scores] == [(1, 3), (2, 3), (3, 3)]
    assert [score.value for score in scores] == by_hand(run)
    assert len({score.value for score in scores}) > 1, "three epochs of equal score would hide a mix-up"


@pytest.mark.slow
def test_the_last_score_is_of_the_model_that_is_exported(make_run, monkeypatch) -> None:
    """Here that of the first epoch, since each model is judged worse than the one before, but for the untrained."""
    from reid_pipeline import clustering

    def scored(training) -> list[float]:
        qualities = iter((0.1, 0.9, 0.5))
        monkeypatch.setattr(clustering, "cluster_quality", lambda *_: next(qualities))
        return training(make_run("unsupervised_pcl", **changed))

    changed = {
        "plan": {"epochs": 2, "learning_rate": 0.05, "warmup_epochs": 0, "milestones": [], "instances": 2},
        "clustering": {"k1": 8, "k2": 2, "eps": 0.9, "min_samples": 2},
        "keep": "best",
    }
    first, last = scored(lambda run: [score.value for score in dev_scores(run, EvaluationParameters())])
    assert last == first
    assert scored(by_hand)[-1] == last


@pytest.mark.slow
def test_earlier_stages_are_trained_and_not_scored(make_run) -> None:
    prompts = {"plan": {**PLAN, "epochs": 2, "instances": None, "warmup_epochs": 0, "optimiser": "adam"}}
    run = make_run("clip_reid", plan={"epochs": 2, "warmup_epochs": 0, "milestones": []}, prompts=prompts)
    scores = list(dev_scores(run, EvaluationParameters()))
    assert [(score.epoch, score.epochs) for score in scores] == [(1, 2), (2, 2)]
    assert [score.value for score in scores] == by_hand(run)


@pytest.mark.slow
def test_every_few_epochs_and_the_last(make_run) -> None:
    run = make_run("baseline", plan={"epochs": 3})
    assert [score.epoch for score in dev_scores(run, EvaluationParameters(), every=2)] == [2, 3]
    assert [score.epoch for score in dev_scores(run, EvaluationParameters(), every=9)] == [3]


@pytest.mark.parametrize(
    ("name", "changed", "reason"),
    [
        ("unsupervised_pcl", {"clustering": {"k1": 8, "eps": 0.001, "min_samples": 30}}, "cluster"),
        ("baseline", {"plan": {"epochs": 3, "learning_rate": 1e15, "warmup_epochs": 0}}, "not finite"),
    ],
)
def test_what_cannot_be_trained_with_is_unusable(make_run, name, changed, reason) -> None:
    with pytest.raises(Unusable, match=re.compile(reason, re.IGNORECASE)):
        list(dev_scores(make_run(name, **changed), EvaluationParameters()))
