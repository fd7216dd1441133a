"""NT-Xent and SimSiam against loops in float64, by hand, and their gradients."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_pipeline.losses import nt_xent_loss, simsiam_loss


def cosine(one, other):
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    return dot / math.sqrt(sum(a * a for a in one)) / math.sqrt(sum(b * b for b in other))


def nt_xent_by_loops(first, second, temperature):
    total = 0.0
    for here, there in ((first, second), (second, first)):
        for i, view in enumerate(here):
            positive = math.exp(cosine(view, there[i]) / temperature)
            everyone = sum(math.exp(cosine(view, other) / temperature) for other in there)
            everyone += sum(math.exp(cosine(view, other) / temperature) for k, other in enumerate(here) if k != i)
            total -= math.log(positive / everyone)
    return total / (2 * len(first))


def draw(seed, rows=5, width=4):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_nt_xent_equals_the_loops(temperature, rows):
    first, second = 3 * draw(0, rows), draw(1, rows)
    loss = nt_xent_loss(first, second, temperature=temperature)
    assert loss.dtype == torch.float64
    assert float(loss) == pytest.approx(nt_xent_by_loops(first.tolist(), second.tolist(), temperature), abs=1e-10)


def test_nt_xent_by_hand():
    # Two orthogonal rows, both views equal, t = 1: one positive at e, two negatives at 1.
    expected = math.log((math.e + 2) / math.e)
    assert float(nt_xent_loss(torch.eye(2), 5 * torch.eye(2), temperature=1.0)) == pytest.approx(expected)
    # The default is 0.1.
    expected = math.log((math.exp(10) + 2) / math.exp(10))
    assert float(nt_xent_loss(torch.eye(2).double(), torch.eye(2).double())) == pytest.approx(expected)


def test_nt_xent_of_a_single_row_is_zero():
    assert float(nt_xent_loss(draw(0, 1), draw(1, 1))) == 0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(2, 8), data=st.data())
def test_nt_xent_knows_neither_order_nor_length(seed, rows, data):
    first, second = draw(seed, rows), draw(seed + 1, rows)
    loss = float(nt_xent_loss(first, second))
    order = torch.tensor(data.draw(st.permutations(range(rows))))
    scale = data.draw(st.floats(0.01, 100))
    assert float(nt_xent_loss(second[order], scale * first[order])) == pytest.approx(loss, abs=1e-9)


def test_nt_xent_gradients():
    views = draw(2).requires_grad_(), draw(3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: nt_xent_loss(x, y, temperature=0.3), views)


def test_simsiam_equals_the_loops():
    p1, z1, p2, z2 = (draw(seed) for seed in range(4))
    expected = -sum(cosine(p1.tolist()[i], z2.tolist()[i]) + cosine(p2.tolist()[i], z1.tolist()[i]) for i in range(5))
    loss = simsiam_loss(p1, z1, p2, z2)
    assert loss.dtype == torch.float64
    assert float(loss) == pytest.approx(expected / 10, abs=1e-12)


def test_simsiam_by_hand():
    # p1 is orthogonal to z2; p2 is at 45 degrees to z1.
    p1, z1, p2, z2 = (torch.tensor([row]) for row in ([1.0, 0], [2.0, 0], [1.0, 1], [0.0, 9]))
    assert float(simsiam_loss(p1, z1, p2, z2)) == pytest.approx(-math.sqrt(0.5) / 2)
    assert float(simsiam_loss(z1, z1, p1, p1)) == pytest.approx(-1)


def test_simsiam_gradients_stop_at_the_projections():
    p1, z1, p2, z2 = (draw(seed).requires_grad_() for seed in range(4))
    simsiam_loss(p1, z1, p2, z2).backward()
    assert z1.grad is None
    assert z2.grad is None
    assert torch.autograd.gradcheck(lambda x, y: simsiam_loss(x, z1.detach(), y, z2.detach()), (p1, p2))


ONES = torch.ones(2, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: nt_xent_loss(ONES, torch.ones(3, 3)),
            r"the views have shapes \[2, 3\], \[3, 3\]; one shape \[B, D\] is needed",
        ),
        (lambda: nt_xent_loss(ONES[:0], ONES[:0]), r"B and D above 0"),
        (lambda: nt_xent_loss(ONES[0], ONES[0]), r"the views have shapes \[3\], \[3\]"),
        (lambda: nt_xent_loss(ONES, ONES, temperature=-1), r"temperature is -1; it must be above 0"),
        (lambda: simsiam_loss(ONES, ONES, ONES, ONES[:1]), r"\[2, 3\], \[2, 3\], \[2, 3\], \[1, 3\]"),
    ],
)
def test_bad_input_gets_an_answer(call, message):
    with pytest.raises(ValueError, match=message):
        call()
