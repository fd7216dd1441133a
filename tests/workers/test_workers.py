"""What head and workers exchange, how the launcher is started and ended, and who is said to stand still."""

import json
import logging
import os
import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from reid_pipeline.engine.checkpoint import Checkpoint
from reid_pipeline.engine.pulse import Pulse
from reid_pipeline.engine.runtime import resolve_runtime
from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import Origin, warn_of_rounding
from reid_pipeline.schema.parameters import ComputeParameters
from reid_pipeline.schema.population import Population
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.records import EpochRecord, StageDescription
from reid_pipeline.workers import worker
from reid_pipeline.workers.beats import Identity, LifeLine, Watch, beat_file, write_head
from reid_pipeline.workers.handover import Handover, write_json
from reid_pipeline.workers.launch import _ERROR, launcher_command, trained_by_processes

TABLE = pd.DataFrame({"path": ["a.jpg"], "label": pd.array([0], dtype="Int64")})
RECORD = EpochRecord(
    epoch=1, stage="one", learning_rate=0.1, trainable_parameters=3, loss=2.0, losses={"id": 2.0},
    seconds={"epoch": 1.0},
)  # fmt: skip


class Toy(Parameters):
    """Parameters of a method."""

    rate: float = 0.1


def run_of(tmp_path: Path, initial=None):
    return SimpleNamespace(
        method=SimpleNamespace(name="toy"), parameters=Toy(), whole=None, auto=frozenset({"plan.epochs"}), seed=3,
        benchmark="drawn", variant="", split_table=TABLE, raw_images=RawFolder(tmp_path / "images", ()),
        image_cache=None, initial=initial,
    )  # fmt: skip


def compute(**changes) -> ComputeParameters:
    return ComputeParameters(processes=2, device="cpu", **changes)


def checkpoint() -> Checkpoint:
    origin = Origin(made_by="toy.train_one", code="1")
    described = StageDescription(origin=origin, stage="one", population=Population(1, 0, 0), label_map=("a",))
    return Checkpoint({"weight": torch.arange(3.0)}, described)


def test_what_is_handed_over_comes_back(tmp_path: Path) -> None:
    handover = Handover(tmp_path / "files")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "error.json").write_text("{}")  # of an earlier run
    initial = SimpleNamespace(origin=SimpleNamespace(file="model.safetensors"))
    handover.put(run_of(tmp_path, initial), "two", compute(), {"epoch": 4, "x": torch.ones(2)}, checkpoint())
    spec = handover.spec()
    assert handover.refusal() is None
    assert (spec.method, spec.stage, spec.parameters, spec.auto) == ("toy", "two", {"rate": 0.1}, ["plan.epochs"])
    assert spec.initial == str(Path("model.safetensors").absolute())
    assert spec.raw_root == str(tmp_path / "images")
    pd.testing.assert_frame_equal(handover.table(), TABLE)
    assert torch.equal(handover.earlier(spec).tensors["weight"], torch.arange(3.0))
    assert handover.resume(spec)["epoch"] == 4
    assert handover.stored() is None
    handover.store(({"epoch": 5, "epochs": 9}, [RECORD]))
    assert handover.resume(spec)["epoch"] == 5, "what workers stored is later"
    state, history = handover.stored()
    assert (state["epochs"], history) == (9, [RECORD])


def test_a_folder_that_is_a_link_is_emptied_and_stays_one(tmp_path: Path) -> None:
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "files"
    (elsewhere / "old").mkdir(parents=True)
    (elsewhere / "old" / "beat_0.json").write_text("{}")
    (elsewhere / "error.json").write_text("{}")
    folder.symlink_to(elsewhere)
    Handover(folder).put(run_of(tmp_path), "one", compute(), None, None)
    assert folder.is_symlink()
    assert sorted(each.name for each in elsewhere.iterdir()) == ["spec.json", "split_table.parquet"]
    (tmp_path / "file").write_text("of somebody's hand")
    Handover(tmp_path / "file").put(run_of(tmp_path), "one", compute(), None, None)
    assert (tmp_path / "file" / "spec.json").is_file()


