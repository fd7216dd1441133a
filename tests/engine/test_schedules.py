"""The learning rates of every published plan, epoch by epoch, against numbers worked out by hand.

methods.md sections 4 to 8 give the plans, section 11 the two ways to step: CLIP-ReID's released code
steps at the start of an epoch, so that epoch e runs at the schedule's value after e steps; PCL-CLIP's at
its end, so that epoch e runs at the value after e - 1 steps. The papers start the warm-up at its first
value, hence `corrected` is `end` for every method, and both recipes of the PCL family are `end`.
"""

import math

import pytest
import torch
from torch import nn

from reid_pipeline.config.loader import LayeredConfigLoader
from reid_pipeline.engine.loop import build_optimiser, learning_rate, set_learning_rate, trainable_groups
from reid_pipeline.methods import find_method
from reid_pipeline.schema.parameters import TowerPlan, TrainingPlan
from reid_pipeline.settings import CONFIG_LOADER_ARGS


def rates_of(plan: TrainingPlan) -> list[float]:
    """The rate of each epoch."""
    return [learning_rate(plan, epoch) for epoch in range(1, plan.epochs + 1)]


# Sections 4 and 5, baseline and clip_reid stage 2.
VIT = {
    "epochs": 60,
    "iterations_per_epoch": None,
    "batch_size": 64,
    "instances": 4,
    "optimiser": "adam",
    "learning_rate": 5e-6,
    "weight_decay": 1e-4,
    "bias_rate_multiplier": 2.0,
    "warmup_epochs": 10,
    "warmup_factor": 0.1,
    "milestones": (30, 50),
}
VIT_VEHICLEID = VIT | {"learning_rate": 5e-5}
RN50 = VIT | {
    "epochs": 120,
    "learning_rate": 3.5e-4,
    "weight_decay": 5e-4,
    "warmup_factor": 0.01,
    "milestones": (40, 70),
}
# Section 5, stage 1: persons with ViT, then RN50 and vehicles.
PROMPTS = {
    "epochs": 120,
    "iterations_per_epoch": None,
    "batch_size": 64,
    "instances": None,
    "optimiser": "adam",
    "learning_rate": 3.5e-4,
    "weight_decay": 1e-4,
    "schedule": "cosine",
    "warmup_epochs": 5,
    "warmup_learning_rate": 1e-5,
    "milestones": (),
    "final_learning_rate": 1e-6,
}
PROMPTS_SHORT = PROMPTS | {"epochs": 60}
PROMPTS_VEHICLEID = PROMPTS_SHORT | {"batch_size": 256}
# Section 7: the plans of clip_reid with other batches.
SVLL_PROMPTS_PERSONS = PROMPTS | {"batch_size": 256}
SVLL_PROMPTS_VEHICLES = PROMPTS_SHORT | {"batch_size": 64}
SVLL_VERI = VIT | {"batch_size": 32}
SVLL_VEHICLEID = VIT_VEHICLEID | {"batch_size": 32}
# Sections 6 and 8.
PCL = {
    "epochs": 60,
    "iterations_per_epoch": 200,
    "batch_size": 256,
    "instances": 8,
    "optimiser": "sgd",
    "learning_rate": 3.5e-4,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "warmup_epochs": 10,
    "warmup_factor": 0.1,
    "milestones": (30, 50),
}
UNSUPERVISED_PCL = PCL | {"instances": 16, "warmup_factor": 0.01, "milestones": (20, 40)}

