"""Learning rates by hand, derived seeds written down, devices that are not there."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from reid_pipeline.engine.loop import build_optimiser, learning_rate, set_learning_rate, trainable_groups
from reid_pipeline.engine.runtime import Runtime, resolve_runtime
from reid_pipeline.engine.seeding import derived_seed, numpy_generator, seed_global_state, torch_generator
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import ComputeParameters, TrainingPlan


def rates_of(plan: TrainingPlan) -> list[float]:
    """The rate of each epoch."""
    return [learning_rate(plan, epoch) for epoch in range(1, plan.epochs + 1)]


class TestLearningRate:
    """Every published plan: test_schedules.py."""

    def test_the_published_plan(self, make_plan):
        """Warm-up 10 from 0.01, x0.1 at 20 and 40; 60 epochs (methods.md section 8)."""
        plan = make_plan(
            epochs=60, learning_rate=1.0, warmup_epochs=10, warmup_factor=0.01, milestones=(20, 40), decay=0.1
        )
        rates = rates_of(plan)
        warm = [0.01, 0.109, 0.208, 0.307, 0.406, 0.505, 0.604, 0.703, 0.802, 0.901]
        assert rates == pytest.approx([*warm, *[1.0] * 10, *[0.1] * 20, *[0.01] * 20], rel=1e-12)
        assert (rates[0], rates[10]) == (0.01, 1.0)
        assert rates[19] == 1.0
        assert rates[20] == pytest.approx(0.1)
        assert rates[40] == pytest.approx(0.01)

    def test_no_warm_up(self, make_plan):
        plan = make_plan(learning_rate=1.0, warmup_epochs=0, milestones=(1, 3), decay=0.5)
        assert rates_of(plan) == [1.0, 0.5, 0.5, 0.25]

    def test_a_milestone_within_the_warm_up_multiplies(self, make_plan):
        plan = make_plan(epochs=5, learning_rate=1.0, warmup_epochs=4, warmup_factor=0.2, milestones=(2,), decay=0.1)
        assert rates_of(plan) == pytest.approx([0.2, 0.4, 0.06, 0.08, 0.1])

    def test_groups_move_at_multiples(self, make_plan):
        plan = make_plan(warmup_epochs=0, milestones=(1,), learning_rate=0.2)
        slow, fast = nn.Linear(1, 1), nn.Linear(1, 1)
        groups = [{"params": slow.parameters(), "rate_multiplier": 0.1}, {"params": fast.parameters()}]
        optimiser = build_optimiser(groups, plan)
        assert set_learning_rate(optimiser, plan, 1) == 0.2
        assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([0.02, 0.2])
        assert set_learning_rate(optimiser, plan, 2) == pytest.approx(0.02)
        assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([0.002, 0.02])

    def test_only_what_requires_a_gradient_moves(self, make_plan):
        model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        model[0].weight.requires_grad_(False)
        (group,) = trainable_groups(model, make_plan(weight_decay=0.3))
        assert group["weight_decay"] == 0.3
        assert {id(p) for p in group["params"]} == {id(p) for p in (model[0].bias, model[1].weight, model[1].bias)}

    @pytest.mark.parametrize(("name", "kind"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam)])
    def test_the_plans_optimiser(self, make_plan, name, kind):
        optimiser = build_optimiser([{"params": nn.Linear(1, 1).parameters()}], make_plan(optimiser=name, momentum=0.7))
        assert type(optimiser) is kind
        if name == "sgd":
            assert optimiser.param_groups[0]["momentum"] == 0.7


class TestSeeding:
    def test_values_never_change(self):
        """sha256("seed/purpose/position"), the first 8 bytes, halved; written down: results depend on it."""
        assert derived_seed(0) == GOLDEN[0]
        assert derived_seed(0, "augment", 1, 2) == GOLDEN[1]
        assert derived_seed(7, "sampler", "cluster_contrast", 3) == GOLDEN[2]

    def test_purpose_and_position_matter(self):
        positions = [(), ("a",), ("b",), ("a", 1), ("a", 2), ("a", 1, 2), ("a", 12), ("a", 1, 2, 0)]
        seeds = {derived_seed(seed, *position) for seed in range(20) for position in positions}
        assert len(seeds) == 20 * len(positions)
        assert all(0 <= seed < 2**63 for seed in seeds)

    def test_generators_are_fresh_each_time(self):
        first = numpy_generator(3, "x").random(4)
        assert (numpy_generator(3, "x").random(4) == first).all()
        assert (numpy_generator(3, "y").random(4) != first).all()
        one = torch.rand(4, generator=torch_generator(3, "x"))
        assert torch.equal(torch.rand(4, generator=torch_generator(3, "x")), one)
        assert not torch.equal(torch.rand(4, generator=torch_generator(4, "x")), one)

    def test_the_generators_leave_global_state_alone(self):
        state = torch.get_rng_state()
        torch.rand(4, generator=torch_generator(3, "x"))
        assert torch.equal(torch.get_rng_state(), state)

    def test_global_state_of_all_three(self):
        def draw(*position):
            seed_global_state(5, *position)
            return random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002

        assert draw("a", 1) == draw("a", 1)
        assert not set(draw("a", 1)) & set(draw("a", 2))


GOLDEN = (3456079177858693020, 7313097465724281157, 8713031287159540929)


class TestRuntime:
    @pytest.fixture(autouse=True)
    def no_accelerator(self, monkeypatch):
        """These tests are about a machine without one, wherever they run."""
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)

    def test_auto_is_the_cpu_in_float32(self):
        runtime = resolve_runtime(ComputeParameters(image_memory=123))
        assert runtime == Runtime(torch.device("cpu"), "float32", 123, threads=torch.get_num_threads())

    @pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:7", "mps"])
    def test_an_absent_device(self, device):
        says = rf"compute\.device is '{device}', but this machine has: auto, cpu\. Choose one of these"
        with pytest.raises(UserError, match=says):
            resolve_runtime(ComputeParameters(device=device))

    @pytest.mark.parametrize(("device", "index"), [("cuda:1", 1), ("cuda", None), ("auto", 0)])
    def test_a_device_that_is_there(self, monkeypatch, device, index):
        from reid_pipeline.engine.runtime import _resolve_device

        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        assert _resolve_device(device) == torch.device("cuda", index)
        with pytest.raises(UserError, match="'cuda:2', but this machine has: auto, cpu, cuda:0, cuda:1"):
            _resolve_device("cuda:2")

    @pytest.mark.parametrize(("bf16", "wanted"), [(True, "bfloat16"), (False, "float16")])
    def test_auto_precision_on_cuda(self, monkeypatch, bf16, wanted):
        from reid_pipeline.engine.runtime import _resolve_precision

        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)
        assert _resolve_precision("auto", torch.device("cuda:0")) == wanted
        assert _resolve_precision("float32", torch.device("cuda:0")) == "float32"

    def test_float16_on_the_cpu(self):
        with pytest.raises(UserError, match=r"'float16', which the CPU does not compute in.*'bfloat16' or 'auto'"):
            resolve_runtime(ComputeParameters(precision="float16"))

    @pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
    def test_autocast(self, precision, dtype):
        runtime = resolve_runtime(ComputeParameters(precision=precision))
        with runtime.autocast():
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
        assert not runtime.gradient_scaler().is_enabled()

    def test_float16_scales_the_loss(self):
        assert Runtime(torch.device("cpu"), "float16").gradient_scaler().is_enabled()

    def test_threads(self):
        before = torch.get_num_threads()
        try:
            resolve_runtime(ComputeParameters(threads=2))
            assert torch.get_num_threads() == 2
            resolve_runtime(ComputeParameters(threads=0))
            assert torch.get_num_threads() == 2, "0 leaves it as it is"
        finally:
            torch.set_num_threads(before)
