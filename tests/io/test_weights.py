"""Embedders, training states, tensors, embeddings, and the run's facts."""

import importlib.metadata
import json
import re
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from kedro.io import DatasetError
from safetensors.numpy import save_file as numpy_save_file
from safetensors.torch import save_file

import reid_pipeline
from reid_pipeline.engine.checkpoint import Checkpoint, digest_of_tensors
from reid_pipeline.io.environment import PACKAGES, RunEnvironmentDataset
from reid_pipeline.io.weights import (
    CheckpointDataset,
    EmbedderDataset,
    EmbeddingsDataset,
    TensorsDataset,
    TrainingStateDataset,
)
from reid_pipeline.models.reid_model import ReIDModel
from reid_pipeline.schema.digests import digest_of_arrays
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.parameters import BackboneParameters
from reid_pipeline.schema.population import Population
from reid_pipeline.schema.records import StageDescription
from reid_pipeline.user_errors import user_error_text


def message_of(call) -> str:
    with pytest.raises(DatasetError) as caught:
        call()
    message = user_error_text(caught.value)
    assert message is not None, "it is an error of the user"
    return message


@pytest.fixture(scope="module")
def embedder():
    torch.manual_seed(0)
    backbone = BackboneParameters(name="demo-vit", image_size=(96, 48), pixel_mean=(0.1, 0.2, 0.3))
    return ReIDModel.from_backbone(backbone, neck="after").embedder()


class TestEmbedder:
    def test_round_trip_to_the_bit(self, tmp_path, embedder):
        dataset = EmbedderDataset(filepath=str(tmp_path / "new/embedder.safetensors"))
        assert not dataset.exists()
        dataset.save(embedder)
        assert dataset.exists()
        torch.manual_seed(5)
        images = torch.randn(4, 3, 96, 48)
        state = torch.get_rng_state()
        loaded = dataset.load()
        assert torch.equal(torch.get_rng_state(), state), "loading draws nothing"
        assert torch.equal(loaded(images), embedder(images))
        assert loaded.encoder.pixel_mean == (0.1, 0.2, 0.3)
        assert loaded.description() == embedder.description()
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["embedder.safetensors"]

    def test_the_file_is_the_same_each_time(self, tmp_path, embedder):
        """DVC hashes it."""
        for name in "ab":
            EmbedderDataset(filepath=str(tmp_path / name)).save(embedder)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    def test_a_failed_save_leaves_the_old_file(self, tmp_path, embedder):
        dataset = EmbedderDataset(filepath=str(tmp_path / "a.safetensors"))
        dataset.save(embedder)
        before = (tmp_path / "a.safetensors").read_bytes()
        with pytest.raises(DatasetError):
            dataset.save("no embedder")
        assert (tmp_path / "a.safetensors").read_bytes() == before
        assert len(list(tmp_path.iterdir())) == 1

    def test_missing(self, tmp_path):
        says = rf"There is no embedder at {tmp_path}/none\. Export it again: run the pipeline from the node `export`"
        assert re.match(says, message_of(EmbedderDataset(filepath=str(tmp_path / "none")).load))

    def test_no_safetensors(self, tmp_path):
        (tmp_path / "a.safetensors").write_bytes(b"GIF89a, really")
        says = r".*a\.safetensors is no safetensors file: .*Export it again"
        assert re.match(says, message_of(EmbedderDataset(filepath=str(tmp_path / "a.safetensors")).load))

    def test_cut_short(self, tmp_path, embedder):
        path = tmp_path / "a.safetensors"
        EmbedderDataset(filepath=str(path)).save(embedder)
        path.write_bytes(path.read_bytes()[:-1000])
        assert "is no safetensors file" in message_of(EmbedderDataset(filepath=str(path)).load)

    def test_tensors_of_something_else(self, tmp_path):
        TensorsDataset(filepath=str(tmp_path / "a")).save({"x": torch.ones(2)})
        says = "a does not describe an embedder. Export it again: "
        assert says in message_of(EmbedderDataset(filepath=str(tmp_path / "a")).load)

    def test_another_architecture(self, tmp_path, embedder, monkeypatch):
        dataset = EmbedderDataset(filepath=str(tmp_path / "a"))
        other = {**embedder.description(), "image_size": [48, 48]}
        monkeypatch.setattr(type(embedder), "description", lambda _: other)
        dataset.save(embedder)
        says = r"do not fit the description: tensor .*positional_embedding.*image_size: \[48, 48\].*Change"
        assert re.search(says, message_of(dataset.load))