def test_an_initial_model_without_a_file_is_refused(tmp_path: Path) -> None:
    initial = SimpleNamespace(origin=SimpleNamespace(file=""))
    with pytest.raises(UserError, match="has no file"):
        Handover(tmp_path).put(run_of(tmp_path, initial), "one", compute(), None, None)


def test_the_launcher_is_torchrun_or_what_is_given(tmp_path: Path) -> None:
    module = ["-m", "reid_pipeline.workers.worker", str(tmp_path)]
    made = launcher_command(compute(), tmp_path)
    assert made[:3] == [sys.executable, "-m", "torch.distributed.run"]
    assert made[made.index("--nproc-per-node") + 1] == "2"
    assert made[-3:] == module
    given = launcher_command(compute(launcher="srun -n {processes} '{python}' {worker} --x 'a b'"), tmp_path)
    assert given == ["srun", "-n", "2", sys.executable, *module, "--x", "a b"]
    assert launcher_command(compute(launcher="torchrun --nnodes 2"), tmp_path) == ["torchrun", "--nnodes", "2", *module]
    with pytest.raises(
        UserError, match=r"compute\.launcher cannot be filled in \('nodes'\).*\{python\}, \{processes\}"
    ):
        launcher_command(compute().model_copy(update={"launcher": "srun -N {nodes}"}), tmp_path)


def started(tmp_path: Path, script: str, **changes):
    """Yield what the head yields where a shell script is the launcher; $3 is the folder."""
    (tmp_path / "launcher.sh").write_text(script)
    given = compute(launcher=f"sh {tmp_path}/launcher.sh", **changes)
    yield from trained_by_processes(run_of(tmp_path), "one", given, tmp_path / "files", None)


def test_a_launcher_that_cannot_be_started_or_ends_is_answered_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"compute\.launcher begins with 'no-such-program', .* No such file"):
        list(trained_by_processes(run_of(tmp_path), "one", compute(launcher="no-such-program"), tmp_path / "a", None))
    with pytest.raises(
        UserError, match=r"exit status 3\. The last error: ValueError: x\. No epoch is stored: the same"
    ):
        list(started(tmp_path, "echo ValueError: x.; exit 3"))
    with pytest.raises(UserError, match=r"with exit status 0\. No epoch is stored"):
        list(started(tmp_path, "exit 0"))
    with pytest.raises(UserError, match="by SIGKILL"):
        list(started(tmp_path, "kill -9 $$"))


@pytest.mark.parametrize(("state", "goes_well"), [({}, False), ({"epoch": 3}, True), ({"ended": "no cluster"}, True)])
def test_a_launcher_that_ends_well_before_the_last_epoch_gave_up(tmp_path: Path, state, goes_well) -> None:
    (tmp_path / "made").mkdir()
    Handover(tmp_path / "made").store(({"epoch": 1, "epochs": 3, **state}, [RECORD]))
    script = f'mv {tmp_path}/made/progress.pt "$3"; echo ━ a bar ━; echo srun: cancelled; echo'
    heads = started(tmp_path, script)
    if goes_well:
        assert [found["epoch"] for found, _ in heads] == [state.get("epoch", 1)]
    else:
        with pytest.raises(UserError, match=r"status 0\. The last line: srun: cancelled\. Epoch 1 is stored: the same"):
            list(heads)


@pytest.mark.parametrize(("when", "wanted"), [("before", [2, 3]), ("after", [1, 2, 3])])
def test_epochs_that_end_while_another_is_read_are_handed_on_once(tmp_path: Path, monkeypatch, when, wanted) -> None:
    (tmp_path / "made").mkdir()
    Handover(tmp_path / "made").store(({"epoch": 1, "epochs": 3}, [RECORD]))
    read = Handover.stored

    def stored(self: Handover):
        found = read(self)
        if found is None or found[0]["epoch"] == 3:
            return found
        self.store(({**found[0], "epoch": found[0]["epoch"] + 1}, found[1]))
        return found if when == "after" else read(self)

    monkeypatch.setattr(Handover, "stored", stored)
    heads = list(started(tmp_path, f'mv {tmp_path}/made/progress.pt "$3"; sleep 1'))
    assert [found["epoch"] for found, _ in heads] == wanted


