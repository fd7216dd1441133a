"""Rows to batches on the device: which rows a plan asks for, and their images, augmented or not."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch

from reid_pipeline.engine.plan_checks import largest_batch
from reid_pipeline.engine.seeding import numpy_generator, torch_generator
from reid_pipeline.engine.stage import Batch, TrainingData
from reid_pipeline.images.augment import PixelStatistics, augment, normalise, sent_to
from reid_pipeline.images.samplers import batches_per_pass, camera_preferring_batches, identity_batches, random_batches
from reid_pipeline.losses.host_labels import labels_on_device
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import AugmentationParameters, TrainingPlan

Position = tuple[str | int, ...]


def augmented_batches(
    labels: np.ndarray,
    data: TrainingData,
    plan: TrainingPlan,
    *,
    pixels: tuple[PixelStatistics, AugmentationParameters],
    position: Position,
) -> Iterator[Batch]:
    """Yield an epoch of camera-preferring PK batches, augmented and on the device.

    Args:
        labels: int64 [n], published or pseudo labels of the training rows; rows below 0 are left out.
        data: images, cameras, device, seed.
        plan: without iterations, there are as many as `batches_per_pass` counts. A batch larger than the collection
            would hold every image several times: it is cut to `largest_batch`.
        pixels: the image tower, whose pixel statistics are used, and the augmentation.
        position: such as (stage, epoch); sampling depends on the run's seed, this position and the step alone.

    Raises:
        UserError: the plan has no instances, or an image cannot be read.
        ValueError: no row has a label.
    """
    instances = _instances(plan)
    sizes = {"batch_size": largest_batch(len(labels), plan.batch_size, instances), "instances": instances}
    iterations = plan.iterations_per_epoch or batches_per_pass(labels, **sizes)
    generator = numpy_generator(data.seed, "sampler", *position)
    groups = camera_preferring_batches(labels, data.camids, **sizes, iterations=iterations, generator=generator)
    return batches_of_rows(groups, labels, data, pixels=pixels, position=position)


def identity_rows(
    labels: np.ndarray, data: TrainingData, plan: TrainingPlan, *, position: Position
) -> Iterator[np.ndarray]:
    """Yield the rows of an epoch of the plan's PK batches; errors are those of `augmented_batches`."""
    sizes = {"batch_size": plan.batch_size, "instances": _instances(plan)}
    generator = numpy_generator(data.seed, "sampler", *position)
    return identity_batches(labels, **sizes, generator=generator, iterations=plan.iterations_per_epoch)


def random_rows(
    labels: np.ndarray, data: TrainingData, plan: TrainingPlan, *, position: Position
) -> Iterator[np.ndarray]:
    """Yield the labelled rows of an epoch in random batches; a ValueError where no row has a label."""
    labelled = np.flatnonzero(labels >= 0)
    generator = numpy_generator(data.seed, "sampler", *position)
    groups = random_batches(len(labelled), plan.batch_size, generator, iterations=plan.iterations_per_epoch)
    return (labelled[rows] for rows in groups)


def batches_of_rows(
    groups: Iterable[np.ndarray],
    labels: np.ndarray,
    data: TrainingData,
    *,
    pixels: tuple[PixelStatistics, AugmentationParameters | None],
    position: Position,
    views: Sequence[AugmentationParameters] = (),
) -> Iterator[Batch]:
    """Yield a batch on the device for every group of rows; images are decoded one batch ahead.

    Arguments and errors are those of `augmented_batches`; without augmentation images are only normalised. The same
    rows at the same step and position get the same augmentation from every sampler, with or without `views`, which
    hold the augmentation of each further, independently augmented view of every image. Of several processes each has
    the images and ids of its part of the batch, as they are in the whole, and the labels of all.
    """
    statistics, augmentation = pixels
    device, processes = data.runtime.device, data.runtime.processes
    for step, (rows, loaded) in enumerate(data.images.batches(groups, processes.own_rows)):
        images, part = loaded.to(device, non_blocking=True), processes.part(len(rows))
        if augmentation is None:
            first = normalise(images, statistics.pixel_mean, statistics.pixel_std)
        else:
            generator = torch_generator(data.seed, "augment", *position, step)
            first = augment(images, statistics, augmentation, generator, part=part)
        others = (
            augment(images, statistics, view, torch_generator(data.seed, "view", number, *position, step), part=part)
            for number, view in enumerate(views)
        )
        camids, viewids = (
            None if ids is None else sent_to(device, torch.from_numpy(ids[part.of(rows)])) for ids in data.ids
        )
        yield Batch(first, labels_on_device(torch.from_numpy(labels[rows]), device), camids, viewids, tuple(others))


def published_batches(
    data: TrainingData,
    plan: TrainingPlan,
    *,
    pixels: tuple[PixelStatistics, AugmentationParameters],
    position: Position,
    views: Sequence[AugmentationParameters] = (),
) -> Iterator[Batch]:
    """Yield an epoch of augmented PK batches of the published identities; see `batches_of_rows`."""
    rows = identity_rows(data.labels, data, plan, position=position)
    return batches_of_rows(rows, data.labels, data, pixels=pixels, position=position, views=views)


def _instances(plan: TrainingPlan) -> int:
    if plan.instances is None:
        raise UserError(
            "plan.instances is null, but this stage samples the same number of images of every identity. Give a"
            " number from 2 up of which batch_size is a multiple, such as 4."
        )
    return plan.instances