# Warm-up of the ViT: 5e-6 (0.1 + 0.9 t / 10) = 5e-7 + 4.5e-7 t after t steps, here t = 1 ... 9.
VIT_WARM = [9.5e-7, 1.4e-6, 1.85e-6, 2.3e-6, 2.75e-6, 3.2e-6, 3.65e-6, 4.1e-6, 4.55e-6]
# Start: t = 30 and t = 50 are epochs 30 and 50: 9 + 20 (10 to 29) + 20 (30 to 49) + 11 (50 to 60) epochs.
VIT_START = [*VIT_WARM, *[5e-6] * 20, *[5e-7] * 20, *[5e-8] * 11]
# End: they are epochs 31 and 51, and t = 0 comes first: 10 + 20 (11 to 30) + 20 (31 to 50) + 10.
VIT_END = [5e-7, *VIT_WARM, *[5e-6] * 20, *[5e-7] * 20, *[5e-8] * 10]

# VehicleID: 5e-5 (0.1 + 0.9 t / 10) = 5e-6 + 4.5e-6 t.
VEHICLEID_WARM = [9.5e-6, 1.4e-5, 1.85e-5, 2.3e-5, 2.75e-5, 3.2e-5, 3.65e-5, 4.1e-5, 4.55e-5]
VEHICLEID_START = [*VEHICLEID_WARM, *[5e-5] * 20, *[5e-6] * 20, *[5e-7] * 11]
VEHICLEID_END = [5e-6, *VEHICLEID_WARM, *[5e-5] * 20, *[5e-6] * 20, *[5e-7] * 10]

# RN50: 3.5e-4 (0.01 + 0.99 t / 10) = 3.5e-6 + 3.465e-5 t; drops at t = 40 and 70 of 120.
RN50_WARM = [*(3.815e-5, 7.28e-5, 1.0745e-4, 1.421e-4, 1.7675e-4), *(2.114e-4, 2.4605e-4, 2.807e-4, 3.1535e-4)]
RN50_START = [*RN50_WARM, *[3.5e-4] * 30, *[3.5e-5] * 30, *[3.5e-6] * 51]
RN50_END = [3.5e-6, *RN50_WARM, *[3.5e-4] * 30, *[3.5e-5] * 30, *[3.5e-6] * 50]

# pcl: 3.5e-4 (0.1 + 0.9 t / 10) = 3.5e-5 + 3.15e-5 t for t = 0 ... 9; drops at t = 30 and 50.
PCL_END = [
    *(3.5e-5, 6.65e-5, 9.8e-5, 1.295e-4, 1.61e-4, 1.925e-4, 2.24e-4, 2.555e-4, 2.87e-4, 3.185e-4),
    *[3.5e-4] * 20,
    *[3.5e-5] * 20,
    *[3.5e-6] * 10,
]
# unsupervised_pcl: the warm-up of RN50 with t = 0 before it; drops at t = 20 and 40 of 60.
UNSUPERVISED_END = [3.5e-6, *RN50_WARM, *[3.5e-4] * 10, *[3.5e-5] * 20, *[3.5e-6] * 20]