class TestTrainingState:
    @pytest.fixture
    def state(self):
        model = torch.nn.Linear(2, 2)
        optimiser = torch.optim.Adam([{"params": model.parameters(), "rate_multiplier": 0.5}])
        model(torch.ones(1, 2)).sum().backward()
        optimiser.step()
        return {
            "epoch": 3,
            "fingerprint": "abc",
            "model": model.state_dict(),
            "optimiser": optimiser.state_dict(),
            "scaler": {},
            "history": [{"loss": 0.5, "losses": {"pcl": 0.5}, "sizes": [1, 2], "none": None, "text": "x"}],
        }

    def test_nothing_to_resume_is_none(self, tmp_path):
        dataset = TrainingStateDataset(filepath=str(tmp_path / "scratch/state.pt"))
        assert not dataset.exists()
        assert dataset.load() is None

    def test_round_trip_and_the_saved_copy_is_its_own(self, tmp_path, state):
        dataset = TrainingStateDataset(filepath=str(tmp_path / "scratch/state.pt"))
        dataset.save(state)
        weight = state["model"]["weight"].clone()
        with torch.no_grad():
            state["model"]["weight"].zero_()
        loaded = dataset.load()
        assert torch.equal(loaded["model"]["weight"], weight)
        assert loaded["history"] == state["history"]
        assert loaded["optimiser"]["param_groups"][0]["rate_multiplier"] == 0.5
        assert loaded["epoch"] == 3

    def test_kedros_release_keeps_the_file_and_discard_removes_it(self, tmp_path, state):
        dataset = TrainingStateDataset(filepath=str(tmp_path / "state.pt"))
        dataset.save(state)
        dataset.release()
        assert dataset.exists()
        dataset.discard()
        assert dataset.load() is None
        dataset.discard()

    def test_a_failed_save_leaves_the_last_epoch(self, tmp_path, state):
        dataset = TrainingStateDataset(filepath=str(tmp_path / "state.pt"))
        dataset.save(state)
        with pytest.raises(DatasetError):
            dataset.save({"epoch": 4, "model": (value for value in ())})
        assert dataset.load()["epoch"] == 3
        assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]

    def test_nothing_but_data_is_ever_unpickled(self, tmp_path, caplog):
        """A pickle that would write a file is read as a damaged one, and writes none."""
        told = tmp_path / "told"

        class Told:
            def __reduce__(self):
                return (told.write_text, ("run",))

        torch.save({"epoch": 1, "model": Told()}, tmp_path / "state.pt")
        assert TrainingStateDataset(filepath=str(tmp_path / "state.pt")).load() is None
        assert not told.exists()
        assert "is damaged, or holds code, which is never executed. It is now state.damaged-1.pt" in caplog.text
        assert "weights_only" not in caplog.text

    @pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
    def test_a_flipped_bit_is_found(self, tmp_path, state, share, caplog):
        path = tmp_path / "state.pt"
        state["model"]["weight"] = torch.arange(5000.0)  # most of the file
        TrainingStateDataset(filepath=str(path)).save(state)
        flip(path, round(share * path.stat().st_size))
        assert TrainingStateDataset(filepath=str(path)).load() is None
        assert "training starts anew" in caplog.text

    def test_the_first_version_is_set_aside(self, tmp_path, state, caplog):
        torch.save(state, tmp_path / "state.pt")
        assert TrainingStateDataset(filepath=str(tmp_path / "state.pt")).load() is None
        assert "not as this version writes it: an earlier one did, or something is missing" in caplog.text


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def origin(**given):
    return Origin(**{"made_by": "pcl.export", "method": "pcl", "seed": 0, "code": "1", **given})


def described(**given):
    return StageDescription(
        origin=origin(**given), stage="toy", population=Population(identities=2), label_map=("a", "b")
    )


