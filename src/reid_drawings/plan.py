"""Which images the drawn benchmark has: names, people, cameras and tracklets, before anything is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np

from reid_drawings.parameters import SyntheticBenchmark

Kind = Literal["person", "distractor", "empty", "junk"]
TRAIN, QUERY, GALLERY = "bounding_box_train", "query", "bounding_box_test"
_FRAMES_PER_SEQUENCE = 24_000


class Purpose(IntEnum):
    """What a generator is for: the second word of its key, so that no two purposes share a stream."""

    CAMERA = 1
    IDENTITY = 2
    PLAN = 3
    TRACKLET = 4
    IMAGE = 5
    STRANGER = 6
    PLACE = 7
    LIGHT = 8
    PRETRAINING_IDENTITY = 11
    PRETRAINING_IMAGE = 12
    PRETRAINING_VEHICLE = 13
    PRETRAINING_VEHICLE_IMAGE = 14
    PRETRAINING_ANIMAL = 15
    PRETRAINING_ANIMAL_IMAGE = 16
    VEHICLE = 21
    VEHICLE_PLAN = 22
    VEHICLE_CAMERA = 23
    VEHICLE_SHOT = 24
    VEHICLE_LIGHT = 25
    VEHICLE_IMAGE = 26


def generator_for(seed: int, purpose: Purpose, *key: int) -> np.random.Generator:
    """The generator of one thing, independent of the order in which things are drawn.

    Args:
        seed: seed of the benchmark.
        purpose: what is drawn.
        key: which one of its kind, as non-negative integers.

    Returns:
        a fresh generator.
    """
    return np.random.default_rng(np.random.SeedSequence([seed, int(purpose), *key]))


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """One image to draw.

    Attributes:
        path: relative POSIX path in Market-1501's grammar.
        subset: `bounding_box_train`, `query` or `bounding_box_test`.
        kind: what is in it.
        pid: as published: -1 for junk, 0 for distractors.
        person: key of who is drawn; for junk the test identity, for a distractor a stranger of its own.
        camera: 0-based camera.
        sequence: 1-based sequence.
        frame: frame number in its camera's sequence.
        shot: place in the tracklet of (person, camera).
    """

    path: str
    subset: str
    kind: Kind
    pid: int
    person: int
    camera: int
    sequence: int
    frame: int
    shot: int


def image_name(pid: int, camera: int, sequence: int, frame: int, box: int) -> str:
    """A file's name in Market-1501's grammar.

    Args:
        pid: identity; -1 is written as such, all others with four digits.
        camera: 0-based; the name counts from 1.
        sequence: 1-based.
        frame: frame number.
        box: number of the detection; 0 is a box drawn by hand.

    Returns:
        for example `0002_c1s1_000451_03.jpg`.
    """
    who = "-1" if pid < 0 else f"{pid:04d}"
    return f"{who}_c{camera + 1}s{sequence}_{frame:06d}_{box:02d}.jpg"


def benchmark_images(parameters: SyntheticBenchmark) -> list[ImagePlan]:
    """Plan the benchmark.

    Args:
        parameters: its size and seed.

    Returns:
        one plan per image, sorted by path; paths are unique.
    """
    people = parameters.train_identities + parameters.test_identities
    generator = generator_for(parameters.seed, Purpose.PLAN, 0)
    order = (generator.permutation(people) + 1).tolist()
    training = set(order[: parameters.train_identities])
    plans: list[ImagePlan] = []
    for pid in range(1, people + 1):
        plans += _images_of(parameters, pid, training=pid in training)
    test_pids = [pid for pid in range(1, people + 1) if pid not in training]
    plans += _distractors(parameters, people)
    plans += _junk(parameters, test_pids)
    return sorted(plans, key=lambda plan: plan.path)


def _images_of(parameters: SyntheticBenchmark, pid: int, *, training: bool) -> Iterator[ImagePlan]:
    generator = generator_for(parameters.seed, Purpose.PLAN, 1, pid)
    low, high = (min(bound, parameters.num_cameras) for bound in parameters.cameras_per_identity)
    seen = int(generator.integers(low, high + 1))
    cameras = sorted(generator.permutation(parameters.num_cameras)[:seen].tolist())
    sequence = 1 + pid % 6
    for camera in cameras:
        count = int(generator.integers(parameters.images_per_camera[0], parameters.images_per_camera[1] + 1))
        frame = int(generator.integers(1, _FRAMES_PER_SEQUENCE))
        hand_drawn = 0 if training else int(generator.integers(count))
        for shot in range(count):
            query = not training and shot == hand_drawn
            subset = TRAIN if training else QUERY if query else GALLERY
            name = image_name(pid, camera, sequence, frame, 0 if query else 1 + int(generator.integers(6)))
            yield ImagePlan(f"{subset}/{name}", subset, "person", pid, pid, camera, sequence, frame, shot)
            frame += int(generator.integers(8, 60))


def _distractors(parameters: SyntheticBenchmark, people: int) -> Iterator[ImagePlan]:
    generator = generator_for(parameters.seed, Purpose.PLAN, 2)
    for number in range(parameters.distractors):
        camera = int(generator.integers(parameters.num_cameras))
        sequence, frame = 1 + int(generator.integers(6)), 30_000 + number * 7
        kind: Kind = "empty" if generator.random() < 0.35 else "distractor"
        name = image_name(0, camera, sequence, frame, 1 + int(generator.integers(6)))
        person = people + 1 + number
        yield ImagePlan(f"{GALLERY}/{name}", GALLERY, kind, 0, person, camera, sequence, frame, 0)


def _junk(parameters: SyntheticBenchmark, test_pids: list[int]) -> Iterator[ImagePlan]:
    generator = generator_for(parameters.seed, Purpose.PLAN, 3)
    for number in range(parameters.junk):
        person = test_pids[int(generator.integers(len(test_pids)))]
        camera = int(generator.integers(parameters.num_cameras))
        sequence, frame = 1 + person % 6, 30_000 + number * 7
        name = image_name(-1, camera, sequence, frame, 1 + int(generator.integers(6)))
        yield ImagePlan(f"{GALLERY}/{name}", GALLERY, "junk", -1, person, camera, sequence, frame, number)
