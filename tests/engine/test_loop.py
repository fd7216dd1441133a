"""The loop: order of the hooks, history, mixed precision, errors, and going on after a kill."""

# ruff: noqa: ARG002 - a hook has its arguments, used or not

import copy
import io
import itertools
import json
import math

import pytest
import torch
from torch import nn

from reid_pipeline.engine.finite import NonFiniteLoss, NonFiniteWeights, NotFinite, non_finite_tensors
from reid_pipeline.engine.loop import fit
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.stage import StepOutput
from reid_pipeline.schema.errors import UserError


def same_state(left, right) -> bool:
    """Bit equality of two nested states."""
    if isinstance(left, torch.Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same_state(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same_state, left, right))
    return left == right


def without_seconds(history):
    return [{key: value for key, value in record.items() if key != "seconds"} for record in history]


def stored(state):
    """As the catalog stores and loads it."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, map_location="cpu", weights_only=True)


class TestOrder:
    def test_hooks_are_asked_in_order(self, toy_stage, make_plan, make_model, make_data):
        stage = toy_stage(make_plan(epochs=2, iterations_per_epoch=2))
        list(fit(stage, make_model(), make_data()))
        epoch = ["step", "after_step"] * 2 + ["facts"]
        assert stage.asked == ["begin", "epoch 1", *epoch, "epoch 2", *epoch]

    def test_a_progress_for_every_epoch(self, toy_stage, make_plan, make_model, make_data):
        seen = list(fit(toy_stage(make_plan()), make_model(), make_data()))
        assert [(progress.epoch, progress.epochs) for progress in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
        assert [len(progress.history) for progress in seen] == [1, 2, 3, 4]
        assert [progress.state["epoch"] for progress in seen] == [1, 2, 3, 4]

    def test_stopping_early_trains_no_further(self, toy_stage, make_plan, make_model, make_data):
        stage, model = toy_stage(make_plan()), make_model()
        progress = fit(stage, model, make_data())
        next(progress)
        weights = copy.deepcopy(model.state_dict())
        progress.close()
        assert "epoch 2" not in stage.asked
        assert same_state(dict(model.state_dict()), dict(weights))

    def test_nothing_happens_before_it_is_asked_for(self, toy_stage, make_plan, make_model, make_data):
        stage = toy_stage(make_plan())
        fit(stage, make_model(), make_data())
        assert stage.asked == []

    def test_a_stage_in_eval_mode_is_put_back_in_training_mode(self, toy_stage, make_plan, make_model, make_data):
        class Extracting(toy_stage):
            def epoch_batches(self, model, data, epoch):
                model.eval()
                yield from super().epoch_batches(model, data, epoch)

        stage = Extracting(make_plan(epochs=1))
        list(fit(stage, make_model(), make_data()))
        assert "step in eval mode" not in stage.asked


class TestHistory:
    def test_records(self, toy_stage, make_plan, make_model, make_data):
        *_, last = fit(toy_stage(make_plan()), make_model(), make_data())
        json.dumps(last.history)
        for epoch, record in enumerate(last.history, start=1):
            assert (record["epoch"], record["stage"], record["clusters"]) == (epoch, "toy", 3)
            assert record["trainable_parameters"] == sum(value.numel() for value in make_model().parameters())
            assert record["loss"] == pytest.approx(record["losses"]["near"] + record["losses"]["small"])
            assert set(record["seconds"]) == {"clustering", "training", "epoch"}
            assert record["seconds"]["epoch"] == pytest.approx(
                record["seconds"]["training"] + record["seconds"]["clustering"], abs=2e-3
            )
        rates = [record["learning_rate"] for record in last.history]
        assert rates == pytest.approx([0.0005, 0.05, 0.005, 0.005])

    def test_losses_are_the_mean_over_the_steps(self, toy_stage, make_plan, make_model, make_data):
        class Counting(toy_stage):
            def step(self, model, batch):
                output = super().step(model, batch)
                self.number = getattr(self, "number", 0) + 1
                return StepOutput({"count": 0 * output.losses["near"] + self.number}, output.retained)

        (first, second) = fit(Counting(make_plan(epochs=2, iterations_per_epoch=3)), make_model(), make_data())
        assert first.history[0]["losses"] == {"count": 2.0}  # 1, 2, 3
        assert second.history[1]["losses"] == {"count": 5.0}  # 4, 5, 6

    def test_sgd_by_hand(self, toy_stage, make_plan, make_data):
        """w <- w - rate * (momentum buffer), with the weight decay in the gradient."""

        class Line(toy_stage):
            def step(self, model, batch):
                return StepOutput({"line": 3 * model.weight.sum()}, {"output": model.weight.detach()})

        model = nn.Linear(1, 1, bias=False)
        nn.init.constant_(model.weight, 2.0)
        plan = make_plan(
            epochs=2, iterations_per_epoch=2, warmup_epochs=0, milestones=(1,), weight_decay=0.5, momentum=0.9
        )
        list(fit(Line(plan), model, make_data()))
        weight, buffer = 2.0, 0.0
        for rate in (0.05, 0.05, 0.005, 0.005):
            buffer = 0.9 * buffer + 3 + 0.5 * weight
            weight -= rate * buffer
        assert model.weight.item() == pytest.approx(weight, abs=1e-6)

    def test_a_stage_without_batches_is_named(self, toy_stage, make_plan, make_model, make_data):
        class Empty(toy_stage):
            def epoch_batches(self, model, data, epoch):
                return iter(())

        with pytest.raises(ValueError, match="Stage 'toy' gave no batch for epoch 1"):
            list(fit(Empty(make_plan()), make_model(), make_data()))


class TestResume:
    @pytest.mark.parametrize("optimiser", ["sgd", "adam"])
    @pytest.mark.parametrize("epoch", [1, 2, 3, 4])
    def test_equals_an_unbroken_run(self, toy_stage, make_plan, make_model, make_data, epoch, optimiser):
        plan = make_plan(optimiser=optimiser)
        whole = make_model()
        *_, wanted = fit(toy_stage(plan), whole, make_data())

        killed = fit(toy_stage(plan), make_model(), make_data())
        state = stored([next(killed) for _ in range(epoch)][-1].state)
        torch.manual_seed(999)  # another process: other global state, other initial weights
        other = make_model(seed=77)
        rest = list(fit(toy_stage(plan), other, make_data(), resume=state))

        assert [progress.epoch for progress in rest] == (list(range(epoch + 1, 5)) or [4])
        assert same_state(dict(other.state_dict()), dict(whole.state_dict()))
        assert same_state(rest[-1].state["optimiser"], wanted.state["optimiser"])
        assert same_state(rest[-1].state["model"], wanted.state["model"])
        assert without_seconds(rest[-1].history) == without_seconds(wanted.history)
        assert rest[-1].history[:epoch] == tuple(state["history"]), "finished epochs keep their seconds"

    def test_the_stage_begins_again_but_trains_no_finished_epoch(self, toy_stage, make_plan, make_model, make_data):
        first = fit(toy_stage(make_plan()), make_model(), make_data())
        state = stored([next(first) for _ in range(3)][-1].state)
        stage = toy_stage(make_plan())
        list(fit(stage, make_model(), make_data(), resume=state))
        assert [word for word in stage.asked if word.startswith(("begin", "epoch"))] == ["begin", "epoch 4"]

    def test_two_runs_of_a_seed_are_equal_and_of_two_seeds_are_not(self, toy_stage, make_plan, make_model, make_data):
        def weights(seed):
            torch.manual_seed(torch.seed())
            model = make_model()
            list(fit(toy_stage(make_plan()), model, make_data(seed)))
            return dict(model.state_dict())

        assert same_state(weights(1), weights(1))
        assert not same_state(weights(1), weights(2))


class TestNonFinite:
    @pytest.fixture
    def stage(self, toy_stage, make_plan):
        class Breaking(toy_stage):
            steps = itertools.count(1)

            def step(self, model, batch):
                output = super().step(model, batch)
                if next(self.steps) == 5:
                    self.before = copy.deepcopy(list(model.parameters()))
                    output.losses["near"] = output.losses["near"] * self.factor
                return output

        Breaking.steps = itertools.count(1)
        return Breaking(make_plan())

    @pytest.mark.parametrize(("factor", "shown"), [(math.nan, "nan"), (math.inf, "inf")])
    def test_it_stops_before_the_step(self, stage, make_model, make_data, factor, shown):
        stage.factor, model = factor, make_model()
        progress = fit(stage, model, make_data())
        next(progress)
        says = rf"not finite in step 2 of epoch 2: near = {shown}, small = [\d.]+\. The step was not taken"
        with pytest.raises(NonFiniteLoss, match=says):
            next(progress)
        assert all(map(torch.equal, model.parameters(), stage.before))
        assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
        assert stage.asked[-1] == "step", "after_step was not asked"

    def test_it_is_a_users_mistake_with_a_remedy(self, stage, make_model, make_data):
        stage.factor = math.nan
        with pytest.raises(UserError, match="Lower the learning rate, lengthen the warm-up, or use compute"):
            list(fit(stage, make_model(), make_data()))


class Float16(Runtime):
    """Runs in float32 with the real loss scaler of float16, which the CPU has too."""

    def gradient_scaler(self):
        return torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=1000)


class TestMixedPrecision:
    def test_after_step_is_left_out_where_the_scaler_skips(self, toy_stage, make_plan, make_model, make_data):
        class Overflowing(toy_stage):
            """The loss of step 2 is finite; its gradient, d sqrt(x) / dx at 0, is not."""

            def step(self, model, batch):
                output = super().step(model, batch)
                if self.asked.count("step") == 2:
                    self.before = copy.deepcopy(list(model.parameters()))
                    output.losses["near"] = (0 * output.losses["near"]).sqrt()
                elif self.asked.count("step") == 3:
                    self.unchanged = all(map(torch.equal, model.parameters(), self.before))
                return output

        stage = Overflowing(make_plan(epochs=1, iterations_per_epoch=3))
        *_, last = fit(stage, make_model(), make_data(runtime=Float16(torch.device("cpu"))))
        assert stage.asked == ["begin", "epoch 1", "step", "after_step", "step", "step", "after_step", "facts"]
        assert stage.unchanged, "the skipped step moved nothing"
        assert last.state["scaler"]["scale"] == 512.0

    def test_the_scaler_is_resumed(self, toy_stage, make_plan, make_model, make_data):
        runtime = Float16(torch.device("cpu"))
        first = fit(toy_stage(make_plan()), make_model(), make_data(runtime=runtime))
        state = stored(next(first).state)
        state["scaler"]["scale"] = 64.0
        second = fit(toy_stage(make_plan()), make_model(), make_data(runtime=runtime), resume=state)
        assert next(second).state["scaler"]["scale"] == 64.0

    def test_scaling_changes_no_weight(self, toy_stage, make_plan, make_model, make_data):
        """A power of two: exact in float32."""
        models = make_model(), make_model()
        list(fit(toy_stage(make_plan()), models[0], make_data()))
        list(fit(toy_stage(make_plan()), models[1], make_data(runtime=Float16(torch.device("cpu")))))
        assert same_state(dict(models[0].state_dict()), dict(models[1].state_dict()))


class TestNonFiniteWeights:
    """A finite loss whose step leaves weights, buffers or optimiser state that are not."""

    @pytest.fixture
    def poisoned(self, toy_stage, make_plan):
        class Poisoned(toy_stage):
            """In its last step of epoch 2, after the optimiser's, `poison` changes the model."""

            def after_step(self, batch, output):
                super().after_step(batch, output)
                if self.asked.count("after_step") == 6:
                    self.poison(self.model)

        def make(poison, model, **plan):
            stage = Poisoned(make_plan(**plan))
            stage.poison, stage.model = poison, model
            return stage

        return make

    @staticmethod
    def of_weights(model):
        model[2].bias.data[0] = math.nan

    @staticmethod
    def of_one_value(model):
        model[0].weight.data[1, 2] = -math.inf

    @staticmethod
    def of_buffers(model):
        model[1].running_var[3] = math.inf

    @pytest.mark.parametrize(
        ("poison", "name"),
        [("of_weights", "model.2.bias"), ("of_one_value", "model.0.weight"), ("of_buffers", "model.1.running_var")],
    )
    def test_such_an_epoch_is_not_yielded(self, poisoned, make_model, make_data, poison, name):
        model = make_model()
        progress = fit(poisoned(getattr(self, poison), model), model, make_data())
        first = next(progress)
        says = (
            rf"The weights of toy are not finite after epoch 2 \(1 of \d+ tensors, the first {name}\), whose learning"
            r" rate was 0\.05 \(plan\.learning_rate 0\.05\)\. This epoch was not stored; epoch 1 is stored and intact\."
            r" Lower the learning rate"
        )
        with pytest.raises(NonFiniteWeights, match=says):
            next(progress)
        assert len(first.state["history"]) == 1

    def test_optimiser_state_counts_too(self, toy_stage, make_plan, make_model, make_data):
        """A gradient that is infinite where the loss is finite, in the last step."""

        class Steep(toy_stage):
            def step(self, model, batch):
                output = super().step(model, batch)
                if self.asked.count("step") == 3:
                    output.losses["near"] = (0 * output.losses["near"]).sqrt()
                return output

        with pytest.raises(NonFiniteWeights, match=r"after epoch 1 \(\d+ of .* no epoch was stored before"):
            next(fit(Steep(make_plan()), make_model(), make_data()))

    def test_large_finite_values_are_no_fault(self):
        """Their sum overflows; each of them is looked at."""
        large = torch.full((4,), 3e38)
        half = torch.full((4,), 6e4, dtype=torch.float16)
        assert non_finite_tensors({"large": large, "half": [half], "whole": torch.arange(3), "text": "nan"}) is None
        assert str(non_finite_tensors({"a": large, "b": [half, large / 0]})) == "1 of 3 tensors, the first b.1"

    @pytest.mark.parametrize("rate", [1e9, 1e12, 1e15])
    @pytest.mark.parametrize("optimiser", ["sgd", "adam"])
    def test_nothing_that_is_not_finite_is_ever_yielded(
        self, toy_stage, make_plan, make_model, make_data, rate, optimiser
    ):
        """Whichever of loss and weights overflows first at a learning rate far too high; the error has the rate."""
        plan = make_plan(
            learning_rate=rate, optimiser=optimiser, warmup_epochs=0, epochs=30, milestones=(), bias_rate_multiplier=10
        )
        states = []
        try:
            states += [
                non_finite_tensors(progress.state) for progress in fit(toy_stage(plan), make_model(), make_data())
            ]
        except NotFinite as error:
            states += [None] if f"{rate:g}" in str(error) else [str(error)]
        assert set(states) == {None}
