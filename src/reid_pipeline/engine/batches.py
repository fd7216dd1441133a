"""Labels to augmented batches."""

from collections.abc import Iterator

import numpy as np
import torch

from reid_pipeline.engine.seeding import numpy_generator, torch_generator
from reid_pipeline.engine.stage import Batch, TrainingData
from reid_pipeline.images.augment import augment
from reid_pipeline.images.samplers import camera_preferring_batches
from reid_pipeline.schema.parameters import AugmentationParameters, BackboneParameters, TrainingPlan


def augmented_batches(
    labels: np.ndarray,
    data: TrainingData,
    plan: TrainingPlan,
    *,
    pixels: tuple[BackboneParameters, AugmentationParameters],
    position: tuple[str | int, ...],
) -> Iterator[Batch]:
    """Yield an epoch of PK batches, augmented and on the device; images are decoded one batch ahead.

    Args:
        labels: int64 [n], published or pseudo labels of the training rows; rows below 0 are not drawn.
        data: images, cameras, device, seed.
        plan: batch size, instances, iterations.
        pixels: normalisation and augmentation.
        position: where in training this is, such as (stage, epoch); every draw is derived from the run's
            seed, this position and the step.
    """
    groups = camera_preferring_batches(
        labels,
        data.camids,
        batch_size=plan.batch_size,
        instances=plan.instances,
        iterations=plan.iterations_per_epoch,
        generator=numpy_generator(data.seed, "sampler", *position),
    )
    device = data.runtime.device
    for step, (rows, images) in enumerate(data.images.batches(groups)):
        generator = torch_generator(data.seed, "augment", *position, step)
        camids = None if data.camids is None else torch.from_numpy(data.camids[rows]).to(device)
        yield Batch(
            augment(images.to(device), *pixels, generator), torch.from_numpy(labels[rows]).to(device), camids
        )