def test_a_torn_line_of_the_log_is_passed_on_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = '{"name": "workers", "level": 30, "text": "whole"}'
    with pytest.raises(UserError, match="exit status 3"):
        list(started(tmp_path, f"printf '%s\\n%s\\n' '{whole[:20]}' '{whole}' > \"$3/records.jsonl\"; exit 3"))
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [whole[:20], "whole"]


def test_an_error_of_a_worker_is_that_of_the_run_and_ends_the_others(tmp_path: Path) -> None:
    script = 'echo $$ > "$3/pid"; echo \'{"text": "No cluster: lower eps."}\' > "$3/error.json"; sleep 60'
    begun = time.monotonic()
    with pytest.raises(UserError, match=r"^No cluster: lower eps\.$"):
        list(started(tmp_path, script))
    assert time.monotonic() - begun < 10
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "files" / "pid").read_text()), 0)


def test_the_node_hands_on_what_workers_store(tmp_path: Path, monkeypatch) -> None:
    """With one process it trains by itself; the parameters that the data decide are in force in both."""
    from reid_pipeline.engine import loading, plan_of_data, training
    from reid_pipeline.methods import find_method
    from reid_pipeline.pipelines.method_nodes import MethodNodes
    from reid_pipeline.schema.addresses import Cells

    asked = []

    def trained_here(run, stage, resume, earlier):
        asked.append(("here", run.parameters, stage, resume, earlier))
        yield {"epoch": 1}, [RECORD]

    def trained_there(run, stage, given, folder, resume, earlier):
        asked.append(("there", run.parameters, stage, resume, earlier, given.processes, folder))
        yield {"epoch": 2}, [RECORD]

    monkeypatch.setattr(loading, "check_unchanged", lambda *_: None)
    monkeypatch.setattr(plan_of_data, "resolved_parameters", lambda *_: "in force")
    monkeypatch.setattr(training, "train_stage", trained_here)
    monkeypatch.setattr("reid_pipeline.workers.launch.trained_by_processes", trained_there)
    monkeypatch.setattr("reid_pipeline.engine.whole_cost.whole_parameters", lambda *_: None)
    cells = Cells.model_validate({"pcl": {"benchmark": "drawn", "method": "pcl", "seed": 0}})
    node = MethodNodes(find_method("pcl"), "prototype_contrast")
    read = ("as given", TABLE, RawFolder(tmp_path, ()), None, None, {"epoch": 0})
    (tmp_path / "files").mkdir()
    for given in (ComputeParameters(device="cpu"), compute()):
        made = list(node.train(*read, given, cells, None, tmp_path / "files"))
        assert made == [({"epoch": given.processes}, [RECORD])]
    assert not (tmp_path / "files").exists(), "what a killed training in several left is of no use to one process"
    work = ("in force", "prototype_contrast", {"epoch": 0}, None)
    assert asked == [("here", *work), ("there", *work, 2, tmp_path / "files")]


def test_a_training_that_has_not_ended_is_not_kept() -> None:
    """A launcher may end well without one, and --from-nodes begins behind it."""
    from reid_pipeline.pipelines.method_nodes import keep

    with pytest.raises(UserError, match=r"No epoch of this training is stored\. Run without --from-nodes"):
        keep(None)
    state = {"model": checkpoint().tensors, "description": checkpoint().description.content(), "epoch": 2, "epochs": 5}
    with pytest.raises(UserError, match=r"This training has not ended: epoch 2 of 5 is stored\. Run without"):
        keep(state)
    for ended in ({**state, "epoch": 5}, {**state, "ended": "No cluster."}):
        assert torch.equal(keep(ended).tensors["weight"], torch.arange(3.0))


def test_log_lines_are_passed_on_and_a_finished_folder_goes(tmp_path: Path, caplog) -> None:
    stored = tmp_path / "stored"
    Handover(stored).folder.mkdir()
    Handover(stored).store(({"epoch": 1, "epochs": 1}, [RECORD]))
    record = json.dumps({"name": "reid_pipeline.engine", "level": logging.WARNING, "text": "50% noise"})
    script = f"echo '{record}' > $3/records.jsonl; cp {stored}/progress.pt $3/progress.pt"
    (state, history), *_ = list(started(tmp_path, script))
    assert (state["epoch"], history) == (1, [RECORD])
    assert ("reid_pipeline.engine", logging.WARNING, "50% noise") in caplog.record_tuples
    assert not (tmp_path / "files").exists()


