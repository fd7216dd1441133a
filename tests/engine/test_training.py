"""From a split table to training: the rows, the fingerprint, going on or starting anew."""

import logging
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from reid_pipeline.engine.batches import augmented_batches
from reid_pipeline.engine.checkpoint import Checkpoint, checkpoint_of
from reid_pipeline.engine.finite import NotFinite
from reid_pipeline.engine.progress import late_bar, track
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.stage import Method, TrainingData
from reid_pipeline.engine.training import (
    TrainingRun,
    built_embedder,
    exported_embedder,
    known_ids,
    population_of,
    train_stage,
)
from reid_pipeline.evaluation.embedding import embed_test_rows
from reid_pipeline.evaluation.extraction import extract_embeddings
from reid_pipeline.evaluation.ranked_queries import choose_ranked_queries
from reid_pipeline.evaluation.run_card import FinishedRun, make_run_card
from reid_pipeline.images.augment import augment
from reid_pipeline.images.cache import ImageCache
from reid_pipeline.images.decode import TargetSize, read_image
from reid_pipeline.images.reid_images import ReIDImages
from reid_pipeline.schema.addresses import Cell
from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.parameters import (
    AugmentationParameters,
    BackboneParameters,
    EvaluationParameters,
    IngestionParameters,
    ReportParameters,
    SplitParameters,
    TrainingPlan,
)
from reid_pipeline.schema.population import Population
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.records import EpochRecord, Metrics, StageDescription
from reid_pipeline.splits import SplitTables, data_hash, normalise_splits

CPU = Runtime(torch.device("cpu"))
NO_GALLERIES = pd.DataFrame({"test_set": [], "repeat": [], "path": []})


class ToyParameters(Parameters):
    backbone: BackboneParameters = BackboneParameters(name="demo-vit", image_size=(8, 4))
    plan: TrainingPlan
    mood: str = "good"


def tables_of(folder, files):
    from reid_pipeline.images.check import check_images
    from reid_pipeline.readers.synthetic import read

    manifest = read(RawFolder(folder, tuple(files)), IngestionParameters(reader="synthetic")).manifest
    return normalise_splits(manifest, check_images(folder, manifest["path"].tolist()), SplitParameters())


@pytest.fixture(scope="module")
def split_table(drawn_folder, drawn_files):
    return tables_of(drawn_folder, drawn_files).split_table


@pytest.fixture
def make_run(split_table, drawn_folder, drawn_files, toy_stage, make_plan, make_model):
    def make(**options: Any) -> TrainingRun:
        method = Method(
            name="toy",
            params=ToyParameters,
            build=lambda *_: make_model(seed=torch.initial_seed() % 1000),
            stages=lambda parameters: (toy_stage(parameters.plan),),
            stage_names=("toy",),
            label_use="all",
            description="A toy.",
        )
        defaults = {
            "method": method,
            "parameters": ToyParameters(plan=make_plan()),
            "split_table": split_table,
            "raw_images": RawFolder(drawn_folder, tuple(drawn_files)),
            "runtime": CPU,
            "seed": 3,
        }
        return TrainingRun(**{**defaults, **options})

    return make


TOY = SimpleNamespace(name="toy", reads=())


def fingerprint(run):
    return run.origin(TOY).fingerprint


def trained(run, resume_point):
    """The only stage of the toy method."""
    return train_stage(run, "toy", resume_point)


def copied(state):
    return {key: copied(value) if isinstance(value, dict) else _clone(value) for key, value in state.items()}


def _clone(value):
    return value.clone() if isinstance(value, torch.Tensor) else value


