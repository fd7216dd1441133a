"""The batch-hard triplet loss against loops over every pair, and at its edges."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_pipeline.losses import batch_hard_triplet_loss

# Three rows, two, one (its own hardest positive), one, and shuffled.
UNEQUAL = [4, 0, 2, 0, 9, 2, 0]


def triplet_by_loops(features, labels, margin):
    terms = []
    for a, label in enumerate(labels):
        to = [math.dist(features[a], row) for row in features]
        hardest_positive = max(to[j] for j in range(len(labels)) if labels[j] == label)
        hardest_negative = min((to[j] for j in range(len(labels)) if labels[j] != label), default=math.inf)
        terms.append(max(0.0, hardest_positive - hardest_negative + margin))
    return sum(terms) / len(terms)


def draw(seed, rows, width=5, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(rows, width, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("labels", [UNEQUAL, [0, 1], [3, 3, 5, 5], [0, 0, 0, 0, 0, 7]])
@pytest.mark.parametrize("margin", [0.0, 0.3, 5.0])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_loops(labels, margin, seed):
    features = draw(seed, len(labels))
    expected = triplet_by_loops(features.tolist(), labels, margin)
    loss = batch_hard_triplet_loss(features, torch.tensor(labels), margin=margin)
    assert loss.dtype == torch.float64
    assert float(loss) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=12), seed=st.integers(0, 10_000), data=st.data())
def test_any_labels_any_order_any_shift(labels, seed, data):
    features, marks = draw(seed, len(labels)), torch.tensor(labels)
    expected = triplet_by_loops(features.tolist(), labels, 0.3)
    order = torch.tensor(data.draw(st.permutations(range(len(labels)))))
    loss = batch_hard_triplet_loss(features[order] + 2.5, 40 - marks[order])
    assert float(loss) == pytest.approx(expected, abs=1e-10)


def test_by_hand():
    # On a line: 0 and 4 are one identity, 5 another.
    # From 0: 4 - 5 + 0.3, below 0. From 4: 4 - 1 + 0.3 = 3.3. From 5, alone: 0 - 1 + 1.3 = 0.3 at margin 1.3.
    features, labels = torch.tensor([[0.0], [4.0], [5.0]]), torch.tensor([1, 1, 0])
    assert float(batch_hard_triplet_loss(features, labels)) == pytest.approx(3.3 / 3)
    # Margin 1.3: 0.3, 4.3 and 0.3.
    assert float(batch_hard_triplet_loss(features, labels, margin=1.3)) == pytest.approx(4.9 / 3)


def test_gradients():
    labels = torch.tensor(UNEQUAL)
    features = draw(1, len(labels)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: batch_hard_triplet_loss(x, labels, margin=4.0), (features,))


def test_equal_rows_have_finite_gradients():
    # Rows 0 and 1 are one picture drawn twice: their distance 0 must not give NaN. What is left of the
    # gradient is that of minus the distance to row 2, from both rows and back: 1/3 each.
    features = torch.tensor([[0.0, 0], [0, 0], [3, 4]], dtype=torch.float64, requires_grad=True)
    batch_hard_triplet_loss(features, torch.tensor([0, 0, 1]), margin=9.0).backward()
    direction = torch.tensor([0.6, 0.8], dtype=torch.float64)
    # Row 2's nearest negative is row 0, the first of the two.
    expected = torch.stack([2 * direction, direction, -3 * direction]) / 3
    torch.testing.assert_close(features.grad, expected)


def test_collapsed_features_cost_the_margin():
    features = torch.ones(6, 3, requires_grad=True)
    loss = batch_hard_triplet_loss(features, torch.arange(6) % 2)
    loss.backward()
    assert loss.item() == pytest.approx(0.3)
    assert torch.equal(features.grad, torch.zeros(6, 3))


def test_one_identity_alone_costs_nothing():
    features = draw(2, 4).requires_grad_()
    loss = batch_hard_triplet_loss(features, torch.full((4,), 3))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(features.grad, torch.zeros_like(features))


@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [0, 0, 0, 0]])
def test_nan_stays_nan(labels):
    features = torch.zeros(4, 2)
    features[1, 0] = torch.nan
    assert math.isnan(batch_hard_triplet_loss(features, torch.tensor(labels)))


def test_small_distances_between_long_features():
    # Multiples of 1/256 around 1000 are exact in float32; the squares of such rows are not.
    labels = [0, 0, 1, 1, 1]
    offsets = torch.randint(-9, 9, (5, 1280), generator=torch.Generator().manual_seed(0))
    features = 1000 + offsets / 256
    expected = triplet_by_loops(features.tolist(), labels, 0.3)
    loss = batch_hard_triplet_loss(features.float(), torch.tensor(labels))
    assert float(loss) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: batch_hard_triplet_loss(torch.ones(3, 2), torch.tensor([0, 1])),
            r"features have shape \[3, 2\] and labels \[2\]; \[B, D\] and \[B\] are needed",
        ),
        (lambda: batch_hard_triplet_loss(torch.ones(0, 2), torch.zeros(0, dtype=torch.long)), r"B and D above 0"),
        (
            lambda: batch_hard_triplet_loss(torch.ones(2, 2), torch.tensor([0, -1])),
            r"the lowest label is -1; labels start at 0\. Drop noise \(-1\) first",
        ),
        (
            lambda: batch_hard_triplet_loss(torch.ones(2, 2), torch.tensor([0, 1]), margin=-0.1),
            r"margin is -0\.1; it must be 0 or more",
        ),
    ],
)
def test_bad_input_gets_an_answer(call, message):
    with pytest.raises(ValueError, match=message):
        call()
