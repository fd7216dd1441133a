"""Which part of a run holds which lock, and when; with Kedro's own runners."""

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kedro.framework.hooks.manager import _create_hook_manager, _register_hooks
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node, pipeline
from kedro.runner import SequentialRunner, ThreadRunner

from reid_pipeline.hooks.cell_locks import CellLocks, lock_of, part_of
from reid_pipeline.io.weights import EmbedderDataset, TrainingStateDataset
from reid_pipeline.schema.errors import UserError

LOADER = {"parameters": {"seed": 3}, "globals": {"benchmark": "b"}}
pytestmark = pytest.mark.filterwarnings("ignore:One or more dataset names contain")


class Watched:
    """A run whose nodes note which locks are held while they work."""

    def __init__(self, root: Path, entries: dict[str, Any] | None = None) -> None:
        self.hooks = CellLocks()
        self.held: dict[str, set[str]] = {}
        self.catalog = DataCatalog({"raw": MemoryDataset(1), **(entries or {})})
        self.hooks.after_context_created(SimpleNamespace(project_path=root, config_loader=LOADER))

    def node(self, name: str, reads: Any, makes: Any, **options: Any) -> Any:
        def work(*_: Any) -> Any:
            self.note(name)
            return 1 if isinstance(makes, str) else tuple(makes)

        return node(work, reads, makes, name=name, **options)

    def training(self, name: str, reads: Any, makes: str) -> Any:
        def train(*_: Any) -> Iterator[int]:
            self.note(name)
            yield 1
            self.note(f"{name}, 2")
            yield 2

        return node(train, reads, makes, name=name)

    def note(self, name: str) -> None:
        run = self.hooks._run
        assert run is not None
        self.held[name] = {part for part, held in run.parts.items() if held.lock.held}

    def run(self, nodes: Pipeline, runner: Any = SequentialRunner, **run_params: Any) -> None:
        manager = _create_hook_manager()
        _register_hooks(manager, (self.hooks,))
        names = {"run_params": run_params, "pipeline": nodes, "catalog": self.catalog}
        manager.hook.before_pipeline_run(**names)
        try:
            result = runner().run(nodes, self.catalog, manager, **run_params)
        except Exception as error:
            manager.hook.on_pipeline_error(error=error, **names)
            raise
        manager.hook.after_pipeline_run(run_result=result, **names)


def two_stages(watched: Watched) -> Pipeline:
    """Tables, zero_shot and a method whose name sorts before the dataset's summary, as in the project."""
    tables = pipeline(
        [
            watched.node("read_manifest", "raw", "manifest"),
            watched.node("make_split_table", "manifest", "table"),
            watched.node("summarise", "table", "summary"),
            watched.node("page", "summary", "dataset_page"),
        ],
        tags="tables",
    )
    floor = pipeline(
        [watched.node("build", "table", "embedder"), watched.node("evaluate", "embedder", "metrics")],
        namespace="zero_shot",
        inputs={"table"},
    )
    method = pipeline(
        [
            watched.training("train", "table", "toy_state"),
            watched.node("keep", "toy_state", "kept"),
            watched.node("export", "kept", "embedder"),
        ],
        namespace="clip_reid",
        inputs={"table"},
    )
    read = ["clip_reid.embedder", "zero_shot.metrics", "dataset_page"]
    after = pipeline([watched.node("zz_compare", read, "comparison")])
    return tables + floor + method + after