def beat(folder: Path, rank: int, **changes) -> None:
    own = {"pid": os.getpid(), "host": "here", "started": ""}
    pulse = {"count": 1, "where": "step 5 of epoch 2", "moves": 1, "waits": False, "steady": True}
    write_json(beat_file(folder, rank), {**own, **pulse, **changes})


def test_who_stands_still_is_named_once_with_its_step(tmp_path: Path, monkeypatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    watch = Watch(tmp_path, 3, 60)
    found = []
    for second in range(0, 200, 10):
        clock[0] = float(second)
        stopped, slow = second >= 20, second >= 20
        beat(tmp_path, 0, count=second, waits=True)  # it waits for the others
        beat(tmp_path, 1, count=20 if stopped else second, moves=second)  # as by kill -STOP
        beat(tmp_path, 2, count=second, moves=20 if slow and second < 150 else second)
        found += [(second, line) for line in watch.lines()]
    assert [(second, line.split(" (")[0].split(" of 3")[0]) for second, line in found] == [
        (90, "Process 1"), (90, "Process 2"), (150, "Process 2"),
    ]  # fmt: skip
    assert "stands still for 60 s in step 5 of epoch 2, without a sign of life" in found[0][1]
    assert "stands still for 60 s in step 5 of epoch 2." in found[1][1]
    assert found[2][1] == "Process 2 of 3 goes on."


def test_those_that_never_begin_are_named_once(tmp_path: Path, monkeypatch) -> None:
    """A launcher that starts too few leaves the others waiting for them."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    watch = Watch(tmp_path, 4, 60)
    found = []
    for second in range(0, 300, 20):
        clock[0] = float(second)
        beat(tmp_path, 2, count=second, steady=False, where="its beginning")
        found += [(second, line) for line in watch.lines()]
    assert [second for second, _ in found] == [80]
    assert found[0][1].startswith("No sign of life after 60 s from 3 of 4 processes (0, 1, 3). The launcher may wait")
    assert str(tmp_path / "launcher.log") in found[0][1]


def test_a_clustering_may_take_its_time(tmp_path: Path, monkeypatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    watch = Watch(tmp_path, 1, 60)
    for second in range(0, 300, 10):
        clock[0] = float(second)
        beat(tmp_path, 0, count=second, steady=False, where="clustering")
        assert list(watch.lines()) == []


def test_a_pulse_says_where_a_process_is() -> None:
    pulse = Pulse()
    pulse.at("step 1 of epoch 1")
    with pulse.waiting():
        assert pulse.beat().waits
    after = pulse.beat()
    assert (after.where, after.waits, after.steady) == ("step 1 of epoch 1", False, True)
    assert after.moves > 1


def test_a_worker_whose_head_is_gone_ends(tmp_path: Path, monkeypatch) -> None:
    class EndedError(Exception):
        pass

    def ends(status: int) -> None:
        raise EndedError

    monkeypatch.setattr(os, "_exit", ends)
    monkeypatch.setattr("sys.platform", "other")  # this process is no worker: the kernel need not end it
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    write_head(tmp_path, 1)
    line = LifeLine(tmp_path, 0)
    assert line._head_lives()
    other = {**json.loads((tmp_path / "head.json").read_text()), "host": "elsewhere", "count": 9}
    write_json(tmp_path / "head.json", other)
    assert not line._head_lives(), "another run has taken the folder"
    gone = {**other, "host": socket.gethostname(), "pid": 2**22 - 1, "count": 10}
    write_json(tmp_path / "head.json", gone)
    with pytest.raises(EndedError):
        line.run()
    assert not Identity(os.getpid(), "here", "0").lives(), "a number that is another process's now"


@pytest.fixture
def tame(monkeypatch):
    """A worker's main without threads, waits and log handlers."""
    monkeypatch.setattr(worker, "LifeLine", lambda *_: SimpleNamespace(start=lambda: None))
    monkeypatch.setattr(worker, "_log_to", lambda _: None)
    monkeypatch.setattr(worker, "_READ_S", 0.0)


def test_a_worker_says_that_there_are_more_than_agreed_and_does_not_start_again(tmp_path: Path, tame) -> None:
    handover = Handover(tmp_path / "files")
    handover.put(run_of(tmp_path), "one", compute(), None, None)
    environment = {"RANK": "0", "WORLD_SIZE": "3", "LOCAL_RANK": "0"}
    assert worker.main(handover.folder, environment) == 0
    assert handover.refusal().startswith("compute.processes is 2, and the launcher started 3.")
    handover.refuse("another")
    assert handover.refusal().startswith("compute.processes is 2"), "the first sentence counts"
    assert worker.main(handover.folder, {}) == 0


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({}, "The launcher sets neither RANK nor SLURM_PROCID: torchrun and srun do."),
        ({"RANK": "first"}, "The launcher sets RANK to 'first', which is no number from 0."),
        ({"RANK": "2", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}, "The launcher gives a process the number 2: they are 0"),
    ],
)
def test_a_number_that_a_launcher_sets_wrongly_is_the_sentence_of_the_run(tmp_path, tame, environment, text) -> None:
    handover = Handover(tmp_path / "files")
    handover.put(run_of(tmp_path), "one", compute(), None, None)
    assert worker.main(handover.folder, environment) == 0
    assert handover.refusal().startswith(text)


