"""The best model by a stage's own measure: found, stored, gone on from after a kill, and exported."""

# ruff: noqa: ARG002 - a hook has its arguments, used or not

import io

import pytest
import torch

from reid_pipeline.engine.checkpoint import Checkpoint, checkpoint_of
from reid_pipeline.engine.loop import UnusableState, fit
from reid_pipeline.engine.stage import TrainingEnded
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.population import Population
from reid_pipeline.schema.records import EpochRecord, StageDescription


def stored(state):
    """As the catalog stores and loads it."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, map_location="cpu", weights_only=True)


def equal(left, right) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def untimed(state):
    """All of a state but its model and optimiser, and without times."""
    plain = {name: value for name, value in state.items() if name not in {"model", "optimiser", "history", "best"}}
    history = [{name: value for name, value in record.items() if name != "seconds"} for record in state["history"]]
    return plain | {"history": history, "best": {**state["best"], "model": None}}


@pytest.fixture
def measured(toy_stage):
    """A stage whose model after i epochs has the measure `figures[i]`; None ends training."""

    class Measured(toy_stage):
        def __init__(self, plan, figures):
            super().__init__(plan)
            self.figures, self.models, self.present = figures, {}, None

        def epoch_batches(self, model, data, epoch):
            self.look_at(model, epoch - 1)
            if self.present is None:
                raise TrainingEnded("The clusters are gone.")
            return super().epoch_batches(model, data, epoch)

        def look_at(self, model, epoch):
            self.present, self.models[epoch] = self.figures[epoch], weights(model)

        def measure(self):
            return self.present

        def judge(self, model, data):
            self.asked.append("judge")
            self.look_at(model, len(self.figures) - 1)
            return self.present

    return Measured


def test_the_copy_is_of_the_best_model_and_no_later_step_moves_it(measured, make_plan, make_model, make_data):
    stage, model = measured(make_plan(), [0.1, 0.2, 0.5, 0.4, 0.3]), make_model()
    seen = [
        (progress.state["best"]["epoch"], progress.state["best"]["measure"])
        for progress in fit(stage, model, make_data())
    ]
    assert seen == [(0, 0.1), (1, 0.2), (2, 0.5), (2, 0.5)]
    *_, last = fit(measured(make_plan(), [0.1, 0.2, 0.5, 0.4, 0.3]), make_model(), make_data())
    best = last.state["best"]
    assert equal(best["model"], stage.models[2])
    assert not equal(best["model"], last.state["model"])
    assert best["measures"] == [0.1, 0.2, 0.5, 0.4, 0.3]
    assert last.history[-1]["exported"] == {"epoch": 2, "epochs": 4, "measures": best["measures"]}


@pytest.mark.parametrize(
    ("figures", "epoch"),
    [
        ([0.3, 0.2, 0.1, 0.2, 0.1], 0),  # the model before training
        ([0.1, 0.2, 0.3, 0.4, 0.5], 4),  # the last, which is judged once more
        ([0.2, 0.4, 0.1, 0.4, 0.4], 1),  # of equals the earliest
        ([0.0, 0.0, 0.0, 0.0, 0.0], 0),
        ([-0.2, -0.1, -0.3, -0.1, -0.2], 1),
    ],
)
def test_which_is_exported(figures, epoch, measured, make_plan, make_model, make_data):
    stage = measured(make_plan(), figures)
    *_, last = fit(stage, make_model(), make_data())
    assert last.is_last
    origin = Origin(made_by="toy.train_toy", code="1")
    description = StageDescription(origin=origin, stage="toy", population=Population(), label_map=())
    made = checkpoint_of({**last.state, "description": description.content()})
    assert isinstance(made, Checkpoint)
    assert equal(dict(made.tensors), stage.models[epoch])
    record = EpochRecord.of(last.history[-1], "0" * 64)
    assert record.exported is not None
    assert (record.exported.epoch, record.exported.measure) == (epoch, figures[epoch])


@pytest.mark.parametrize("killed_after", [1, 3, 4])
@pytest.mark.parametrize("figures", [[0.1, 0.5, 0.2, 0.4, 0.3], [0.1, 0.2, 0.3, 0.2, 0.4]])
def test_after_a_kill_the_same_bits_are_exported(killed_after, figures, measured, make_plan, make_model, make_data):
    *_, wanted = fit(measured(make_plan(), figures), make_model(), make_data())
    killed = fit(measured(make_plan(), figures), make_model(), make_data())
    states = [stored(next(killed).state) for _ in range(killed_after)]
    *_, last = fit(measured(make_plan(), figures), make_model(seed=9), make_data(), resume=states[-1])
    assert equal(last.state["best"]["model"], wanted.state["best"]["model"])
    assert equal(last.state["model"], wanted.state["model"])
    assert untimed(last.state) == untimed(wanted.state)


class TestEarlyEnd:
    """A stage that cannot go on after its first epoch ends training; what was best so far is exported."""

    FIGURES = (0.1, 0.5, 0.2, None, 0.9)

    def test_the_best_so_far_is_exported_with_the_reason(self, measured, make_plan, make_model, make_data):
        stage = measured(make_plan(), self.FIGURES)
        seen = list(fit(stage, make_model(), make_data()))
        assert [(each.epoch, each.is_last) for each in seen] == [(1, False), (2, False), (3, False), (3, True)]
        last = seen[-1]
        assert (last.ended, last.steps) == ("The clusters are gone.", 0)
        assert equal(last.state["best"]["model"], stage.models[1])
        measures = [0.1, 0.5, 0.2]
        assert last.history[-1]["exported"] == {"epoch": 1, "epochs": 4, "measures": measures, "ended": last.ended}
        assert "judge" not in stage.asked
        assert seen[2].history[-1].keys() == last.history[-1].keys() - {"exported"}

    @pytest.mark.parametrize("place", [1, 2, 3])
    def test_a_resumed_training_ends_there_too(self, place, measured, make_plan, make_model, make_data):
        seen = [stored(each.state) for each in fit(measured(make_plan(), self.FIGURES), make_model(), make_data())]
        stage = measured(make_plan(), self.FIGURES)
        *_, last = fit(stage, make_model(seed=9), make_data(), resume=seen[place])
        assert last.is_last
        assert untimed(last.state) == untimed(seen[-1])
        assert equal(last.state["best"]["model"], seen[-1]["best"]["model"])
        assert ("step" in stage.asked) is (place < 2)

    def test_in_the_first_epoch_nothing_could_be_exported(self, measured, make_plan, make_model, make_data):
        with pytest.raises(TrainingEnded, match="clusters are gone"):
            list(fit(measured(make_plan(), [None] * 5), make_model(), make_data()))


def test_without_a_measure_nothing_is_copied_or_judged(toy_stage, make_plan, make_model, make_data):
    class Unmeasured(toy_stage):
        def judge(self, model, data):
            raise AssertionError("asked although nothing is measured")

    *_, last = fit(Unmeasured(make_plan()), make_model(), make_data())
    assert last.state.keys() == {"model", "optimiser", "scaler", "epoch", "history"}
    assert last.history[-1].keys() == last.history[0].keys()


def test_the_last_measure_takes_time_that_is_noted(measured, make_plan, make_model, make_data):
    *_, last = fit(measured(make_plan(), [0.0] * 5), make_model(), make_data())
    assert [set(record["seconds"]) for record in last.history[2:]] == [
        {"clustering", "training", "epoch"},
        {"clustering", "training", "epoch", "judging"},
    ]
    assert last.history[-1]["after"] == {"clusters": 3}


def test_a_best_model_of_another_shape_is_no_state_of_this_training(measured, make_plan, make_model, make_data):
    state = stored(next(fit(measured(make_plan(), [0.0] * 5), make_model(), make_data())).state)
    state["best"]["model"]["0.weight"] = torch.zeros(5, 3)
    with pytest.raises(UnusableState, match="best model so far has other tensors"):
        next(fit(measured(make_plan(), [0.0] * 5), make_model(), make_data(), resume=state))
