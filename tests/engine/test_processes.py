"""Several processes give what one gives: what they exchange, batch norms, draws, extraction, and every stage.

Threads stand for processes: gloo joins them likewise, and nothing has to be started.
"""

import copy
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bench_programs import bench_program
from torch import nn

from reid_pipeline.engine.joint_model import JointModel
from reid_pipeline.engine.processes import ALONE, Processes
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.sent import packed, unpacked
from reid_pipeline.engine.stage import TrainingData
from reid_pipeline.evaluation.extraction import evaluation_batches, extract_embeddings, of_all_batches
from reid_pipeline.images.augment import BatchPart, augment
from reid_pipeline.methods import find_method, method_names
from reid_pipeline.models.chunks import encoded_in_chunks
from reid_pipeline.models.image_encoder import ImageEncoder
from reid_pipeline.models.shared_batch import Tower
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import AugmentationParameters

bench = bench_program("processes")
STAGES = [(name, place) for name in method_names() for place, _ in enumerate(find_method(name).stage_names)]
LAYOUTS = [(2, 7), (3, 2), (3, 9)]  # processes and rows: ragged, one empty, equal


@pytest.fixture(scope="module")
def people() -> TrainingData:
    with tempfile.TemporaryDirectory() as root:
        data = bench.drawn_data(Path(root))
        data.images.batch(np.arange(len(data.images)))  # decoded now, for the folder goes
        yield data


@pytest.mark.parametrize(("count", "rows"), LAYOUTS)
def test_parts_are_those_of_array_split(count: int, rows: int) -> None:
    wanted = np.array_split(np.arange(rows), count)
    found = [Processes(rank, count).own_rows(np.arange(rows)) for rank in range(count)]
    assert [each.tolist() for each in found] == [each.tolist() for each in wanted]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("count", "rows"), LAYOUTS)
def test_gathered_rows_and_their_gradients_are_those_of_one_process(count, rows, dtype) -> None:
    whole, weights = (torch.randn(rows, 4, generator=torch.Generator().manual_seed(seed)).to(dtype) for seed in (0, 1))

    def work(processes: Processes) -> tuple[torch.Tensor, ...]:
        own = processes.part(rows).of(whole).clone().requires_grad_()
        gathered = processes.gathered(own)
        (gathered * weights).sum().backward()
        return gathered.detach(), own.grad

    found = bench.in_threads(count, work)
    for gathered, _ in found:
        assert torch.equal(gathered, whole)
    assert torch.equal(torch.cat([gradient for _, gradient in found]), weights)