@pytest.mark.parametrize(("variables", "method"), [({}, "file"), ({"MASTER_PORT": "1"}, "env")])
def test_a_machines_address_alone_is_no_meeting(tmp_path: Path, monkeypatch, variables, method) -> None:
    """Scripts of clusters set it; torchrun sets both."""
    from torch import distributed

    asked = []
    monkeypatch.setattr(distributed, "init_process_group", lambda _, init_method, **__: asked.append(init_method))
    monkeypatch.delenv("MASTER_PORT", raising=False)
    for name, value in ({"MASTER_ADDR": "node1"} | variables).items():
        monkeypatch.setenv(name, value)
    worker._met(tmp_path, 0, 2, torch.device("cpu"))
    assert asked[0].startswith(f"{method}://")


def test_a_fault_of_the_program_is_a_restart(tmp_path: Path, tame, monkeypatch, capsys) -> None:
    handover = Handover(tmp_path / "files")
    handover.put(run_of(tmp_path), "one", compute(), None, None)

    def broken(*_: object) -> None:
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr(worker, "_train", broken)
    slurm = {"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "SLURM_LOCALID": "1"}
    assert worker.main(handover.folder, slurm) == 1
    printed = capsys.readouterr().err
    assert "Connection closed by peer" in printed
    assert not any(_ERROR.match(line) for line in printed.splitlines()), "the fault is that of the process that ended"
    assert handover.refusal() is None


def test_processes_of_a_machine_share_its_cores_and_memory(monkeypatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    own = worker.own_compute(compute(image_memory=90), 1, 3)
    assert (own.processes, own.threads, own.image_memory, own.device) == (1, 2, 30, "cpu")
    assert worker.own_compute(compute(threads=5), 0, 2).threads == 5
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert worker.own_compute(ComputeParameters(processes=2), 1, 2).device == "cuda:1"


def test_one_gpu_is_not_shared(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match=r"processes is 2, and compute\.device 'cuda:0' is one device"):
        resolve_runtime(ComputeParameters(processes=2, device="cuda:0"))
    with pytest.raises(UserError, match=r"processes is 2, and this machine has 1 GPU: each process takes one"):
        resolve_runtime(ComputeParameters(processes=2))


def test_a_number_of_processes_that_is_a_slip_starts_none(monkeypatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert resolve_runtime(compute(launcher="srun").model_copy(update={"processes": 200})).device.type == "cpu"
    resolve_runtime(ComputeParameters(processes=8, device="cpu"))
    with pytest.raises(UserError, match=r"processes is 200, and this machine has 2 cores: 8 are started here"):
        resolve_runtime(ComputeParameters(processes=200, device="cpu"))


def test_another_number_of_processes_only_warns(caplog) -> None:
    stored, present = (Origin(made_by="a", code="1", processes=count) for count in (1, 2))
    warn_of_rounding(stored, present, logging.getLogger("test"))
    assert "Processes was 1 and is 2: bits may differ" in caplog.text
    assert stored.fingerprint == present.fingerprint