class TestOrigins:
    """Each kind of file carries its origin, and finds out whether a byte of it was changed."""

    @pytest.fixture
    def saved(self, tmp_path, embedder):
        vectors = np.random.default_rng(0).random((4, 3), np.float32)
        arrays = {"rows": np.arange(4), "embeddings": vectors}
        tensors = {"a": torch.arange(600.0).reshape(200, 3), "b": torch.ones(2, dtype=torch.float16)}
        embedder.origin = origin(digest=digest_of_tensors(embedder.state_dict()))
        things = {
            "embedder": (EmbedderDataset, embedder),
            "embeddings": (
                EmbeddingsDataset,
                Embeddings(np.arange(4), vectors, origin(digest=digest_of_arrays(arrays))),
            ),
            "checkpoint": (CheckpointDataset, Checkpoint(tensors, described(digest=digest_of_tensors(tensors)))),
        }
        found = {}
        for name, (kind, thing) in things.items():
            found[name] = kind(filepath=str(tmp_path / f"{name}.safetensors"))
            found[name].save(thing)
        embedder.origin = None
        return found

    def test_round_trip(self, saved, tmp_path):
        for name, dataset in saved.items():
            loaded = dataset.load()
            found = loaded.description.origin if name == "checkpoint" else loaded.origin
            assert (found.made_by, found.method, found.seed) == ("pcl.export", "pcl", 0)
            assert found.file == str(tmp_path / f"{name}.safetensors")
            assert found.digest

    @pytest.mark.parametrize("name", ["embedder", "embeddings", "checkpoint"])
    @pytest.mark.parametrize("share", [0.0, 0.002, 0.5, 1.0])
    def test_a_flipped_bit_is_found(self, saved, tmp_path, name, share):
        path = tmp_path / f"{name}.safetensors"
        flip(path, round(share * (path.stat().st_size - 1)))
        with pytest.raises(DatasetError) as caught:
            saved[name].load()
        assert str(path) in str(user_error_text(caught.value))

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["embedder", "embeddings", "checkpoint"])
    def test_every_byte_of_the_header_counts(self, saved, tmp_path, name):
        path = tmp_path / f"{name}.safetensors"
        content = path.read_bytes()
        for place in range(8, 8 + int.from_bytes(content[:8], "little"), 37):
            flip(path, place)
            with pytest.raises(DatasetError) as caught:
                saved[name].load()
            assert user_error_text(caught.value), place
            path.write_bytes(content)

    def test_a_checkpoint_of_the_first_version_is_converted(self, tmp_path):
        told = {
            "method": "toys",
            "stage": "second",
            "parameters": {"plan": {"epochs": 2}, "mood": "good"},
            "reads": ["plan"],
            "data": "d" * 64,
            "seed": 3,
            "version": "0.1.0",
            "population": {"identities": 2, "cameras": 1, "views": 0},
            "label_map": ["a", "b"],
        }
        tensors = {"a": torch.ones(3)}
        save_file(tensors, tmp_path / "a", metadata={"checkpoint": json.dumps(told)})
        loaded = CheckpointDataset(filepath=str(tmp_path / "a")).load()
        found = loaded.description
        assert (found.stage, found.label_map) == ("second", ("a", "b"))
        assert (found.origin.method, found.origin.seed, found.origin.data) == ("toys", 3, "d" * 64)
        assert found.origin.parameters == {"toys": {"plan": {"epochs": 2}}}
        assert found.origin.weights is None
        del told["seed"]
        save_file(tensors, tmp_path / "a", metadata={"checkpoint": json.dumps(told)})
        says = r"a does not say what it was made from: seed missing\. Train that stage again"
        assert re.search(says, message_of(CheckpointDataset(filepath=str(tmp_path / "a")).load))

    def test_embeddings_and_embedders_of_the_first_version_have_none(self, tmp_path, embedder):
        rows, vectors = np.arange(2), np.ones((2, 3), np.float32)
        numpy_save_file({"rows": rows, "embeddings": vectors}, tmp_path / "a")
        assert EmbeddingsDataset(filepath=str(tmp_path / "a")).load().origin is None
        header = {"embedder": json.dumps(embedder.description())}
        save_file(dict(embedder.state_dict()), tmp_path / "b", metadata=header)
        assert EmbedderDataset(filepath=str(tmp_path / "b")).load().origin is None


