"""What a plan asks of training images that they cannot give."""

import re
from types import SimpleNamespace

import pandas as pd
import pytest

from reid_pipeline.engine.plan_checks import largest_batch, plan_remarks, require_trainable
from reid_pipeline.schema.errors import UserError

STAGE = "baseline, fine_tuning: "


def rows(images_of: list[int], unlabelled: int = 0, cameras: int = 3) -> pd.DataFrame:
    """Training rows of identities with so many images each."""
    labels = [label for label, images in enumerate(images_of) for _ in range(images)] + [-1] * unlabelled
    camids = [place % cameras if cameras else pd.NA for place in range(len(labels))]
    return pd.DataFrame({"label": pd.array(labels, dtype="int64"), "camid": pd.array(camids, dtype="Int64")})


@pytest.fixture
def remarks(make_plan):
    def make(train: pd.DataFrame, *, label_use: str = "all", sie: str = "none", **plan) -> str:
        method = SimpleNamespace(name="baseline", label_use=label_use)
        stage = SimpleNamespace(name="fine_tuning", plan=make_plan(**plan))
        return plan_remarks(method, stage, SimpleNamespace(backbone=SimpleNamespace(sie=sie)), train)

    return make


@pytest.mark.parametrize("label_use", ["none", "all"])
@pytest.mark.parametrize("images_of", [[4] * 15, [2, 3, 9] * 20, [40] * 8])
def test_nothing_is_remarked_where_all_fits(remarks, images_of, label_use):
    plan = {"batch_size": 16, "instances": 2, "iterations_per_epoch": 100}
    assert remarks(rows(images_of), label_use=label_use, **plan) == ""
    assert remarks(rows(images_of), label_use=label_use, **{**plan, "iterations_per_epoch": None}) == ""


@pytest.mark.parametrize(
    ("plan", "images_of", "says"),
    [
        (
            {"batch_size": 4096, "instances": 8},
            [15] * 4,
            "plan.batch_size is 4,096, and there are 60 training images: batches have 56 at most, as with"
            " plan.batch_size=56.",
        ),
        ({"batch_size": 4096, "instances": None}, [15] * 4, "batches have 60 at most, as with plan.batch_size=60."),
        ({"batch_size": 10**12, "instances": None}, [1], "there are 1 training images: batches have 1 at most"),
        ({"batch_size": 64, "instances": 16}, [2, 3], "batches have 32 at most, as with plan.batch_size=32."),
        (
            {"batch_size": 56, "instances": 8, "iterations_per_epoch": 200},
            [15] * 4,
            "plan.iterations_per_epoch is 200, which is 187 passes over the 60 training images in each epoch;"
            " plan.iterations_per_epoch=10 makes ten.",
        ),
        (
            {"batch_size": 32, "instances": 4},
            [15] * 4,
            "A batch has places for 8 identities (plan.batch_size / plan.instances), and there are 4: each batch has"
            " all of them.",
        ),
        (
            {"batch_size": 8, "instances": 4},
            [1, 2, 3, 4, 5],
            "3 of 5 training identities have fewer than plan.instances=4 images: theirs are repeated in a batch.",
        ),
        ({"batch_size": 8, "instances": 4}, [1] * 60, "60 of 60 training identities have fewer than plan.instances=4"),
    ],
)
def test_what_the_images_cannot_give_is_remarked(remarks, plan, images_of, says):
    found = remarks(rows(images_of), **plan)
    assert found.startswith(STAGE)
    assert says in found
    assert "\n" not in found


def test_several_remarks_are_one_line(remarks):
    found = remarks(rows([1] * 60), batch_size=4096, instances=4, iterations_per_epoch=10**6)
    assert [word in found for word in ("batch_size is 4,096", "passes", "places for", "60 of 60")] == [True] * 4


@pytest.mark.parametrize("images_of", [[1] * 60, [59, 1], []])
def test_identities_are_nothing_to_a_method_that_reads_none(remarks, images_of):
    train = rows(images_of, unlabelled=4)
    assert remarks(train, label_use="none", batch_size=4, instances=2) == ""


def test_a_few_small_identities_are_usual(remarks):
    assert remarks(rows([1, 2, 20, 20, 20, 20]), batch_size=8, instances=4) == ""


