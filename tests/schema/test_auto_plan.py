"""The rules of `plan: auto`: computed by hand, and what holds for every collection."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_pipeline.schema.auto_plan import MOST_VIEWS, PASSES, CollectionSize, auto_values, plan_of

UNLABELLED = {"batch_size": 256, "instances": 16}  # what base has of unsupervised_pcl
FINE_TUNING = {"batch_size": 64, "instances": 4}
PROMPTS = {"batch_size": 64, "instances": None}
SIZES = st.integers(min_value=1, max_value=2_000_000)


def lengths(images, published, given=None, **identities):
    plan = plan_of(CollectionSize(images, **identities), published, given or {})
    return tuple(plan[name] for name in ("epochs", "iterations_per_epoch", "batch_size", "instances"))


@pytest.mark.parametrize(
    ("images", "by_hand"),
    [
        # 64 x 750 images in batches of 128 are 375 steps: 9.7, so 10 epochs of 37.5. The demo's plan: 10 x 40 x 128, 8.
        (750, (10, 38, 128, 8)),
        # A batch of up to 5 is one of 4, of two identities; 1,280 images are 320 steps: 8.9 epochs of 35.6.
        (20, (9, 36, 4, 2)),
        # 12,672 images in 396 batches of 32, a sixteenth of which would be 2 of an identity: 4.
        (198, (10, 40, 32, 4)),
        # The published batch, 256 of 16. 827,904 images in 3,234 steps: 28.4 epochs of 115.5.
        (12_936, (28, 116, 256, 16)),
        # 3,072,000 images in 12,000 steps; one pass is 391, and makes 30.7 epochs.
        (100_000, (31, 391, 256, 16)),
    ],
)
def test_plans_of_unlabelled_collections(images, by_hand):
    assert lengths(images, UNLABELLED) == by_hand


def test_plans_of_labelled_collections():
    # 12,936 steps of 64: 56.9 epochs of 226.9. Published: 60 epochs of one pass.
    assert lengths(12_936, FINE_TUNING, identities=751, images_each=17) == (57, 227, 64, 4)
    # The median identity has 7 images, so 4 of an identity of the 8 that pcl has.
    assert lengths(750, {"batch_size": 256, "instances": 8}, identities=100, images_each=7)[2:] == (128, 4)
    # Ten identities of four images fill 40 places of the 64.
    assert lengths(750, FINE_TUNING, identities=10, images_each=75)[2:] == (40, 4)
    # Prompts are learnt 120 times from each image: 1,406 steps of 64, 18.75 epochs of 74.
    assert lengths(750, PROMPTS) == (19, 75, 64, None)


def test_the_schedule_follows_the_epochs_in_force():
    plan = plan_of(CollectionSize(750), UNLABELLED, {})
    assert (plan["warmup_epochs"], plan["milestones"]) == (1, [8])
    plan = plan_of(CollectionSize(750), {}, {"epochs": 60, "batch_size": 128, "instances": 8})
    assert (plan["warmup_epochs"], plan["milestones"], plan["iterations_per_epoch"]) == (6, [48], 38)
    assert plan_of(CollectionSize(750), {}, {"epochs": 1, "batch_size": 8})["milestones"] == []
    assert plan_of(CollectionSize(750), PROMPTS, {"schedule": "cosine"})["milestones"] == []


def test_a_given_batch_takes_fitting_instances_and_the_reverse():
    assert lengths(750, {"instances": 16}, {"batch_size": 100})[2:] == (100, 5)  # of at most 6, what divides 100
    assert lengths(750, {"instances": 16}, {"batch_size": 12})[2:] == (12, 4)
    assert lengths(750, {"batch_size": 256}, {"instances": 6})[2:] == (126, 6)  # 21 times 6 are nearest below 128
    assert lengths(750, {}, {"batch_size": 40, "instances": 10})[2:] == (40, 10)
    assert lengths(20, {"instances": 16}, {"batch_size": 512})[:2] == (4, 16)  # of which a batch holds the 20 there are


@settings(deadline=None, max_examples=150)
@given(images=SIZES, published=st.sampled_from([UNLABELLED, FINE_TUNING, PROMPTS]), identities=st.integers(0, 5000))
def test_every_plan_can_be_trained(images, published, identities):
    identities = min(identities, images)
    size = CollectionSize(images, identities, images // identities if identities else 0)
    plan = plan_of(size, published, {})
    batch, instances = plan["batch_size"], plan["instances"]
    assert 4 <= batch <= published["batch_size"]
    if instances is not None:
        assert 2 <= instances <= published["instances"]
        assert batch % instances == 0
        assert batch >= 2 * instances
    if not identities:
        assert batch == 4 or (batch <= images / 4 and batch & (batch - 1) == 0)
    assert 1 <= plan["epochs"] <= 60
    assert plan["iterations_per_epoch"] * batch >= images, "an epoch has as many images as there are"
    assert plan["warmup_epochs"] < plan["epochs"]
    assert all(each < plan["epochs"] for each in plan["milestones"])
    views = plan["epochs"] * plan["iterations_per_epoch"] * min(batch, images)
    passes = PASSES if instances is not None else 120
    wanted = min(MOST_VIEWS, max(1280, passes * images))
    assert 0.75 * wanted <= views <= 1.34 * wanted or plan["epochs"] == 1


@settings(deadline=None, max_examples=100)
@given(first=SIZES, second=SIZES)
def test_more_images_make_no_smaller_batch(first, second):
    fewer, more = (plan_of(CollectionSize(count), UNLABELLED, {}) for count in sorted([first, second]))
    assert fewer["batch_size"] <= more["batch_size"]
    assert fewer["instances"] <= more["instances"]


def test_values_are_those_of_what_is_open_alone():
    parameters = {"plan": {"epochs": 3, "batch_size": 64, "instances": 4}, "prompts": {"plan": {"schedule": "cosine"}}}
    open_fields = {"plan.milestones": [20], "prompts.plan.epochs": 120, "prompts.plan.batch_size": 64}
    found = auto_values(parameters, open_fields, CollectionSize(750))
    assert found == {"plan.milestones": [2], "prompts.plan.epochs": 19, "prompts.plan.batch_size": 64}
