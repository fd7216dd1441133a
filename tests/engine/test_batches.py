"""From rows to batches: which sampler a plan gets, and what of an image reaches the step."""

import numpy as np
import pytest
import torch

from reid_pipeline.engine.batches import augmented_batches, batches_of_rows, identity_rows, random_rows
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.seeding import numpy_generator, torch_generator
from reid_pipeline.engine.stage import TrainingData
from reid_pipeline.images.augment import augment, normalise
from reid_pipeline.images.samplers import batches_per_pass, camera_preferring_batches, identity_batches, random_batches
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import AugmentationParameters, BackboneParameters

LABELS = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, -1, 2, 2, 3, 3])
CAMIDS = np.arange(16) % 3
VIEWIDS = np.arange(16) % 5
BACKBONE = BackboneParameters(name="demo-vit", pixel_mean=(0.4, 0.5, 0.6), pixel_std=(0.2, 0.25, 0.5))
AUGMENTATION = AugmentationParameters(padding=2)
VIEW = AugmentationParameters(padding=3, erasing=1.0, erasing_area=(0.3, 0.3), erasing_fill="noise")
POSITION = ("stage", 3)


class Pictures:
    """Images in memory: row r is noise of seed r."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.pixels = torch.randint(0, 256, (16, 3, 12, 8), dtype=torch.uint8, generator=generator)

    def batches(self, groups, part):
        for rows in groups:
            yield rows, self.pixels[part(rows)]


PICTURES = Pictures()


def training_data(camids=CAMIDS, viewids=VIEWIDS, seed=7):
    return TrainingData(PICTURES, LABELS, camids, Runtime(torch.device("cpu")), seed, viewids)


def batches(groups, augmentation=AUGMENTATION, views=(), position=POSITION, **options):
    data = training_data(**options)
    pixels = (BACKBONE, augmentation)
    return list(batches_of_rows(groups, LABELS, data, pixels=pixels, position=position, views=views))


GROUPS = [np.array([3, 0, 9]), np.array([11, 5])]


class TestBatchesOfRows:
    def test_what_belongs_to_a_row_comes_with_it(self):
        for rows, batch in zip(GROUPS, batches(GROUPS), strict=True):
            assert batch.labels.tolist() == LABELS[rows].tolist()
            assert batch.camids.tolist() == CAMIDS[rows].tolist()
            assert batch.viewids.tolist() == VIEWIDS[rows].tolist()
            assert batch.views == ()

    def test_without_cameras_or_viewpoints(self):
        (batch,) = batches(GROUPS[:1], camids=None)
        assert batch.camids is None
        assert batch.viewids.tolist() == VIEWIDS[GROUPS[0]].tolist()
        (batch,) = batches(GROUPS[:1], viewids=None)
        assert batch.viewids is None
        assert batch.camids.tolist() == CAMIDS[GROUPS[0]].tolist()

    def test_images_are_augmented_by_position_and_step(self):
        for step, (rows, batch) in enumerate(zip(GROUPS, batches(GROUPS), strict=True)):
            draws = torch_generator(7, "augment", *POSITION, step)
            assert torch.equal(batch.images, augment(PICTURES.pixels[rows], BACKBONE, AUGMENTATION, draws))

    def test_without_augmentation_they_are_only_normalised(self):
        for rows, batch in zip(GROUPS, batches(GROUPS, augmentation=None), strict=True):
            wanted = normalise(PICTURES.pixels[rows], BACKBONE.pixel_mean, BACKBONE.pixel_std)
            assert torch.equal(batch.images, wanted)

    def test_views_are_of_the_same_rows_each_with_its_own_draws(self):
        made = batches(GROUPS, views=(VIEW, VIEW))
        for step, (rows, batch) in enumerate(zip(GROUPS, made, strict=True)):
            assert len(batch.views) == 2
            for number, view in enumerate(batch.views):
                draws = torch_generator(7, "view", number, *POSITION, step)
                assert torch.equal(view, augment(PICTURES.pixels[rows], BACKBONE, VIEW, draws))
            assert not torch.equal(*batch.views)

    def test_views_may_differ_in_kind(self):
        plain = AugmentationParameters(flip=0, padding=0, erasing=0)
        (batch,) = batches(GROUPS[:1], views=(VIEW, plain))
        wanted = normalise(PICTURES.pixels[GROUPS[0]], BACKBONE.pixel_mean, BACKBONE.pixel_std)
        assert torch.equal(batch.views[1], wanted)
        assert not torch.equal(batch.views[0], wanted)

    def test_asking_for_views_changes_nothing_else(self):
        """With its self-supervision off, a method trains on exactly the images that it has with it on."""
        for without, together in zip(batches(GROUPS), batches(GROUPS, views=(VIEW,) * 2), strict=True):
            assert torch.equal(without.images, together.images)

    @pytest.mark.parametrize("change", [{"position": ("stage", 4)}, {"seed": 8}])
    def test_seed_and_position_matter(self, change):
        (first,), (other,) = batches(GROUPS[:1], views=(VIEW,)), batches(GROUPS[:1], views=(VIEW,), **change)
        assert not torch.equal(first.images, other.images)
        assert not torch.equal(first.views[0], other.views[0])


def test_the_camera_preferring_batches_are_batches_of_its_rows(make_plan):
    plan = make_plan(batch_size=6, instances=2, iterations_per_epoch=3)
    data = training_data()
    rows = camera_preferring_batches(
        LABELS, CAMIDS, batch_size=6, instances=2, iterations=3, generator=numpy_generator(7, "sampler", *POSITION)
    )
    pixels = (BACKBONE, AUGMENTATION)
    made = list(augmented_batches(LABELS, data, plan, pixels=pixels, position=POSITION))
    for one, other in zip(made, batches(rows), strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)


def test_the_camera_preferring_batches_of_one_pass(make_plan):
    plan = make_plan(batch_size=4, instances=2, iterations_per_epoch=None)
    made = list(augmented_batches(LABELS, training_data(), plan, pixels=(BACKBONE, AUGMENTATION), position=POSITION))
    # 5, 4, 4 and 2 images: 2 + 2 + 2 + 1 groups of two, two groups to a batch.
    assert len(made) == batches_per_pass(LABELS, batch_size=4, instances=2) == 3


class TestRows:
    @pytest.mark.parametrize("iterations", [None, 5])
    def test_identity_rows_are_the_plans(self, make_plan, iterations):
        plan = make_plan(batch_size=4, instances=2, iterations_per_epoch=iterations)
        made = list(identity_rows(LABELS, training_data(), plan, position=POSITION))
        generator = numpy_generator(7, "sampler", *POSITION)
        options = {"batch_size": 4, "instances": 2, "iterations": iterations, "generator": generator}
        assert np.array_equal(made, list(identity_batches(LABELS, **options)))
        assert len(made) == (iterations or len(made))

    @pytest.mark.parametrize("iterations", [None, 9])
    def test_random_rows_are_the_labelled_ones(self, make_plan, iterations):
        plan = make_plan(batch_size=4, instances=None, iterations_per_epoch=iterations)
        made = list(random_rows(LABELS, training_data(), plan, position=POSITION))
        generator = numpy_generator(7, "sampler", *POSITION)
        wanted = list(random_batches(15, 4, generator, iterations=iterations))
        assert len(made) == len(wanted) == (iterations or 4)
        labelled = [row for row in range(16) if row != 11]
        for rows, numbers in zip(made, wanted, strict=True):
            assert rows.dtype == np.int64
            assert rows.tolist() == [labelled[number] for number in numbers]

    def test_each_epoch_and_seed_has_its_own(self, make_plan):
        plan = make_plan(batch_size=4, instances=2, iterations_per_epoch=None)
        for draw in (identity_rows, random_rows):
            first = np.concatenate(list(draw(LABELS, training_data(), plan, position=("s", 1))))
            for data, position in ((training_data(), ("s", 2)), (training_data(seed=8), ("s", 1))):
                other = np.concatenate(list(draw(LABELS, data, plan, position=position)))
                assert first.tolist() != other.tolist()

    def test_no_labels(self, make_plan):
        plan = make_plan(batch_size=4, instances=2)
        for draw in (identity_rows, random_rows):
            with pytest.raises(ValueError, match="nothing to sample"):
                list(draw(np.full(3, -1), training_data(), plan, position=POSITION))

    def test_a_plan_without_instances(self, make_plan):
        plan = make_plan(instances=None)
        says = r"plan\.instances is null, but this stage samples the same number.*from 2 up.*such as 4"
        with pytest.raises(UserError, match=says):
            identity_rows(LABELS, training_data(), plan, position=POSITION)
        with pytest.raises(UserError, match=says):
            augmented_batches(LABELS, training_data(), plan, pixels=(BACKBONE, AUGMENTATION), position=POSITION)
