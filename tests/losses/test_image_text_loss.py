"""The contrast of images and texts against loops in float64, and at its edges."""

import math

import pytest
import torch

from reid_pipeline.losses import image_text_contrastive_loss, one_way_contrastive_loss

IMAGES = [0, 0, 2, 5, 2, 0]
BATCHES = [
    (IMAGES, IMAGES),  # as released: a text per image
    (IMAGES, [2, 0, 5]),  # a text per identity
    ([1, 0], [0, 1]),
    ([3, 3], [3, 3, 3]),
]


def unit(row):
    length = math.sqrt(sum(value * value for value in row))
    return [value / length for value in row]


def one_way_by_loops(anchors, others, anchor_labels, other_labels, temperature=1.0, normalise=False):
    if normalise:
        anchors, others = [unit(row) for row in anchors], [unit(row) for row in others]
    total = 0.0
    for anchor, label in zip(anchors, anchor_labels, strict=True):
        scores = [sum(a * b for a, b in zip(anchor, other, strict=True)) / temperature for other in others]
        log_sum = math.log(sum(math.exp(score) for score in scores))
        positives = [score for score, other in zip(scores, other_labels, strict=True) if other == label]
        total -= sum(score - log_sum for score in positives) / len(positives)
    return total / len(anchors)


def draw(seed, rows, width=4):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("image_labels", "text_labels"), BATCHES)
@pytest.mark.parametrize("options", [{}, {"temperature": 0.3}, {"temperature": 0.07, "normalise": True}])
def test_equals_the_loops(image_labels, text_labels, options):
    images, texts = draw(0, len(image_labels)), draw(1, len(text_labels))
    marks = torch.tensor(image_labels), torch.tensor(text_labels)
    forth = one_way_by_loops(images.tolist(), texts.tolist(), image_labels, text_labels, **options)
    back = one_way_by_loops(texts.tolist(), images.tolist(), text_labels, image_labels, **options)
    one_way = one_way_contrastive_loss(images, texts, *marks, **options)
    both = image_text_contrastive_loss(images, texts, *marks, **options)
    assert both.dtype == torch.float64
    assert float(one_way) == pytest.approx(forth, abs=1e-10)
    assert float(both) == pytest.approx(forth + back, abs=1e-10)


def test_by_hand():
    # Scores [[2, 0], [0, 1]], every row its own identity, so i2t = t2i: log(1 + e^-2) and log(1 + e^-1).
    images, texts = torch.tensor([[2.0, 0], [0, 1]]), torch.eye(2)
    labels = torch.tensor([7, 4])
    expected = math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-1))
    assert float(image_text_contrastive_loss(images, texts, labels, labels)) == pytest.approx(expected)
    # Unit vectors at temperature 0.5: scores [[2, 0], [0, 2]].
    loss = image_text_contrastive_loss(images, texts, labels, labels, temperature=0.5, normalise=True)
    assert float(loss) == pytest.approx(2 * math.log(1 + math.exp(-2)))


@pytest.mark.parametrize("normalise", [False, True])
def test_gradients_reach_both_sides(normalise):
    images, texts = draw(2, 6).requires_grad_(), draw(3, 3).requires_grad_()
    labels = torch.tensor(IMAGES), torch.tensor([2, 0, 5])
    assert torch.autograd.gradcheck(
        lambda x, y: image_text_contrastive_loss(x, y, *labels, temperature=0.7, normalise=normalise), (images, texts)
    )


LABELS = torch.tensor([0, 1])
ONES = torch.ones(2, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: image_text_contrastive_loss(ONES, torch.ones(2, 4), LABELS, LABELS),
            r"the two sides are 3 and 4 wide",
        ),
        (
            lambda: image_text_contrastive_loss(ONES, ONES, LABELS, LABELS[:1]),
            r"features have shape \[2, 3\] and labels \[1\]",
        ),
        (
            lambda: image_text_contrastive_loss(ONES, ONES, LABELS[:1], LABELS),
            r"features have shape \[2, 3\] and labels \[1\]",
        ),
        (lambda: image_text_contrastive_loss(ONES, ONES, LABELS, LABELS - 1), r"the lowest label is -1; .* Drop noise"),
        (
            lambda: image_text_contrastive_loss(ONES, ONES, LABELS + 4, LABELS),
            r"2 of 2 anchors have nothing of their label on the other side \(labels \[4, 5\]\)",
        ),
        # Every image has a text, but one text has no image.
        (
            lambda: image_text_contrastive_loss(ONES, ONES, 0 * LABELS, LABELS),
            r"1 of 2 anchors .* \(labels \[1\]\); both sides must hold the same identities",
        ),
        (
            lambda: image_text_contrastive_loss(ONES, ONES, LABELS, LABELS, temperature=0.0),
            r"temperature is 0\.0; it must be above 0",
        ),
    ],
)
def test_bad_input_gets_an_answer(call, message):
    with pytest.raises(ValueError, match=message):
        call()