@pytest.mark.parametrize(("count", "rows"), LAYOUTS)
def test_a_part_goes_through_the_tower_in_chunks_and_may_be_empty(count: int, rows: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images, weights = (torch.randn(rows, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    tower = torch.randn(3, 3, generator=generator, dtype=torch.float64).requires_grad_()
    alone = torch.autograd.grad(((images @ tower).square() * weights).sum(), tower)[0]

    def work(processes: Processes) -> torch.Tensor:
        own = tower.detach().clone().requires_grad_()
        part = processes.part(rows).of(images)
        (features,) = encoded_in_chunks(lambda pixels, *_: ((pixels @ own).square(),), (part, None, None), 2)
        (processes.gathered(features) * weights).sum().backward()
        processes.sum_in_place([own.grad])
        return own.grad

    for gradient in bench.in_threads(count, work):
        torch.testing.assert_close(gradient, alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("count", "rows"), LAYOUTS)
def test_own_rows_hand_all_gradients_to_all(count: int, rows: int) -> None:
    whole, weights = (torch.randn(rows, 4, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))

    def work(processes: Processes) -> tuple[torch.Tensor, ...]:
        table = whole.clone().requires_grad_()
        gathered = processes.gathered(processes.own(table).square())
        (gathered * weights).sum().backward()
        return gathered.detach(), table.grad

    for gathered, gradient in bench.in_threads(count, work):
        assert torch.equal(gathered, whole.square())
        assert torch.equal(gradient, 2 * whole * weights)


def test_what_one_finds_all_have_and_its_error_is_raised_by_all() -> None:
    def refused() -> None:
        raise UserError("No cluster.")

    def work(processes: Processes) -> object:
        found = processes.once(lambda: {"rank": processes.rank, "labels": np.arange(3)})
        with pytest.raises(UserError, match=r"^No cluster\.$"):
            processes.once(refused)
        return found["rank"], found["labels"].tolist()

    assert bench.in_threads(3, work) == [(0, [0, 1, 2])] * 3
    assert ALONE.once(lambda: 5) == 5


def test_what_is_sent_comes_as_it_was_and_nothing_of_it_is_executed() -> None:
    value = {
        "a": (np.array([1, -1]), np.float64(0.5), None),
        "b": [torch.ones(2), {"c": "x", 3: True}],
        "d": float("nan"),
    }
    found = unpacked(packed(value))
    assert (found["a"][0].tolist(), found["a"][0].dtype, found["a"][1:]) == ([1, -1], np.int64, (0.5, None))
    assert torch.equal(found["b"][0], torch.ones(2))
    assert found["b"][1] == {"c": "x", 3: True}
    assert np.isnan(found["d"])
    assert str(unpacked(packed(ValueError("no")))) == "ValueError: no"
    assert "Path cannot be sent" in str(unpacked(packed([Path()]))).replace("PosixPath", "Path")


class Normed(Tower):
    """A batch norm in a tower."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm
        self.register_buffer("seen", torch.zeros(3, dtype=torch.bool))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.norm(images).flatten(2).square().mean(2)
        return features if self.shared is None else self.shared.gathered(features)


def norms() -> list[nn.Module]:
    from timm.layers import BatchNormAct2d

    made = [nn.BatchNorm2d(5), nn.BatchNorm2d(5, momentum=None, affine=False), BatchNormAct2d(5)]
    for norm in made:
        for value in norm.parameters():
            nn.init.uniform_(value, 0.5, 1.5)
    return [norm.double() for norm in made]


@pytest.mark.parametrize("kind", range(3))
@pytest.mark.parametrize(("count", "rows"), LAYOUTS)
def test_batch_norms_of_a_tower_see_the_whole_batch(count: int, rows: int, kind: int) -> None:
    generator = torch.Generator().manual_seed(0)
    whole = torch.randn(rows, 5, 4, 3, generator=generator, dtype=torch.float64) + 3
    weights = torch.randn(rows, 5, generator=generator, dtype=torch.float64)
    norm = norms()[kind]

    def after_a_step(processes: Processes) -> tuple[list[torch.Tensor], torch.Tensor]:
        tower = Normed(copy.deepcopy(norm)).train()
        joint = JointModel(tower, processes)
        own = processes.part(rows).of(whole).clone().requires_grad_()
        (tower(own) * weights).sum().backward()
        joint.sum_gradients()
        tower.seen[processes.rank] = True
        joint.align(torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1))
        held = [*tower.norm.state_dict().values(), *(value.grad for value in tower.parameters())]
        tower.eval()
        return [*held, tower(whole[:0]).sum()], own.grad, tower.seen.tolist()

    (wanted, gradient, _), *_ = [after_a_step(ALONE)]
    found = bench.in_threads(count, after_a_step)
    torch.testing.assert_close(torch.cat([each[1] for each in found]), gradient, rtol=1e-9, atol=1e-12)
    for held, _, seen in found:
        torch.testing.assert_close(held, wanted, rtol=1e-9, atol=1e-12)
        assert seen == [rank < count for rank in range(3)]


def test_a_gradient_that_no_process_has_stays_away_and_one_that_some_have_is_theirs() -> None:
    def work(processes: Processes) -> list[object]:
        tower = Normed(nn.Linear(2, 2, bias=True))
        joint = JointModel(tower, processes)
        if processes.rank:
            tower.norm.weight.grad = torch.full((2, 2), float(processes.rank))
        joint.sum_gradients()
        return [tower.norm.weight.grad.tolist(), tower.norm.bias.grad]

    assert bench.in_threads(3, work) == [[[[3.0] * 2] * 2, None]] * 3


def test_a_tower_that_drops_out_at_random_is_refused() -> None:
    with pytest.raises(UserError, match=r"drops out .* Set compute\.processes to 1"):
        JointModel(Normed(nn.Dropout(0.5)), Processes(0, 2))
    JointModel(Normed(nn.Dropout(0.5)), ALONE)


@pytest.mark.parametrize("fill", ["mean", "half", "imagenet_mean", "noise"])
def test_a_part_is_augmented_as_in_the_whole_batch(fill: str) -> None:
    images = torch.randint(0, 256, (7, 3, 16, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    parameters = AugmentationParameters(flip=0.5, padding=3, erasing=0.8, erasing_fill=fill)
    statistics = type("Statistics", (), {"pixel_mean": (0.4, 0.5, 0.6), "pixel_std": (0.2, 0.3, 0.25)})()
    whole = augment(images, statistics, parameters, torch.Generator().manual_seed(1))
    for part in (BatchPart(0, 3, 7), BatchPart(3, 4, 7), BatchPart(7, 0, 7)):
        made = augment(part.of(images), statistics, parameters, torch.Generator().manual_seed(1), part=part)
        assert torch.equal(made, part.of(whole))


@pytest.mark.parametrize("count", [2, 3])
def test_extraction_deals_whole_batches_and_gives_equal_bits(count: int, people: TrainingData) -> None:
    """With three processes and two batches one has none."""
    case = bench.Case("unsupervised_pcl", 0, double=False)
    models = [bench.built(case)[0] for _ in range(count)]
    read = {"ids": people.ids, "batch_size": 20}
    wanted = extract_embeddings(models[0].embedder(), people.images, people.runtime, **read)

    def work(processes: Processes) -> tuple[np.ndarray, torch.Tensor]:
        runtime = replace(people.runtime, processes=processes)
        embedder = models[processes.rank].embedder()
        pixels = evaluation_batches(people.images, embedder.encoder, runtime, title="", **read)
        cameras = of_all_batches((camids for _, camids, _ in pixels), len(people.images), runtime, batch_size=20)
        return extract_embeddings(embedder, people.images, runtime, **read), cameras

    for embeddings, cameras in bench.in_threads(count, work):
        assert embeddings.tobytes() == wanted.tobytes()
        assert cameras.tolist() == people.camids.tolist()


def compared(case, data: TrainingData, count: int):
    """The traces of one process and of several, and how many images the tower saw at a step of each."""
    seen = [[] for _ in range(count)]
    with bench.double_stays():
        one = bench.trained(case, bench.built(case), data)
        made = [bench.built(case) for _ in range(count)]
        for (model, _), sizes in zip(made, seen, strict=True):
            note_sizes(model.encoder, sizes)
        several = bench.in_threads(
            count, lambda processes: bench.trained(case, made[processes.rank], bench.of_processes(data, processes))
        )
    return one, several, seen


def note_sizes(encoder: ImageEncoder, sizes: list[int]) -> None:
    features = encoder._features

    def noted(images: torch.Tensor, *ids: torch.Tensor | None):
        sizes.extend([len(images)] if torch.is_grad_enabled() else [])
        return features(images, *ids)

    encoder._features = noted


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "place", "network", "count", "batch", "parts"),
    [
        *((*stage, "demo-vit", 2, (9, 3), {5, 4}) for stage in STAGES),
        ("baseline", 0, bench.RESNET, 2, (9, 3), {5, 4}),
        ("svll_reid", 1, "demo-vit", 5, (4, 2), {1, 0}),
    ],
)
def test_each_stage_trains_as_one_process_does(method, place, network, count, batch, parts, people) -> None:
    """Float64, every loss of every step; bench/processes.py has 20 steps, and processes in the place of threads."""
    case = bench.Case(method, place, network, steps=2, batch=batch)
    one, several, seen = compared(case, people, count)
    for each in several:
        assert bench.difference(one, each) < 1e-9
        assert each.labels == one.labels
        assert each.weights == several[0].weights
    of_text = case.stage == "prompt_learning"
    assert {size for sizes in seen for size in sizes} == (set() if of_text else parts)
    assert len(set(one.labels) - {-1}) > 1 or method != "unsupervised_pcl"


def test_a_runtime_is_of_one_process_by_itself() -> None:
    runtime = Runtime(torch.device("cpu"))
    assert runtime.processes is ALONE
    assert runtime.processes.part(5) == BatchPart(0, 5, 5)