def warnings_in(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


class TestData:
    def test_the_training_rows_alone(self, make_run, split_table, drawn_folder):
        data = make_run().data()
        train = split_table[split_table["split"] == "train"]
        assert data.images.paths == train["path"].tolist()
        assert data.images.root == drawn_folder
        assert (data.images.size, data.seed) == ((8, 4), 3)
        assert data.labels.dtype == data.camids.dtype == np.int64
        assert data.labels.tolist() == train["label"].tolist()
        assert data.camids.tolist() == train["camid"].tolist()
        assert sorted(set(data.labels)) == list(range(8))

    def test_unknown_cameras(self):
        assert known_ids(pd.Series([pd.NA, pd.NA], dtype="Int64")) is None
        assert known_ids(pd.Series([2, pd.NA], dtype="Int64")).tolist() == [2, -1]

    def test_the_cache_is_filled_and_changes_nothing(self, make_run, tmp_path):
        runtime = Runtime(torch.device("cpu"), image_cache_limit=10**9)
        run = make_run(runtime=runtime, image_cache=ImageCache(tmp_path / "images"))
        assert fingerprint(run) == fingerprint(make_run())
        data, plain = run.data(), make_run().data()
        assert (tmp_path / "images/8x4_bicubic_1/pixels").stat().st_size == len(plain.images) * 8 * 4 * 3
        rows = range(len(plain.images))
        assert torch.equal(data.images.batch(rows), plain.images.batch(rows))


class TestFingerprint:
    def test_it_is_stable(self, make_run):
        assert fingerprint(make_run()) == fingerprint(make_run())
        assert re.fullmatch("[0-9a-f]{64}", fingerprint(make_run()))

    def test_all_that_decides_the_result_is_in_it(self, make_run, make_plan, split_table, tmp_path):
        def stretched(**options):
            return fingerprint(make_run(**options))

        def from_weights(content):
            weights = tmp_path / "weights.pt"
            weights.write_bytes(content)
            backbone = BackboneParameters(name="demo-vit", pretrained=str(weights), image_size=(8, 4))
            return ToyParameters(plan=make_plan(), backbone=backbone)

        changed_data = split_table.copy()
        changed_data.loc[0, "sha256"] = "f" * 64
        prints = [
            stretched(),
            stretched(seed=4),
            stretched(parameters=ToyParameters(plan=make_plan(epochs=5))),
            stretched(parameters=ToyParameters(plan=make_plan(), mood="bad")),
            stretched(split_table=changed_data),
            stretched(runtime=Runtime(torch.device("cpu"), "bfloat16")),
            stretched(parameters=from_weights(b"first")),
            stretched(parameters=from_weights(b"other")),  # at the same path
        ]
        assert len(set(prints)) == len(prints)

    def test_what_does_not_decide_it_is_not(self, make_run, split_table, tmp_path, monkeypatch):
        for runtime in (
            Runtime(torch.device("cpu"), image_memory=5),
            Runtime(torch.device("cpu"), threads=7),
            Runtime(torch.device("cuda:0")),
        ):
            assert fingerprint(make_run(runtime=runtime)) == fingerprint(make_run())
        monkeypatch.setattr("reid_pipeline.engine.training.__version__", "999")
        moved = make_run(raw_images=RawFolder(tmp_path, ()), split_table=split_table.sample(frac=1, random_state=0))
        assert fingerprint(moved) == fingerprint(make_run())


class TestTrainStages:
    def test_state_and_history_of_every_epoch(self, make_run):
        run = make_run()
        seen = [(copied(state), history) for state, history in trained(run, None)]
        assert [len(history) for _, history in seen] == [1, 2, 3, 4]
        assert {record.run for _, history in seen for record in history} == {fingerprint(run)}
        origins = {StageDescription(**state["description"]).origin.fingerprint for state, _ in seen}
        assert origins == {fingerprint(run)}
        assert {record.clusters for _, history in seen for record in history} == {3}

    def test_a_killed_run_goes_on(self, make_run, caplog):
        *_, (whole, _) = trained(make_run(), None)
        killed = trained(make_run(), None)
        next(killed)
        state = copied(next(killed)[0])
        with caplog.at_level(logging.INFO):
            *_, (resumed, history) = trained(make_run(), state)
        assert "Going on after epoch 2, where the last run stopped." in caplog.messages
        assert all(torch.equal(whole["model"][key], resumed["model"][key]) for key in whole["model"])
        assert [record.epoch for record in history] == [1, 2, 3, 4]

    @pytest.mark.parametrize("change", ["seed", "parameter", "data"])
    def test_something_else_starts_anew_with_a_warning(self, make_run, make_plan, split_table, change, caplog):
        killed = trained(make_run(), None)
        next(killed)
        state = copied(next(killed)[0])
        data = split_table.copy()
        data.loc[5, "sha256"] = "0" * 64
        options = {
            "seed": {"seed": 4},
            "parameter": {"parameters": ToyParameters(plan=make_plan(learning_rate=0.2))},
            "data": {"split_table": data},
        }[change]
        with caplog.at_level(logging.WARNING):
            training = trained(make_run(**options), state)
            assert next(training)[0]["epoch"] == 1
        (message,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        says = {
            "seed": "seed was 3 and is 4",
            "parameter": r"parameters\.toy\.plan\.learning_rate was [\d.]+ and is 0\.2",
            "data": "data was '[0-9a-f]{64}' and is '[0-9a-f]{64}'",
        }[change]
        assert re.search(rf"after epoch 2, but it is of another training \({says}\): training starts anew", message)

    def test_another_number_of_threads_is_said(self, make_run, caplog):
        killed = trained(make_run(runtime=Runtime(torch.device("cpu"), threads=1)), None)
        state = copied(next(killed)[0])
        with caplog.at_level(logging.WARNING):
            next(trained(make_run(runtime=Runtime(torch.device("cpu"), threads=2)), state))
        says = "Threads was 1 and is 2: bits may differ from those of an unbroken run."
        assert says in caplog.messages

    def test_the_seed_decides_the_initial_weights(self, make_run):
        def weights(seed):
            (state, _) = next(trained(make_run(seed=seed), None))
            return state["model"]["0.weight"]

        torch.manual_seed(0)
        first = weights(1).clone()
        torch.manual_seed(5)
        assert torch.equal(weights(1), first)
        assert not torch.equal(weights(2), first)

    def test_each_epoch_is_logged(self, make_run, caplog):
        with caplog.at_level(logging.INFO, "reid_pipeline"):
            list(trained(make_run(), None))
        lines = [line for line in caplog.messages if line.startswith("toy epoch")]
        assert len(lines) == 4
        assert re.fullmatch(r"toy epoch 2/4, loss \d+\.\d{3}, 3 clusters, [\d.]+ s", lines[1])


class TestNotFinite:
    """Nothing is trained, gone on from or exported that holds NaN or infinity."""

    @pytest.mark.parametrize("where", ["model", "optimiser"])
    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_a_poisoned_state_is_set_aside(self, make_run, caplog, where, value):
        """As version 0.1.0 stored it at a learning rate far too high."""
        state = copied(next(trained(make_run(), None))[0])
        tensors = state["model"] if where == "model" else state["optimiser"]["state"][0]
        name = "0.weight" if where == "model" else "momentum_buffer"
        tensors[name].view(-1)[2] = value
        with caplog.at_level(logging.WARNING):
            (again, _) = next(trained(make_run(), state))
        (message,) = warnings_in(caplog)
        path = name if where == "model" else f"state.0.{name}"
        says = rf"The state after epoch 1 .* is not finite \(1 of \d+ tensors, the first {where}\.{path}\): it is set"
        assert re.match(says, message)
        assert message.endswith("it is set aside and training starts anew.")
        assert again["epoch"] == 1

    def test_a_whole_state_is_not(self, make_run, caplog):
        state = copied(next(trained(make_run(), None))[0])
        with caplog.at_level(logging.WARNING):
            assert next(trained(make_run(), state))[0]["epoch"] == 2
        assert warnings_in(caplog) == []

    def test_a_poisoned_start_is_refused(self, make_run, make_model):
        def build(*_):
            model = make_model()
            model[0].bias.data[1] = np.inf
            return model

        run = make_run()
        run = make_run(method=replace(run.method, build=build))
        says = (
            r"The weights that toy starts from \(backbone\.pretrained: None\) are not finite: 1 of 8 tensors, the first"
            r" 0\.bias\. Get the file again"
        )
        with pytest.raises(NotFinite, match=says):
            next(trained(run, None))
        with pytest.raises(NotFinite, match=says):
            built_embedder(run.method, run.parameters, run.split_table, run.origin(TOY))

    def test_a_poisoned_checkpoint_is_neither_exported_nor_trained_on(self, make_run):
        run = make_run()
        *_, (state, _) = trained(run, None)
        made = checkpoint_of(state)
        made.tensors["2.bias"][0] = np.nan
        says = (
            r"The weights in the checkpoint of toy are not finite: 1 of 8 tensors, the first 2\.bias\. Train it again"
        )
        with pytest.raises(NotFinite, match=says):
            run.model(made)
        with pytest.raises(NotFinite, match=says):
            exported_embedder(run.start, made, made.description.origin)


class TestRemarks:
    """What the plan asks of the images that they cannot give is logged once, before the first epoch."""

    def test_one_line_before_the_first_epoch(self, make_run, make_plan, caplog):
        run = make_run(parameters=ToyParameters(plan=make_plan(batch_size=4096, instances=4)))
        with caplog.at_level(logging.INFO, "reid_pipeline"):
            list(trained(run, None))
        (remark,) = warnings_in(caplog)
        assert "plan.batch_size is 4,096, and there are" in remark
        epochs = [place for place, text in enumerate(caplog.messages) if text.startswith("toy epoch")]
        assert caplog.messages.index(remark) < epochs[0]

    def test_one_identity_is_refused_before_the_model_is_built(self, make_run, split_table):
        one = split_table[(split_table["split"] != "train") | (split_table["label"] == 0)]
        run = make_run(split_table=one)
        run = make_run(split_table=one, method=replace(run.method, build=None))
        with pytest.raises(UserError, match="toy learns to tell identities apart, and of the 8 training images all"):
            next(trained(run, None))

    def test_a_dominant_cluster_stands_in_every_line_and_is_explained_once(self, make_run, toy_stage, caplog):
        class Dominated(toy_stage):
            def facts(self):
                return {**super().facts(), "largest_cluster": 0.625}

        run = make_run()
        run = make_run(method=replace(run.method, stages=lambda parameters: (Dominated(parameters.plan),)))
        with caplog.at_level(logging.INFO, "reid_pipeline"):
            *_, (_, history) = trained(run, None)
        assert {record.largest_cluster for record in history} == {0.625}
        lines = [text for text in caplog.messages if text.startswith("toy epoch")]
        assert ["3 clusters, one cluster of 62%" in text for text in lines] == [True] * 4
        assert sum(text.startswith("One cluster holds more than half") for text in caplog.messages) == 1


class TestNextStage:
    """A second stage goes on from the first one's checkpoint, if it belongs to the same run."""

    @pytest.fixture
    def two(self, make_run, toy_stage, make_model):
        class Second(toy_stage):
            name = "second"

        class First(toy_stage):
            name = "first"
            reads = ("plan",)

        method = Method(
            name="toys",
            params=ToyParameters,
            build=lambda *_: make_model(seed=torch.initial_seed() % 1000),
            stages=lambda parameters: (First(parameters.plan), Second(parameters.plan)),
            stage_names=("first", "second"),
            label_use="all",
            description="Two toys.",
        )
        return lambda **options: make_run(method=method, **options)

    @pytest.fixture
    def first(self, two):
        *_, (state, _) = train_stage(two(), "first", None)
        return checkpoint_of(state)

    def test_it_starts_where_the_first_ended(self, two, first):
        states = train_stage(two(), "second", None, first)
        (state, history) = next(states)
        assert history[0].stage == "second"
        assert state["epoch"] == 1
        fresh = next(train_stage(two(), "first", None))[0]
        assert not torch.equal(state["model"]["0.weight"], fresh["model"]["0.weight"])

    def test_what_the_first_did_not_read_may_change(self, two, first, make_plan):
        next(train_stage(two(parameters=ToyParameters(plan=make_plan(), mood="bad")), "second", None, first))

    def test_what_it_read_may_not(self, two, first, make_plan):
        other = two(parameters=ToyParameters(plan=make_plan(learning_rate=0.25)))
        says = (
            r"The checkpoint that toys\.train_first reads, was not made by this run:"
            r" parameters\.toys\.plan\.learning_rate was [\d.]+ and is 0\.25\. toys\.train_first made"
        )
        with pytest.raises(UserError, match=says):
            next(train_stage(other, "second", None, first))
        with pytest.raises(UserError, match="seed was 3 and is 4"):
            next(train_stage(two(seed=4), "second", None, first))

    def test_another_first_stage_sets_a_killed_second_aside(self, two, first, caplog):
        killed = copied(next(train_stage(two(), "second", None, first))[0])
        moved = {name: tensor + 1 for name, tensor in first.tensors.items()}
        with caplog.at_level(logging.WARNING):
            (state, _) = next(train_stage(two(), "second", killed, Checkpoint(moved, first.description)))
        assert state["epoch"] == 1
        assert "training starts anew" in caplog.text

    def test_a_checkpoint_says_what_it_is(self, two, first, split_table):
        assert first.description.stage == "first"
        assert first.description.origin.data == data_hash(split_table)
        assert first.description.origin.weights == "random"
        assert first.description.origin.digest == first.digest()
        train = split_table[split_table["split"] == "train"]
        assert list(first.description.label_map) == sorted(set(train["identity"]))
        assert first.description.population == Population(identities=8, cameras=3, views=0)
        model = two().model(first)
        assert torch.equal(model.state_dict()["0.weight"], first.tensors["0.weight"])

    def test_nobody_is_counted_where_nothing_is_labelled(self, split_table):
        nobody = split_table.assign(label=-1, camid=pd.array([pd.NA] * len(split_table), dtype="Int64"))
        population = population_of(nobody)
        assert (population.identities, population.cameras, population.views) == (0, 0, 0)


class MeanColour(nn.Module):
    """An embedder whose embedding can be told by hand: the mean of each channel, and the camera."""

    def __init__(self):
        super().__init__()
        self.encoder = BackboneParameters(name="demo-vit", image_size=(16, 8), pixel_std=(1.0, 1.0, 1.0))

    def forward(self, images, camids=None, viewids=None):
        del viewids
        means = images.mean((2, 3))
        return means if camids is None else torch.cat([means, camids[:, None].float()], dim=1)


def by_hand(root, paths):
    return np.stack([read_image(root / path, (16, 8)).mean((0, 1)) / 255 - 0.5 for path in paths])


class TestExtraction:
    @pytest.mark.parametrize("batch_size", [1, 7, 1000])
    def test_rows_in_order_whatever_the_batch(self, drawn_folder, drawn_files, batch_size):
        images = ReIDImages(drawn_folder, drawn_files[:20], (16, 8))
        made = extract_embeddings(MeanColour(), images, CPU, batch_size=batch_size)
        assert made.dtype == np.float32
        np.testing.assert_allclose(made, by_hand(drawn_folder, drawn_files[:20]), atol=1e-6)

    def test_nothing_to_embed(self, drawn_folder):
        with pytest.raises(ValueError, match="no images"):
            extract_embeddings(MeanColour(), ReIDImages(drawn_folder, [], (16, 8)), CPU)

    def test_cameras_go_with_their_rows(self, drawn_folder, drawn_files):
        images = ReIDImages(drawn_folder, drawn_files[:10], (16, 8))
        camids = np.arange(10)[::-1].copy()
        made = extract_embeddings(MeanColour(), images, CPU, ids=(camids, None), batch_size=3)
        assert made[:, 3].tolist() == camids.tolist()

    def test_flip_averaging_is_the_unit_mean_of_both(self, drawn_folder, drawn_files):
        class LeftEdge(MeanColour):
            def forward(self, images, camids=None, viewids=None):
                del viewids
                return torch.cat([images[:, :, :, 0].mean(2) + 2, camids[:, None].float()], dim=1)

        images = ReIDImages(drawn_folder, drawn_files[:6], (16, 8))
        made = extract_embeddings(LeftEdge(), images, CPU, ids=(np.arange(6), None), flip_averaging=True)
        for row, path in enumerate(drawn_files[:6]):
            pixels = read_image(drawn_folder / path, (16, 8)) / 255 - 0.5
            left, right = (pixels[:, column].mean(0) + 2 for column in (0, -1))
            expected = np.append((left + right) / 2, row)
            np.testing.assert_allclose(made[row], expected / np.linalg.norm(expected), atol=1e-6)

    @pytest.mark.parametrize("splits", ["test", "dev"])
    def test_the_rows_that_are_judged(self, split_table, drawn_folder, drawn_files, splits):
        table = split_table
        if splits == "dev":
            table = table.assign(split=table["split"].replace({"query": "dev_query", "gallery": "dev_gallery"}))
        raw = RawFolder(drawn_folder, tuple(drawn_files))
        made = embed_test_rows(
            MeanColour(), SplitTables(table, NO_GALLERIES), raw, CPU, EvaluationParameters(splits=splits, batch_size=5)
        )
        chosen = table.iloc[made.rows]
        prefix = "dev_" if splits == "dev" else ""
        assert chosen["split"].tolist() == [f"{prefix}query"] * 8 + [f"{prefix}gallery"] * 27
        np.testing.assert_allclose(made.vectors[:, :3], by_hand(drawn_folder, chosen["path"]), atol=1e-6)
        assert made.vectors[:, 3].tolist() == chosen["camid"].tolist()

    def test_the_cache_changes_no_embedding(self, split_table, drawn_folder, drawn_files, tmp_path):
        raw = RawFolder(drawn_folder, tuple(drawn_files))
        tables = SplitTables(split_table, NO_GALLERIES)
        runtime = Runtime(torch.device("cpu"), image_cache_limit=10**9)
        cache = ImageCache(tmp_path / "images")
        plain, cached = (
            embed_test_rows(MeanColour(), tables, raw, found, EvaluationParameters(), cache) for found in (CPU, runtime)
        )
        assert len(cache.of_size(TargetSize(16, 8)).places()) == len(plain.rows)
        assert np.array_equal(plain.vectors, cached.vectors)

    def test_every_row_where_nothing_is_tested_on(self, split_table, drawn_folder, drawn_files):
        table = split_table[split_table["split"] == "train"].reset_index(drop=True)
        raw = RawFolder(drawn_folder, tuple(drawn_files))
        tables = SplitTables(table, NO_GALLERIES)
        made = embed_test_rows(MeanColour(), tables, raw, CPU, EvaluationParameters())
        assert made.rows.tolist() == list(range(len(table)))


class TestBatches:
    def test_images_labels_and_cameras_belong_together(self, drawn_folder, drawn_files, make_plan):
        files = [path for path in drawn_files if path.startswith("bounding_box_train")]
        pids = np.array([int(path.split("/")[1][:4]) for path in files])
        camids = np.array([int(path.split("_c")[1][0]) - 1 for path in files])
        images = ReIDImages(drawn_folder, files, (16, 8))
        data = TrainingData(images, np.full(len(files), -1), camids, CPU, seed=2)
        labels = np.where(pids == pids.min(), -1, pids)
        plan = make_plan(batch_size=12, instances=4, iterations_per_epoch=5)
        plain = AugmentationParameters(flip=0, padding=0, erasing=0)
        backbone = BackboneParameters(name="demo-vit")
        epoch = list(augmented_batches(labels, data, plan, pixels=(backbone, plain), position=("s", 1)))
        assert len(epoch) == 5
        lookup = {images.batch([row])[0].numpy().tobytes(): row for row in range(len(files))}
        for batch in epoch:
            pixels = ((batch.images * 0.5 + 0.5) * 255).round().to(torch.uint8)
            rows = [lookup[np.ascontiguousarray(image.numpy()).tobytes()] for image in pixels]
            assert batch.labels.tolist() == labels[rows].tolist()
            assert batch.camids.tolist() == camids[rows].tolist()
            assert min(batch.labels) >= 0
            assert [len(set(group)) for group in batch.labels.reshape(-1, 4).tolist()] == [1, 1, 1]

    def test_every_draw_comes_from_seed_and_position(self, drawn_folder, drawn_files, make_plan):
        labels = np.repeat(np.arange(10), 4)

        def epoch(seed, *position):
            images = ReIDImages(drawn_folder, drawn_files[:40], (16, 8))
            data = TrainingData(images, labels, None, CPU, seed)
            plan = make_plan(batch_size=8, instances=4, iterations_per_epoch=3)
            pixels = (BackboneParameters(name="demo-vit"), AugmentationParameters(padding=2))
            batches = list(augmented_batches(labels, data, plan, pixels=pixels, position=position))
            assert all(batch.camids is None for batch in batches)
            return torch.stack([batch.images for batch in batches])

        first = epoch(0, "s", 1)
        torch.manual_seed(123)
        assert torch.equal(epoch(0, "s", 1), first)
        for other in (epoch(1, "s", 1), epoch(0, "s", 2), epoch(0, "t", 1)):
            assert not torch.equal(other, first)
        assert not torch.equal(first[0], first[1])

    def test_a_bad_image_is_named(self, drawn_folder, drawn_files, make_plan):
        files = [*drawn_files[:7], "bounding_box_train/9999_c1s1_000001_01.jpg"]
        data = TrainingData(ReIDImages(drawn_folder, files, (16, 8)), np.zeros(8), None, CPU, 0)
        pixels = (BackboneParameters(name="demo-vit"), AugmentationParameters())
        batches = augmented_batches(
            np.zeros(8, int), data, make_plan(batch_size=16, instances=8), pixels=pixels, position=("s", 1)
        )
        with pytest.raises(UserError, match=r"9999_c1s1_000001_01\.jpg does not exist"):
            list(batches)

    def test_augment_is_what_is_applied(self, drawn_folder, drawn_files, make_plan):
        from reid_pipeline.engine.seeding import torch_generator

        labels = np.repeat(np.arange(2), 4)
        images = ReIDImages(drawn_folder, drawn_files[:8], (16, 8))
        data = TrainingData(images, labels, None, CPU, 6)
        pixels = (BackboneParameters(name="demo-vit"), AugmentationParameters(padding=3))
        plan = make_plan(batch_size=8, instances=4, iterations_per_epoch=2)
        *_, second = augmented_batches(labels, data, plan, pixels=pixels, position=("s", 4))
        rows = _rows_of_step(labels, plan, step=1)
        assert torch.equal(
            second.images, augment(images.batch(rows), *pixels, torch_generator(6, "augment", "s", 4, 1))
        )


def _rows_of_step(labels, plan, step):
    from reid_pipeline.engine.seeding import numpy_generator
    from reid_pipeline.images.samplers import camera_preferring_batches

    batches = camera_preferring_batches(
        labels,
        None,
        batch_size=plan.batch_size,
        instances=plan.instances,
        iterations=plan.iterations_per_epoch,
        generator=numpy_generator(6, "sampler", "s", 4),
    )
    return list(batches)[step]


class TestShown:
    def test_ranked_queries_by_hand(self, split_table, drawn_folder, drawn_files):
        """Embeddings that spell the identity: every query is perfect; then one is spoilt."""
        rows = np.concatenate([np.flatnonzero(split_table["split"] == name) for name in ("query", "gallery")])
        pids = split_table["pid"].to_numpy()[rows]
        codes = {pid: place for place, pid in enumerate(sorted(set(pids)))}
        embeddings = np.eye(len(codes), dtype=np.float32)[[codes[pid] for pid in pids]]
        embeddings[0] = embeddings[list(pids).index(0)]  # the first query looks like a distractor
        bad, good = choose_ranked_queries(
            Embeddings(rows, embeddings),
            SplitTables(split_table, NO_GALLERIES),
            RawFolder(drawn_folder, tuple(drawn_files)),
            EvaluationParameters(),
            ReportParameters(queries=1, top=4),
        )
        first = split_table.iloc[rows[0]]
        assert bad[0].query_caption == f"id {first['identity']} · camera {first['camid'] + 1}"
        assert (bad[0].query_image == read_image(drawn_folder / first["path"])).all()
        assert bad[0].captions[0].startswith("id 0000 ")
        assert bad[0].matches[:3] == [False, False, False]
        assert good[0].average_precision == 1.0
        assert good[0].matches == [True, True, True, False]
        assert len(good[0].gallery_images) == 4

    def test_a_run_card_says_where_the_figures_come_from(self, split_table):
        epoch = {"stage": "toy", "learning_rate": 0.1, "loss": 1.0, "losses": {}}
        history = [
            EpochRecord(**epoch, epoch=1, seconds={"epoch": 1.25}, trainable_parameters=7),
            EpochRecord(**epoch, epoch=2, seconds={"epoch": 2.5}, trainable_parameters=30),
        ]
        figures = dict.fromkeys(("mAP", "mINP", "rank1", "rank5", "rank10"), 0.5)
        counts = {"num_queries": 8, "num_valid_queries": 8, "num_gallery": 27}
        named = {"benchmark": "b", "method": "toy", "seed": 3}
        metrics = Metrics(**named, **figures, **counts, splits="test", label_use="all")
        embedder = nn.Linear(9, 5)
        embedder.origin = Origin(made_by="toy.export", code="1", weights="w" * 64)
        environment = {
            "reid_pipeline": "1",
            "git_commit": "abc",
            "git_dirty": False,
            "python": "3.11",
            "packages": {},
            "machine": {"system": "Linux", "processor": "x", "cpus": 2},
            "started": "now",
            "wall_seconds": 1.0,
            "peak_memory_bytes": 1,
        }
        cell = Cell(**named, variant="v", differs={"mood": "good"})
        runtime = Runtime(torch.device("cpu"), threads=2)
        card = make_run_card(
            FinishedRun(cell, split_table, metrics, history, embedder, runtime),
            {"compute": {"device": "auto", "precision": "auto", "threads": 0}, "toy": {"mood": "good"}},
            environment,
            zero_shot="b/zero_shot/seed_3",
        )
        assert card.content() == {
            **named,
            **environment,
            "version": 2,
            "variant": "v",
            "differs": {"mood": "good"},
            "auto": [],
            "data_hash": data_hash(split_table),
            "data": {
                "gallery": {"images": 27, "identities": 4},
                "query": {"images": 8, "identities": 4},
                "train": {"images": 64, "identities": 8},
            },
            "weights": "w" * 64,
            "label_use": "all",
            "zero_shot": "b/zero_shot/seed_3",
            "device": "cpu",
            "precision": "float32",
            "threads": 2,
            "training_seconds": 3.8,
            "num_parameters": 50,
            "num_trainable_parameters": 30,
            "device_peak_memory_bytes": None,
            "parameters": {
                "benchmark": "b",
                "seed": 3,
                "compute": {"device": "cpu", "precision": "float32", "threads": 0},
                "toy": {"mood": "good"},
            },
        }

    def test_a_bar_yields_every_step_and_does_not_overrun(self):
        assert list(track(iter("abc"), "title [/not markup]", total=5, unit="images", size=2)) == ["a", "b", "c"]

    @pytest.mark.parametrize("after", [0.0, 3600.0])
    def test_a_late_bar_is_shown_for_what_takes_long(self, capsys, after):
        with late_bar("rounds", after) as report:
            for done in range(1, 4):
                report("neighbours", done, 3)
            report("similarity", 1, 1)
        shown = capsys.readouterr()
        for what in ("neighbours", "3/3", "similarity", "1/1", "rounds/s"):
            assert (what in shown.out + shown.err) == (after == 0.0)