def test_each_node_runs_under_its_own_lock(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.run(two_stages(watched))
    order = list(watched.held)
    assert order.index("train") < order.index("summarise")
    assert watched.held == {
        "read_manifest": {"tables"},
        "make_split_table": {"tables"},
        "train": {"clip_reid"},  # and not the tables, though their page is still to come
        "train, 2": {"clip_reid"},
        "summarise": {"clip_reid", "tables"},
        "build": {"clip_reid", "zero_shot"},
        "keep": {"clip_reid", "zero_shot"},
        "page": {"clip_reid", "tables", "zero_shot"},
        "evaluate": {"clip_reid", "zero_shot"},
        "export": {"clip_reid"},
        "zz_compare": set(),
    }
    assert watched.hooks._run is None


def test_threads_run_under_the_same_locks(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.run(two_stages(watched), ThreadRunner)
    own = {"read_manifest": "tables", "train, 2": "clip_reid", "build": "zero_shot", "page": "tables"}
    assert all(part in watched.held[name] for name, part in own.items())
    assert watched.held["zz_compare"] == set()


@pytest.mark.parametrize("runner", [SequentialRunner, ThreadRunner])
def test_a_node_that_fails_leaves_no_lock(tmp_path: Path, runner: Any) -> None:
    watched = Watched(tmp_path)

    def fail(_: Any) -> None:
        raise RuntimeError("no")

    nodes = two_stages(watched) + pipeline([node(fail, "table", "failed", name="fail")])
    with pytest.raises(RuntimeError, match="no"):
        watched.run(nodes, runner)
    assert watched.hooks._run is None
    for part in ("tables", "zero_shot", "clip_reid"):
        lock_of(tmp_path, LOADER, part).check()


def test_a_failing_training_leaves_no_lock(tmp_path: Path) -> None:
    watched = Watched(tmp_path)

    def train(_: Any) -> Iterator[int]:
        yield 1
        raise RuntimeError("nan")

    nodes = pipeline([node(train, "raw", "toy_state", name="train")], namespace="pcl", inputs={"raw"})
    with pytest.raises(RuntimeError, match="nan"):
        watched.run(nodes)
    assert watched.hooks._run is None


def test_a_training_that_nothing_follows_holds_its_lock_to_the_end(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    train = pipeline([watched.training("train", "raw", "toy_state")], namespace="pcl", inputs={"raw"})
    watched.run(train + pipeline([watched.node("zz", "raw", "other")]))
    assert watched.held["zz"] == {"pcl"}


def test_only_missing_outputs_wait_for_no_node_that_is_left_out(tmp_path: Path) -> None:
    there = {name: Stored(1) for name in ("manifest", "table", "summary", "dataset_page")}
    cells = {"clip_reid": ("toy_state", "kept", "embedder"), "zero_shot": ("embedder", "metrics")}
    missing = {f"{name}.{entry}": Stored() for name, entries in cells.items() for entry in entries}
    watched = Watched(tmp_path, {**there, **missing, "comparison": Stored()})
    watched.run(two_stages(watched), only_missing_outputs=True)
    assert set(watched.held) & {"read_manifest", "summarise"} == set()
    assert watched.held["train"] == {"clip_reid"}
    assert watched.held["evaluate"] == {"clip_reid", "zero_shot"}
    assert watched.held["zz_compare"] == set()


class Stored(MemoryDataset):
    """Data in memory that Kedro takes for a file's."""

    def __init__(self, *data: int) -> None:
        super().__init__(*data)
        self._EPHEMERAL = False

    def _release(self) -> None:
        pass


def test_a_cell_that_is_taken_is_refused_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(tmp_path)
    taken = taken_by_another(monkeypatch, tmp_path / "data/.locks/b/clip_reid/seed_3.lock")
    says = (
        r"^clip_reid, seed 3 of b: another process is writing there\. Two runs .* written nothing there\."
        r" Wait until .* give the command again: .* --params seed=<n>, or variant=<name>\.$"
    )
    with taken, pytest.raises(UserError, match=says):
        watched.run(two_stages(watched))
    assert watched.held == {}


def test_a_cell_that_is_taken_meanwhile_is_refused_at_its_first_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(tmp_path)
    taken = taken_by_another(monkeypatch, tmp_path / "data/.locks/b/clip_reid/seed_3.lock")

    def take(_: Any) -> int:
        taken.__enter__()
        return 1

    nodes = two_stages(watched) + pipeline([node(take, "raw", "taken", name="take", tags="tables")])
    with pytest.raises(UserError, match="clip_reid, seed 3 of b"):
        watched.run(nodes)
    taken.__exit__(None, None, None)
    assert list(watched.held) == ["read_manifest", "make_split_table"]


def taken_by_another(monkeypatch: pytest.MonkeyPatch, file: Path) -> Any:
    """Lock a file as another process would: another opening of it is another's to `flock`."""
    import contextlib
    import fcntl

    monkeypatch.setattr("reid_pipeline.io.cell_lock._PATIENCE", 0.05)

    @contextlib.contextmanager
    def taken() -> Iterator[None]:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX)
            yield

    return taken()


def test_a_process_runs_one_pipeline_at_a_time(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    goes_on, started = threading.Event(), threading.Event()

    def work(_: Any) -> int:
        started.set()
        goes_on.wait(20)
        return 1

    nodes = pipeline([node(work, "raw", "a", name="work", tags="tables")])
    first = threading.Thread(target=watched.run, args=(nodes,))
    first.start()
    started.wait(20)
    with pytest.raises(UserError, match="running a pipeline already"):
        watched.run(nodes)
    assert watched.hooks._run is not None
    goes_on.set()
    first.join()
    watched.run(nodes)


def test_without_a_project_there_is_nothing_to_lock() -> None:
    hooks = CellLocks()
    nodes = pipeline([node(lambda: 1, None, "a", name="n", tags="tables")])
    hooks.before_pipeline_run({}, nodes, DataCatalog())
    assert hooks._run is not None
    assert hooks._run.parts == {}


@pytest.mark.parametrize(
    ("cells", "part", "file", "what"),
    [
        (None, "pcl", "b/pcl/seed_3", "pcl, seed 3 of b"),
        (None, "tables", "b/tables", "The tables of b"),
        ({"benchmark": "m", "seed": 4, "variant": "wide"}, "pcl", "m/pcl+wide/seed_4", "pcl+wide, seed 4 of m"),
        ({"benchmark": "m", "seed": 4, "variant": ""}, "pcl", "m/pcl/seed_4", "pcl, seed 4 of m"),
    ],
)
def test_where_the_locks_lie(tmp_path: Path, cells: Any, part: str, file: str, what: str) -> None:
    loader = {**LOADER, "parameters": {"seed": 3, **({"cells": {"pcl": cells}} if cells else {})}}
    lock = lock_of(tmp_path, loader, part)
    assert lock.file == tmp_path / f"data/.locks/{file}.lock"
    assert lock.what == what


def test_every_node_of_the_project_that_writes_a_cell_or_a_table_has_a_lock() -> None:
    from reid_pipeline.pipeline_registry import register_pipelines

    pipelines = register_pipelines()
    free = {
        node.name for name in ("__default__", "tuning", "report") for node in pipelines[name].nodes if not part_of(node)
    }
    assert free == {"compare", "render_comparison", "run_study", "collect_results"}


class ToyEmbedder(EmbedderDataset):
    """An embedder's entry that takes any number."""

    def load(self) -> Any:
        return int(self._filepath.read_text())

    def _write(self, data: Any, file: Path) -> None:
        file.write_text(str(data))


class TestResumableStates:
    def watched(self, tmp_path: Path) -> tuple[Watched, TrainingStateDataset]:
        state = TrainingStateDataset(filepath=str(tmp_path / "scratch/toy_state.pt"))
        embedder = ToyEmbedder(filepath=str(tmp_path / "embedder.safetensors"))
        return Watched(tmp_path, {"clip_reid.toy_state": state, "clip_reid.embedder": embedder}), state

    def test_only_the_class_of_an_entry_counts(self, tmp_path: Path) -> None:
        watched, state = self.watched(tmp_path)
        nodes = pipeline(
            [watched.training("train", "raw", "resumable"), watched.node("export", "resumable", "exported")],
            namespace="pcl",
            inputs={"raw"},
        )
        watched.catalog["pcl.resumable"] = state
        watched.catalog["pcl.exported"] = ToyEmbedder(filepath=str(tmp_path / "exported"))
        watched.run(nodes)
        assert not state.exists()

    def test_a_finished_training_tidies_up(self, tmp_path: Path) -> None:
        watched, state = self.watched(tmp_path)
        watched.run(two_stages(watched))
        assert not state.exists()

    def test_a_run_that_ends_with_training_keeps_the_state_for_the_rest(self, tmp_path: Path) -> None:
        watched, state = self.watched(tmp_path)
        watched.run(two_stages(watched).to_nodes("clip_reid.train"))
        assert state.exists()

    def test_a_run_that_did_not_train_keeps_it(self, tmp_path: Path) -> None:
        watched, state = self.watched(tmp_path)
        state.save({"epoch": 1})
        watched.run(two_stages(watched).from_nodes("clip_reid.keep").to_nodes("clip_reid.export"))
        assert state.exists()

    def test_a_state_that_another_run_has_saved_since_is_left_alone(self, tmp_path: Path) -> None:
        watched, state = self.watched(tmp_path)

        def another(*_: Any) -> int:
            state.save({"epoch": 7})
            return 1

        last = node(another, "clip_reid.embedder", "zz", name="another")
        watched.run(two_stages(watched) + pipeline([last]))
        assert state.load() == {"epoch": 7}

    def test_a_cell_that_another_run_has_taken_since_is_left_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        watched, state = self.watched(tmp_path)
        taken = taken_by_another(monkeypatch, tmp_path / "data/.locks/b/clip_reid/seed_3.lock")
        last = node(lambda *_: taken.__enter__() or 1, "comparison", "zz", name="another")
        watched.run(two_stages(watched) + pipeline([last]))
        assert state.exists()
        taken.__exit__(None, None, None)