@pytest.mark.parametrize(("sie", "cameras"), [("camera", 1), ("both", 1)])
def test_one_camera_has_nothing_to_embed(remarks, sie, cameras):
    instead = {"camera": "none", "both": "view"}[sie]
    says = f"backbone.sie is {sie}, and all training images are of one camera: what is learnt of it tells nothing."
    assert f"{says} backbone.sie={instead} does without." in remarks(rows([9] * 9, cameras=cameras), sie=sie)


@pytest.mark.parametrize(("sie", "cameras"), [("none", 1), ("view", 1), ("camera", 2), ("both", 0)])
def test_other_cameras_are_not_remarked(remarks, sie, cameras):
    assert remarks(rows([9] * 9, cameras=cameras), sie=sie) == ""


@pytest.mark.parametrize(
    ("name", "plan", "todo"),
    [
        ("ViT-L-14-quickgelu", {}, "Give overlay=vit_l14, which has a start."),
        ("ViT-B-16-SigLIP2", {}, "Give overlay=siglip2_b16, which has a start."),
        ("ViT-H-14", {}, "A start for a ViT: plan.rate_by_width=true,plan.layer_decay=0.75."),
        ("ViT-L-14", {"rate_by_width": True}, "This one is a start: compare with zero_shot, and tune"),
        ("MobileCLIP2-S0", {"layer_decay": 0.75}, "This one is a start: compare with zero_shot, and tune"),
        ("ViT-B-16-quickgelu", {}, ""),
        ("ViT-B-16", {"rate_by_width": True}, ""),
        ("RN50-quickgelu", {}, ""),
        ("demo-vit", {}, ""),
    ],
)
def test_a_tower_without_a_tried_plan_says_so(make_plan, name, plan, todo):
    """Of the plan that trains it: a stage before has one of its own."""
    plans = [make_plan(batch_size=16, instances=2, **plan) for _ in range(2)]
    parameters = SimpleNamespace(backbone=SimpleNamespace(sie="none", name=name), plan=plans[1])
    method = SimpleNamespace(name="clip_reid", label_use="none")
    before, found = (
        plan_remarks(method, SimpleNamespace(name="stage", plan=each), parameters, rows([40] * 8)) for each in plans
    )
    assert before == ""
    if todo:
        assert found.startswith(f"clip_reid, stage: No plan was tried for backbone.name {name}: conf/ has those of")
        assert todo in found
    else:
        assert found == ""


@pytest.mark.parametrize(
    ("images_of", "unlabelled", "label_use", "says"),
    [
        ([], 0, "all", "There is no training image, and toy trains. Put images into the split train, or measure"),
        ([], 0, "none", "There is no training image, and toy trains."),
        ([], 60, "all", "of the 60 training images none of them has an identity. Add images of at least one more"),
        ([60], 0, "all", "of the 60 training images all that have an identity show the same one. Add images"),
        ([1], 1_200, "all", "of the 1,201 training images all that have an identity show the same one"),
    ],
)
def test_what_nothing_can_be_learnt_from_is_refused(images_of, unlabelled, label_use, says):
    with pytest.raises(UserError, match=re.escape(says)):
        require_trainable(SimpleNamespace(name="toy", label_use=label_use), rows(images_of, unlabelled))


@pytest.mark.parametrize(
    ("images_of", "unlabelled", "label_use"),
    [([1, 1], 0, "all"), ([60], 0, "none"), ([], 9, "none"), ([3], 0, "partial")],
)
def test_all_else_is_trained(images_of, unlabelled, label_use):
    require_trainable(SimpleNamespace(name="toy", label_use=label_use), rows(images_of, unlabelled))


@pytest.mark.parametrize(
    ("images", "batch_size", "instances", "largest"),
    [(60, 4096, 8, 56), (60, 56, 8, 56), (60, 32, 8, 32), (60, 4096, None, 60), (3, 64, 16, 32), (10**9, 64, 4, 64)],
)
def test_the_largest_batch(images, batch_size, instances, largest):
    assert largest_batch(images, batch_size, instances) == largest
    assert instances is None or largest % instances == 0