class TestArrays:
    def test_tensors(self, tmp_path):
        data = {"a": torch.arange(6).reshape(2, 3), "b": torch.ones(2, dtype=torch.float16)}
        dataset = TensorsDataset(filepath=str(tmp_path / "new/a.safetensors"), metadata={"names": "ab"})
        assert not dataset.exists()
        dataset.save(data)
        loaded = dataset.load()
        assert loaded.keys() == data.keys()
        assert all(torch.equal(loaded[name], value) for name, value in data.items())
        with pytest.raises(DatasetError):
            dataset.save({"a": "text"})
        assert dataset.load().keys() == data.keys()
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.safetensors"]
        assert "a.safetensors" in str(dataset)
        assert dataset.metadata == {"names": "ab"}

    def test_embeddings(self, tmp_path):
        data = Embeddings(np.arange(4), np.random.default_rng(0).random((4, 3), np.float32))
        dataset = EmbeddingsDataset(filepath=str(tmp_path / "new/a.safetensors"))
        assert not dataset.exists()
        dataset.save(data)
        loaded = dataset.load()
        assert (loaded.rows == data.rows).all()
        assert (loaded.vectors == data.vectors).all()
        assert loaded.vectors.dtype == np.float32
        assert loaded.paths is None, "as in files of earlier versions"
        for paths in (("a/1.jpg", "Zoë/2.jpg", "", "b.jpg"), ("x.jpg",) * 4):
            dataset.save(replace(data, paths=paths))
            assert dataset.load().paths == paths
        with pytest.raises(DatasetError):
            dataset.save({"a": "text"})
        assert len(dataset.load().rows) == 4
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.safetensors"]

    def test_no_embeddings_at_all(self, tmp_path):
        dataset = EmbeddingsDataset(filepath=str(tmp_path / "a"))
        assert "There is no file of embeddings at" in message_of(dataset.load)
        TensorsDataset(filepath=str(tmp_path / "a")).save({"x": torch.ones(2)})
        assert "holds no embeddings. Make them anew" in message_of(dataset.load)


class TestRunEnvironment:
    def git(self, folder, *words):
        identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(folder), *identity, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def test_facts(self, project):
        facts = RunEnvironmentDataset(filepath=str(project)).load()
        assert facts["reid_pipeline"] == reid_pipeline.__version__
        assert facts["packages"]["numpy"] == np.__version__
        assert facts["packages"].keys() == set(PACKAGES)
        assert facts["packages"]["kedro"] == importlib.metadata.version("kedro")
        assert set(facts["machine"]) == {"system", "processor", "cpus"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", facts["started"])

    def test_time_and_memory_are_of_now(self):
        dataset = RunEnvironmentDataset()
        first = dataset.load()
        block = np.ones(30_000_000)  # 240 MB
        time.sleep(0.2)
        second = dataset.load()
        assert second["wall_seconds"] > first["wall_seconds"]
        assert second["peak_memory_bytes"] >= block.nbytes
        assert 5e7 < first["peak_memory_bytes"] < 1e12

    def test_a_parents_memory_is_not_its_childs(self):
        block = np.ones(40_000_000)  # 320 MB
        program = "from reid_pipeline.io.memory import peak_memory; print(peak_memory())"
        done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
        assert 5e6 < int(done.stdout) < block.nbytes / 2

    def test_the_commit_and_whether_it_is_all(self, tmp_path):
        self.git(tmp_path, "init", "-q")
        (tmp_path / "a.txt").write_text("1")
        self.git(tmp_path, "add", ".")
        self.git(tmp_path, "commit", "-q", "-m", "first")
        dataset = RunEnvironmentDataset(filepath=str(tmp_path))
        commit = self.git(tmp_path, "rev-parse", "HEAD")
        assert {key: dataset.load()[key] for key in ("git_commit", "git_dirty")} == {
            "git_commit": commit,
            "git_dirty": False,
        }
        for result in ("data/metrics.json", "dvc.lock", "dvc/market1501/dvc.lock"):
            (tmp_path / result).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / result).write_text("{}")
        assert dataset.load()["git_dirty"] is False
        (tmp_path / "a.txt").write_text("2")
        assert dataset.load()["git_dirty"] is True

    def test_without_a_work_tree(self, tmp_path, monkeypatch):
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
        facts = RunEnvironmentDataset(filepath=str(tmp_path)).load()
        assert (facts["git_commit"], facts["git_dirty"]) == (None, None)

    def test_a_package_that_is_not_installed(self, monkeypatch):
        monkeypatch.setattr("reid_pipeline.io.environment.PACKAGES", ("numpy", "no-such-package"))
        assert RunEnvironmentDataset().load()["packages"] == {"numpy": np.__version__, "no-such-package": None}

    def test_it_is_never_saved(self):
        says = "The run environment cannot be saved; got dict."
        assert message_of(lambda: RunEnvironmentDataset().save({})) == says
