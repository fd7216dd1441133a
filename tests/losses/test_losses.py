"""The losses against obvious loops in float64, their gradients, and the memory's update."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from reid_pipeline.losses import PrototypeMemory, identity_loss


def unit(vector):
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector]


def cross_entropy_by_loops(logits, labels, smoothing):
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        log_sum = math.log(sum(math.exp(value) for value in row))
        for c, value in enumerate(row):
            target = (1 - smoothing) * (c == label) + smoothing / len(row)
            total -= target * (value - log_sum)
    return total / len(logits)


def update_by_loops(prototypes, embeddings, labels, momentum, rule):
    """methods.md section 2, one Python number at a time."""
    memory = [list(row) for row in prototypes]
    instances = [(label, unit(row)) for label, row in zip(labels, embeddings, strict=True)]
    if rule == "hard":
        chosen = {}
        for label, q in instances:
            similarity = sum(a * b for a, b in zip(q, memory[label], strict=True))
            if label not in chosen or similarity < chosen[label][0]:
                chosen[label] = (similarity, q)
        instances = [(label, q) for label, (_, q) in chosen.items()]
    for label, q in instances:
        memory[label] = unit([momentum * a + (1 - momentum) * b for a, b in zip(memory[label], q, strict=True)])
    return memory


def random_memory(seed, *, dtype=torch.float64, classes=7, width=5, batch=24, **options):
    generator = torch.Generator().manual_seed(seed)
    prototypes = torch.nn.functional.normalize(torch.randn(classes, width, generator=generator, dtype=dtype), dim=1)
    embeddings = 3 * torch.randn(batch, width, generator=generator, dtype=dtype)
    labels = torch.randint(0, classes - 1, (batch,), generator=generator)  # the last identity is never in the batch
    return PrototypeMemory(prototypes, **options), embeddings, labels


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_identity_loss_equals_the_loops(smoothing):
    logits = torch.randn(9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(9) % 6
    expected = cross_entropy_by_loops(logits.tolist(), labels.tolist(), smoothing)
    assert float(identity_loss(logits, labels, label_smoothing=smoothing)) == pytest.approx(expected, abs=1e-12)
    assert identity_loss(logits.half(), labels).dtype == torch.float32


@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_prototype_loss_equals_the_loops(temperature):
    memory, embeddings, labels = random_memory(1, temperature=temperature)
    logits = [
        [sum(a * b for a, b in zip(unit(row), m, strict=True)) / temperature for m in memory.prototypes.tolist()]
        for row in embeddings.tolist()
    ]
    expected = cross_entropy_by_loops(logits, labels.tolist(), 0.0)
    assert float(memory.loss(embeddings, labels)) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("rule", ["hard", "mean"])
@pytest.mark.parametrize("momentum", [0.0, 0.1, 0.2, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_update_equals_the_loops(rule, momentum, seed):
    memory, embeddings, labels = random_memory(seed, momentum=momentum, update=rule)
    expected = update_by_loops(memory.prototypes.tolist(), embeddings.tolist(), labels.tolist(), momentum, rule)
    untouched = memory.prototypes[-1].clone()
    memory.update(embeddings, labels)
    torch.testing.assert_close(memory.prototypes, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)
    assert torch.equal(memory.prototypes[-1], untouched)


def test_hard_update_by_hand():
    # M = e1; the batch holds e1 and, less similar, e2 and then e3 (a tie: the first counts). m = 0.2:
    # 0.2 e1 + 0.8 e2, then unit norm.
    memory = PrototypeMemory(torch.eye(3)[:1], momentum=0.2, update="hard")
    memory.update(2 * torch.eye(3), torch.zeros(3, dtype=torch.long))
    torch.testing.assert_close(memory.prototypes, torch.tensor([[0.2, 0.8, 0.0]]) / math.sqrt(0.68))


def test_mean_update_by_hand():
    # M = e1, m = 0.2. Two instances: e2 moves it to (0.2, 0.8) / sqrt(0.68), then e1 on from there: each is
    # followed by unit norm, so the last one weighs most.
    memory = PrototypeMemory(torch.eye(2)[:1].double(), momentum=0.2, update="mean")
    memory.update(torch.eye(2).double()[[1, 0]], torch.zeros(2, dtype=torch.long))
    x, y = 0.2 * 0.2 / math.sqrt(0.68) + 0.8, 0.2 * 0.8 / math.sqrt(0.68)
    expected = torch.tensor([[x, y]], dtype=torch.float64) / math.hypot(x, y)
    torch.testing.assert_close(memory.prototypes, expected, rtol=0, atol=1e-12)


class Operations(TorchDispatchMode):
    """Counts the operations sent to the device, and those that make the host wait for its answer."""

    def __init__(self):
        super().__init__()
        self.sent = self.awaited = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.sent += 1
        name = function.overloadpacket.__name__
        self.awaited += name in ("_local_scalar_dense", "nonzero", "unique_consecutive", "masked_select")
        return function(*args, **(kwargs or {}))


def update_operations(rule, identities, instances):
    memory = PrototypeMemory(torch.eye(40), update=rule)
    labels = torch.arange(identities).repeat_interleave(instances)
    embeddings = torch.randn(len(labels), 40, generator=torch.Generator().manual_seed(0))
    with Operations() as count:
        memory.update(embeddings, labels)
    return count


@pytest.mark.parametrize("rule", ["hard", "mean"])
def test_the_update_does_not_walk_over_the_batch(rule):
    few, many = update_operations(rule, 2, 4), update_operations(rule, 32, 4)
    assert many.sent == few.sent
    # More instances of each: more turns of "mean", which is a sequence, but no more waiting.
    longer = update_operations(rule, 2, 16)
    assert longer.awaited == few.awaited
    if rule == "hard":
        assert longer.sent == few.sent


def test_gradients():
    memory, embeddings, labels = random_memory(2, temperature=0.5, batch=5)
    embeddings.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: memory.loss(x, labels), (embeddings,))
    logits = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: identity_loss(x, torch.tensor([0, 2, 1, 1])), (logits,))


def test_the_memory_is_a_buffer_and_only_update_moves_it():
    memory, embeddings, labels = random_memory(3, dtype=torch.float32)
    before = memory.prototypes.clone()
    embeddings.requires_grad_()
    memory.loss(embeddings, labels).backward()
    assert not list(memory.parameters())
    assert not memory.prototypes.requires_grad
    assert torch.equal(memory.prototypes, before)
    memory.update(embeddings, labels)
    assert not memory.prototypes.requires_grad
    torch.testing.assert_close(memory.prototypes.norm(dim=1), torch.ones(7))
    other = random_memory(4, dtype=torch.float32)[0]
    other.load_state_dict(memory.state_dict())
    assert torch.equal(other.prototypes, memory.prototypes)


def test_computed_in_float32_under_autocast():
    memory, embeddings, labels = random_memory(5, dtype=torch.float32)
    plain = memory.loss(embeddings, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = memory.loss(embeddings, labels)
        memory.update(embeddings.bfloat16(), labels)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, plain)
    assert memory.prototypes.dtype == torch.float32
    assert memory.loss(embeddings.half(), labels).dtype == torch.float32


def test_from_embeddings_takes_unit_means():
    # Identity 0: (3, 0) and (0, 5), unit mean along (1, 1). Identity 1: (0, -2).
    memory = PrototypeMemory.from_embeddings(
        torch.tensor([[3.0, 0], [0, -2], [0, 5]]), torch.tensor([0, 1, 0]), 2, temperature=0.1, update="mean"
    )
    torch.testing.assert_close(memory.prototypes, torch.tensor([[math.sqrt(0.5), math.sqrt(0.5)], [0, -1]]))
    assert (memory.temperature, memory.momentum, memory.update_rule) == (0.1, 0.1, "mean")


LABELS = torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.loss(torch.ones(2, 4), LABELS), r"embeddings are 4 wide, the prototypes 3"),
        (lambda m: m.update(torch.ones(2, 3), LABELS - 1), r"labels range from -1 to 0; 3 prototypes allow 0 to 2"),
        (lambda m: m.loss(torch.ones(2, 3), LABELS + 2), r"labels range from 2 to 3"),
        (lambda m: m.loss(torch.ones(3, 3), LABELS), r"embeddings have shape \[3, 3\] and labels \[2\]"),
        (lambda _: PrototypeMemory(2 * torch.eye(3)), r"prototype 0 has norm 2; each must be a unit vector"),
        (lambda _: PrototypeMemory(torch.full((1, 2), torch.nan)), r"prototype 0 has norm nan"),
        (lambda _: PrototypeMemory(torch.ones(3)), r"prototypes have shape \[3\]"),
        (lambda _: PrototypeMemory(torch.eye(3), update="soft"), r"update is 'soft'; allowed: 'hard', 'mean'"),
        (lambda _: PrototypeMemory(torch.eye(3), temperature=0), r"temperature is 0 .* must be above 0"),
        (lambda _: PrototypeMemory(torch.eye(3), momentum=1.5), r"momentum 1\.5; .* momentum in \[0, 1\]"),
        (lambda _: PrototypeMemory.from_embeddings(torch.ones(2, 3), LABELS, 4), r"2 of 4 labels .* \[2, 3\]"),
        (lambda _: identity_loss(torch.ones(2, 3), LABELS + 2), r"labels range from 2 to 3; 3 logits allow 0 to 2"),
        (lambda _: identity_loss(torch.ones(2, 3), LABELS[:1]), r"logits have shape \[2, 3\] and labels \[1\]"),
        (lambda _: identity_loss(torch.ones(2, 3), LABELS, label_smoothing=1.0), r"label_smoothing is 1\.0"),
    ],
)
def test_bad_input_gets_an_answer(call, message):
    with pytest.raises(ValueError, match=message):
        call(PrototypeMemory(torch.eye(3)))