# Prompt learning, in units of 1e-6: 10 + 68 t for t = 0 ... 4, since (350 - 10) / 5 = 68; then
# 1 + 174.5 (1 + cos(pi t / T)) for t = 5 ... T, to four decimals, worked out in decimal arithmetic. To be
# seen by eye: t = T / 2 gives 1 + 174.5, t = T / 3 gives 1 + 174.5 x 1.5 = 262.75.
PROMPTS_120 = [
    *(10, 78, 146, 214, 282, 348.5071, 347.8516, 347.078, 346.1868, 345.1786, 344.0541, 342.814, 341.4594),
    *(339.9909, 338.4098, 336.717, 334.9137, 333.0011, 330.9806, 328.8536, 326.6214, 324.2857, 321.848),
    *(319.31, 316.6735, 313.9402, 311.112, 308.1908, 305.1788, 302.0778, 298.8901, 295.6179, 292.2633),
    *(288.8287, 285.3164, 281.7289, 278.0685, 274.3379, 270.5395, 266.676, 262.75, 258.7642, 254.7213),
    *(250.6242, 246.4755, 242.2783, 238.0352, 233.7493, 229.4235, 225.0607, 220.6639, 216.2362, 211.7806),
    *(207.3001, 202.7978, 198.2768, 193.7402, 189.1911, 184.6326, 180.0679, 175.5, 170.9321, 166.3674),
    *(161.8089, 157.2598, 152.7232, 148.2022, 143.6999, 139.2194, 134.7638, 130.3361, 125.9393, 121.5765),
    *(117.2507, 112.9648, 108.7217, 104.5245, 100.3758, 96.2787, 92.2358, 88.25, 84.324, 80.4605, 76.6621),
    *(72.9315, 69.2711, 65.6836, 62.1713, 58.7367, 55.3821, 52.1099, 48.9222, 45.8212, 42.8092, 39.888),
    *(37.0598, 34.3265, 31.69, 29.152, 26.7143, 24.3786, 22.1464, 20.0194, 17.9989, 16.0863, 14.283),
    *(12.5902, 11.0091, 9.5406, 8.186, 6.9459, 5.8214, 4.8132, 3.922, 3.1484, 2.4929, 1.9559, 1.5379),
    *(1.2391, 1.0598, 1),
]
PROMPTS_60 = [
    *(10, 78, 146, 214, 282, 344.0541, 341.4594, 338.4098, 334.9137, 330.9806, 326.6214, 321.848, 316.6735),
    *(311.112, 305.1788, 298.8901, 292.2633, 285.3164, 278.0685, 270.5395, 262.75, 254.7213, 246.4755),
    *(238.0352, 229.4235, 220.6639, 211.7806, 202.7978, 193.7402, 184.6326, 175.5, 166.3674, 157.2598),
    *(148.2022, 139.2194, 130.3361, 121.5765, 112.9648, 104.5245, 96.2787, 88.25, 80.4605, 72.9315),
    *(65.6836, 58.7367, 52.1099, 45.8212, 39.888, 34.3265, 29.152, 24.3786, 20.0194, 16.0863, 12.5902),
    *(9.5406, 6.9459, 4.8132, 3.1484, 1.9559, 1.2391, 1),
]


def millionths(values):
    return [value * 1e-6 for value in values]


# Released: epoch e runs at t = e, so the first value never comes and the last epoch runs at 1e-6.
# Corrected: epoch e runs at t = e - 1.
PROMPTS_120_START, PROMPTS_120_END = millionths(PROMPTS_120[1:]), millionths(PROMPTS_120[:-1])
PROMPTS_60_START, PROMPTS_60_END = millionths(PROMPTS_60[1:]), millionths(PROMPTS_60[:-1])

# name: plan, what it runs at stepping at the start (released), at the end (corrected)
STEPPED_AT_THE_START = {
    "baseline / clip_reid stage 2, ViT": (VIT, VIT_START, VIT_END),
    "baseline / clip_reid stage 2, ViT, VehicleID": (VIT_VEHICLEID, VEHICLEID_START, VEHICLEID_END),
    "baseline / clip_reid stage 2, RN50": (RN50, RN50_START, RN50_END),
    "clip_reid stage 1, ViT, persons": (PROMPTS, PROMPTS_120_START, PROMPTS_120_END),
    "clip_reid stage 1, RN50 and VeRi": (PROMPTS_SHORT, PROMPTS_60_START, PROMPTS_60_END),
    "clip_reid stage 1, VehicleID": (PROMPTS_VEHICLEID, PROMPTS_60_START, PROMPTS_60_END),
    "svll_reid stage 1, persons": (SVLL_PROMPTS_PERSONS, PROMPTS_120_START, PROMPTS_120_END),
    "svll_reid stage 1, vehicles": (SVLL_PROMPTS_VEHICLES, PROMPTS_60_START, PROMPTS_60_END),
    "svll_reid stage 2, persons": (VIT, VIT_START, VIT_END),
    "svll_reid stage 2, VeRi": (SVLL_VERI, VIT_START, VIT_END),
    "svll_reid stage 2, VehicleID": (SVLL_VEHICLEID, VEHICLEID_START, VEHICLEID_END),
}
STEPPED_AT_THE_END = {"pcl": (PCL, PCL_END), "unsupervised_pcl": (UNSUPERVISED_PCL, UNSUPERVISED_END)}
CASES = [
    *(pytest.param(p | {"step_at": "start"}, s, id=f"{n}, released") for n, (p, s, _) in STEPPED_AT_THE_START.items()),
    *(pytest.param(p | {"step_at": "end"}, e, id=f"{n}, corrected") for n, (p, _, e) in STEPPED_AT_THE_START.items()),
    *(pytest.param(p | {"step_at": "end"}, e, id=f"{n}, both recipes") for n, (p, e) in STEPPED_AT_THE_END.items()),
]


