"""What a plan asks of training images that they cannot give: a line before the first epoch, or a refusal."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from reid_pipeline.engine.stage import Method, Stage
from reid_pipeline.schema.columns import CAMID, LABEL
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import TowerPlan, TrainingPlan

PLANNED = ("ViT-B-16", "RN50", "demo-vit")
"""Backbones, but for the activation, that plans in conf/ were published for, or tried with."""
STARTS = {
    "ViT-L-14": "vit_l14",
    "ViT-B-16-SigLIP2": "siglip2_b16",
    "PE-Core-B-16": "pe_core_b16",
    "EVA02-B-16": "eva02_b16",
    "MobileCLIP2-S0": "mobileclip2_s0",
}
"""Overlays with plans for others, which were not tried."""
_PASSES = 100  # over the images in an epoch, beyond which a plan is for a larger collection


def require_trainable(method: Method, train: pd.DataFrame) -> None:
    """Refuse (UserError) training rows of which nothing can be learnt: none, or no two identities where they are read.

    A method that reads some labels, or none, finds out itself what it lacks.
    """
    identities = train.loc[train[LABEL] >= 0, LABEL].nunique()
    if train.empty:
        raise UserError(
            f"There is no training image, and {method.name} trains. Put images into the split train, or measure the"
            " encoder as it comes: --pipeline=zero_shot"
        )
    if method.label_use == "all" and identities < 2:
        shown = "none of them has an identity" if not identities else "all that have an identity show the same one"
        raise UserError(
            f"{method.name} learns to tell identities apart, and of the {len(train):,} training images {shown}. Add"
            " images of at least one more, or train without labels: --pipeline=unsupervised_pcl"
        )


def plan_remarks(method: Method, stage: Stage[Any], parameters: Any, train: pd.DataFrame) -> str:
    """Return in one line what the images cannot give the stage's plan, and what to change; empty where they can."""
    of_identities = _identity_remarks(stage.plan, train) if method.label_use != "none" else ()
    remarks = [*_size_remarks(stage.plan, len(train)), *of_identities, *_camera_remarks(parameters, train)]
    remarks += _tower_remarks(stage.plan, parameters)
    return f"{method.name}, {stage.name}: {' '.join(remarks)}" if remarks else ""


def largest_batch(images: int, batch_size: int, instances: int | None) -> int:
    """Return `batch_size`, or the largest that `images` fill: all of them, in whole groups of K and at least two."""
    if instances is None:
        return min(batch_size, images)
    return min(batch_size, max(2 * instances, images // instances * instances))


def _size_remarks(plan: TrainingPlan, images: int) -> Iterator[str]:
    batch = largest_batch(images, plan.batch_size, plan.instances)
    if plan.batch_size > images:
        yield (
            f"plan.batch_size is {plan.batch_size:,}, and there are {images:,} training images: batches have {batch:,}"
            f" at most, as with plan.batch_size={batch}."
        )
    passes = (plan.iterations_per_epoch or 0) * batch / images
    if passes > _PASSES:
        enough = max(1, 10 * images // batch)
        yield (
            f"plan.iterations_per_epoch is {plan.iterations_per_epoch:,}, which is {passes:,.0f} passes over the"
            f" {images:,} training images in each epoch; plan.iterations_per_epoch={enough} makes ten."
        )


def _identity_remarks(plan: TrainingPlan, train: pd.DataFrame) -> Iterator[str]:
    """Yield how PK batches of the published identities come out."""
    images = train.loc[train[LABEL] >= 0, LABEL].value_counts()
    if plan.instances is None or images.empty:
        return
    places, few = plan.batch_size // plan.instances, int((images < plan.instances).sum())
    if len(images) < places:
        yield (
            f"A batch has places for {places:,} identities (plan.batch_size / plan.instances), and there are"
            f" {len(images):,}: each batch has all of them."
        )
    if 2 * few > len(images):
        yield (
            f"{few:,} of {len(images):,} training identities have fewer than plan.instances={plan.instances} images:"
            " theirs are repeated in a batch."
        )


def _camera_remarks(parameters: Any, train: pd.DataFrame) -> Iterator[str]:
    sie = parameters.backbone.sie
    if sie in ("camera", "both") and train[CAMID].nunique() == 1:
        yield (
            f"backbone.sie is {sie}, and all training images are of one camera: what is learnt of it tells nothing."
            f" backbone.sie={'none' if sie == 'camera' else 'view'} does without."
        )


def _tower_remarks(plan: TrainingPlan, parameters: Any) -> Iterator[str]:
    """Yield, of the plan that trains an image tower, that none was tried for this one."""
    if getattr(parameters, "plan", None) is not plan:
        return
    name = parameters.backbone.name
    family = name.removesuffix("-quickgelu")
    if family in PLANNED:
        return
    if isinstance(plan, TowerPlan) and (plan.rate_by_width or plan.layer_decay != 1.0):
        todo = "This one is a start: compare with zero_shot, and tune plan.learning_rate (--pipeline=tuning)."
    elif family in STARTS:
        todo = f"Give overlay={STARTS[family]}, which has a start."
    else:
        todo = "A start for a ViT: plan.rate_by_width=true,plan.layer_decay=0.75."
    yield (
        f"No plan was tried for backbone.name {name}: conf/ has those of ViT-B/16, and RN50's in overlay=rn50, and a"
        f" larger tower can come out worse than these under them. {todo}"
    )