@pytest.mark.parametrize(("given", "wanted"), CASES)
def test_every_epoch_of_a_published_plan(given, wanted):
    plan = TrainingPlan(**given)
    assert len(wanted) == plan.epochs
    sequence = rates_of(plan)
    # The cosine tables have four decimals of 1e-6.
    tolerance = {"rel": 1e-12, "abs": 0} if plan.schedule == "steps" else {"rel": 0, "abs": 5.1e-11}
    assert sequence == pytest.approx(wanted, **tolerance)


@pytest.mark.parametrize(("given", "wanted"), CASES)
def test_the_optimiser_runs_at_them_and_biases_at_their_multiple(given, wanted):
    plan = TrainingPlan(**given)
    optimiser = build_optimiser(trainable_groups(nn.Linear(2, 2), plan), plan)
    times = [1.0, 2.0] if given.get("bias_rate_multiplier") else [1.0]
    for epoch, rate in enumerate(wanted, start=1):
        assert set_learning_rate(optimiser, plan, epoch) == pytest.approx(rate, rel=1e-4)
        assert [group["lr"] for group in optimiser.param_groups] == pytest.approx(
            [rate * multiplier for multiplier in times], rel=1e-4
        )
    assert [group["weight_decay"] for group in optimiser.param_groups] == [given["weight_decay"]] * len(times)


PERSONS = ("market1501", "msmt17", "dukemtmc", "occluded_duke")
CONFIGURED = [
    *((benchmark, "baseline", VIT, None) for benchmark in (*PERSONS, "veri776")),
    *((benchmark, "clip_reid", VIT, PROMPTS) for benchmark in PERSONS),
    *((benchmark, "svll_reid", VIT, SVLL_PROMPTS_PERSONS) for benchmark in PERSONS),
    ("vehicleid", "baseline", VIT_VEHICLEID, None),
    ("veri776", "clip_reid", VIT, PROMPTS_SHORT),
    ("vehicleid", "clip_reid", VIT_VEHICLEID, PROMPTS_VEHICLEID),
    ("veri776", "svll_reid", SVLL_VERI, SVLL_PROMPTS_VEHICLES),
    ("vehicleid", "svll_reid", SVLL_VEHICLEID, SVLL_PROMPTS_VEHICLES),
    *((benchmark, "pcl", PCL, None) for benchmark in (*PERSONS, "veri776", "vehicleid")),
    *((benchmark, "unsupervised_pcl", UNSUPERVISED_PCL, None) for benchmark in (*PERSONS, "veri776")),
]


@pytest.mark.slow
@pytest.mark.parametrize(("benchmark", "method", "plan", "prompts"), CONFIGURED)
def test_a_benchmark_is_configured_with_its_published_plan(project, benchmark, method, plan, prompts):
    loader = LayeredConfigLoader(conf_source=str(project / "conf"), env=benchmark, **CONFIG_LOADER_ARGS)
    found = find_method(method).params.model_validate(loader["parameters"][method])
    at = {"step_at": "start" if method in ("baseline", "clip_reid") else "end"}  # svll_reid: corrected by default
    assert found.plan == TowerPlan(**plan | at)
    assert prompts is None or found.prompts.plan == TrainingPlan(**prompts | at)


class TestWhatSection11Says:
    def test_clip_reid_stage_2(self):
        """Epoch 1 at 9.5e-7, the peak comes in epoch 10, decay starts with epochs 30 and 50."""
        plan = TrainingPlan(**VIT, step_at="start")
        rates = dict(enumerate(rates_of(plan), start=1))
        assert rates[1] == pytest.approx(9.5e-7, rel=1e-12)
        assert rates[9] < rates[10] == 5e-6 == rates[29]
        assert rates[30] == pytest.approx(5e-7) == rates[49]
        assert rates[50] == pytest.approx(5e-8) == rates[60]

    def test_pcl_clip(self):
        """Epoch 1 at 3.5e-5, the peak in epoch 11, decay after epochs 30 and 50."""
        rates = dict(enumerate(rates_of(TrainingPlan(**PCL)), start=1))
        assert rates[1] == pytest.approx(3.5e-5, rel=1e-12)
        assert rates[10] < rates[11] == 3.5e-4 == rates[30]
        assert rates[31] == pytest.approx(3.5e-5) == rates[50]
        assert rates[51] == pytest.approx(3.5e-6) == rates[60]


class TestShapes:
    @pytest.mark.parametrize("given", [VIT, RN50, PROMPTS, PROMPTS_SHORT, PCL])
    def test_start_is_one_epoch_ahead_of_end(self, given):
        at_start, at_end = (TrainingPlan(**given, step_at=at) for at in ("start", "end"))
        assert rates_of(at_start)[:-1] == rates_of(at_end)[1:]

    def test_a_cosine_without_warm_up_begins_at_the_rate(self):
        plan = TrainingPlan(**PROMPTS | {"warmup_epochs": 0, "epochs": 4})
        middle = 1e-6 + 3.49e-4 * (1 + math.sqrt(0.5)) / 2
        assert rates_of(plan)[:3] == pytest.approx([3.5e-4, middle, 1.755e-4], rel=1e-12)

    def test_a_cosine_warms_up_from_a_share_too(self):
        plan = TrainingPlan(**PROMPTS | {"warmup_learning_rate": None, "warmup_factor": 0.2})
        # 7e-5 + (3.5e-4 - 7e-5) t / 5
        assert rates_of(plan)[:5] == pytest.approx([7e-5, 1.26e-4, 1.82e-4, 2.38e-4, 2.94e-4])

    def test_steps_warm_up_from_a_rate_too(self):
        plan = TrainingPlan(**PCL | {"warmup_learning_rate": 5e-5})
        # 5e-5 + 3e-5 t
        assert rates_of(plan)[:11] == pytest.approx([5e-5 + 3e-5 * t for t in range(11)])

    def test_the_final_rate_is_reached_and_never_undercut(self):
        sequence = rates_of(TrainingPlan(**PROMPTS, step_at="start"))
        assert min(sequence) == sequence[-1] == pytest.approx(1e-6, rel=1e-12)
        after_warm_up = sequence[4:]
        assert after_warm_up == sorted(after_warm_up, reverse=True)

    def test_an_epoch_knows_nothing_of_the_others(self):
        plan = TrainingPlan(**PROMPTS)
        backwards = [learning_rate(plan, epoch) for epoch in range(120, 0, -1)]
        assert backwards[::-1] == rates_of(plan)


class Attentive(nn.Module):
    """Attention (`in_proj_bias`), a frozen bias, a weight whose module is named so, a lone bias."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2)
        self.neck = nn.BatchNorm1d(4)
        self.neck.bias.requires_grad_(False)
        self.bias_table = nn.Linear(4, 4, bias=False)
        self.head = nn.Linear(4, 3)
        self.bias = nn.Parameter(torch.zeros(3))


class TestGroups:
    def names(self, model, group):
        by_id = {id(value): name for name, value in model.named_parameters()}
        return {by_id[id(value)] for value in group["params"]}

    def test_biases_learn_twice_as_fast(self):
        model = Attentive()
        others, biases = trainable_groups(model, TrainingPlan(**VIT))
        assert self.names(model, biases) == {"attention.in_proj_bias", "attention.out_proj.bias", "head.bias", "bias"}
        assert self.names(model, others) == {
            "attention.in_proj_weight",
            "attention.out_proj.weight",
            "neck.weight",
            "bias_table.weight",
            "head.weight",
        }
        assert (biases["rate_multiplier"], others.get("rate_multiplier", 1.0)) == (2.0, 1.0)
        assert biases["weight_decay"] == others["weight_decay"] == 1e-4

    def test_biases_decay_as_asked(self):
        plan = TrainingPlan(**VIT | {"bias_weight_decay": 0.0, "bias_rate_multiplier": 1.0})
        others, biases = trainable_groups(Attentive(), plan)
        assert (others["weight_decay"], biases["weight_decay"], biases["rate_multiplier"]) == (1e-4, 0.0, 1.0)

    @pytest.mark.parametrize("decay", [None, 1e-4])
    def test_one_group_where_biases_are_as_all(self, decay):
        plan = TrainingPlan(**VIT | {"bias_rate_multiplier": 1.0, "bias_weight_decay": decay})
        model = Attentive()
        (group,) = trainable_groups(model, plan)
        wanted = {name for name, value in model.named_parameters() if value.requires_grad}
        assert self.names(model, group) == wanted
        assert "neck.bias" not in wanted

    @pytest.mark.parametrize("optimiser", ["adam", "sgd"])
    def test_a_step_moves_what_it_should_by_as_much_as_it_should(self, optimiser):
        plan = TrainingPlan(
            **VIT | {"optimiser": optimiser, "momentum": 0.0, "learning_rate": 0.1, "bias_weight_decay": 0.5}
        )
        model = Attentive()
        before = {name: value.detach().clone() for name, value in model.named_parameters()}
        built = build_optimiser(trainable_groups(model, plan), plan)
        rate = set_learning_rate(built, plan, 1)
        assert rate == pytest.approx(0.01)
        with torch.no_grad():
            model.bias.fill_(0.0)
        for value in model.parameters():
            value.grad = torch.ones_like(value)
        built.step()
        moved = {name: before[name] - value.detach() for name, value in model.named_parameters()}
        # Adam's first step is the rate whatever the gradient; the biases are 0, so decay adds nothing.
        assert torch.allclose(moved["bias"], torch.full((3,), 0.02), atol=1e-6)
        assert torch.allclose(moved["neck.weight"], torch.full((4,), 0.01), atol=1e-4)
        assert not moved["neck.bias"].any()

    def test_weight_decay_is_each_groups_own(self):
        plan = TrainingPlan(
            **PCL | {"weight_decay": 0.1, "bias_weight_decay": 0.2, "momentum": 0.0, "learning_rate": 1.0}
        )
        model = nn.Linear(1, 1)
        nn.init.ones_(model.weight)
        nn.init.ones_(model.bias)
        optimiser = build_optimiser(trainable_groups(model, plan), plan)
        set_learning_rate(optimiser, plan, 11)
        for value in model.parameters():
            value.grad = torch.zeros_like(value)
        optimiser.step()
        assert model.weight.item() == pytest.approx(1 - 0.1)
        assert model.bias.item() == pytest.approx(1 - 0.2)

    def test_a_model_without_biases(self):
        plan = TrainingPlan(**VIT)
        model = nn.Linear(2, 2, bias=False)
        optimiser = build_optimiser(trainable_groups(model, plan), plan)
        model.weight.grad = torch.ones(2, 2)
        set_learning_rate(optimiser, plan, 1)
        optimiser.step()
        assert sum(len(group["params"]) for group in optimiser.param_groups) == 1
