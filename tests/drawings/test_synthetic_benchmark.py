"""The drawn benchmark: its names, counts and protocol, each restated here independently of the code."""

import hashlib
import re
from collections import Counter, defaultdict
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from scipy.spatial.distance import cdist

from reid_drawings import SyntheticBenchmark, contact_sheet, draw_benchmark
from reid_drawings.plan import benchmark_images

pytestmark = pytest.mark.slow  # the drawing that all share takes over a second
SMALL = SyntheticBenchmark(seed=3, train_identities=6, test_identities=7, distractors=9, junk=8)
GRAMMAR = re.compile(
    r"(bounding_box_train|query|bounding_box_test)/(-1|[0-9]{4})_c([1-9][0-9]?)s([1-9])_([0-9]{6})_([0-9]{2})\.jpg"
)


@pytest.fixture(scope="module")
def drawn() -> dict[str, bytes]:
    return draw_benchmark(SMALL, processes=1)


def parsed(paths):
    """(folder, pid, camera) of every path."""
    rows = []
    for path in paths:
        match = GRAMMAR.fullmatch(path)
        assert match is not None, path
        rows.append((match[1], int(match[2]), int(match[3])))
    return rows


def digest(images: dict[str, bytes]) -> str:
    return hashlib.sha256(b"".join(path.encode() + data for path, data in images.items())).hexdigest()


@pytest.mark.slow
def test_names_follow_market1501(drawn):
    rows = parsed(drawn)
    assert list(drawn) == sorted(drawn)
    assert {camera for *_, camera in rows} <= set(range(1, 7))
    assert {pid for folder, pid, _ in rows if folder != "bounding_box_test"} <= set(range(1, 14))
    assert {-1, 0} <= {pid for folder, pid, _ in rows if folder == "bounding_box_test"}


def test_counts_are_those_asked_for(drawn):
    rows = parsed(drawn)
    people = {folder: {pid for f, pid, _ in rows if f == folder and pid > 0} for folder, *_ in rows}
    assert len(people["bounding_box_train"]) == 6
    assert len(people["query"]) == 7
    assert people["query"] == people["bounding_box_test"]
    assert people["query"].isdisjoint(people["bounding_box_train"])
    assert people["query"] | people["bounding_box_train"] == set(range(1, 14))
    specials = Counter(pid for _, pid, _ in rows if pid <= 0)
    assert specials == {0: 9, -1: 8}


def test_default_size_is_a_few_thousand_images():
    counts = Counter(plan.subset for plan in benchmark_images(SyntheticBenchmark()))
    assert 2000 <= sum(counts.values()) <= 4000
    assert 1800 <= counts["bounding_box_train"] <= 2400
    assert 200 <= counts["query"] <= 340
    assert 1200 <= counts["bounding_box_test"] <= 1800


def test_train_and_test_identities_interleave():
    plans = benchmark_images(SyntheticBenchmark())
    train = sorted({plan.pid for plan in plans if plan.subset == "bounding_box_train"})
    assert 45 < np.mean(train) < 76
    assert min(train) < 15
    assert max(train) > 105


@pytest.mark.parametrize("seed", range(5))
def test_every_query_has_a_positive_in_another_camera(seed):
    plans = benchmark_images(SyntheticBenchmark(seed=seed, train_identities=1))
    gallery = {(p.pid, p.camera) for p in plans if p.subset == "bounding_box_test" and p.pid > 0}
    queries = [(p.pid, p.camera) for p in plans if p.subset == "query"]
    assert len(queries) == len(set(queries)), "one query per identity and camera"
    assert set(queries) == gallery, "one query wherever the gallery sees the person"
    for pid, camera in queries:
        assert any(other == pid and elsewhere != camera for other, elsewhere in gallery)


def test_not_every_camera_sees_everyone():
    plans = benchmark_images(SyntheticBenchmark())
    seen = defaultdict(set)
    for plan in plans:
        if plan.pid > 0:
            seen[plan.pid].add(plan.camera)
    numbers = {len(cameras) for cameras in seen.values()}
    assert numbers == {4, 5, 6}


def test_images_are_64_by_128_rgb_jpegs(drawn):
    for data in drawn.values():
        with Image.open(BytesIO(data)) as image:
            assert (image.format, image.size, image.mode) == ("JPEG", (64, 128), "RGB")
            image.load()


def test_jpeg_quality_varies_between_images(drawn):
    # The first entry of the quantisation table falls with the quality.
    tables = {Image.open(BytesIO(data)).quantization[0][0] for data in drawn.values()}
    assert len(tables) >= 4


@pytest.mark.slow
def test_a_seed_gives_the_same_bytes_with_any_number_of_processes(drawn):
    seen: list[int] = []
    assert digest(draw_benchmark(SMALL, processes=2, on_image=seen.append)) == digest(drawn)
    assert seen == sorted(seen)
    assert seen[-1] == len(drawn)


@pytest.mark.slow
def test_another_seed_gives_other_people(drawn):
    other = draw_benchmark(SMALL.model_copy(update={"seed": 4}), processes=1)
    assert set(other) != set(drawn)
    assert set(other.values()).isdisjoint(drawn.values())


@pytest.mark.slow
def test_cameras_differ_in_mean_colour_and_neutral_ones_less(drawn):
    def apart(images):
        means = defaultdict(list)
        for (folder, _, camera), data in zip(parsed(images), images.values(), strict=True):
            if folder == "bounding_box_train":
                means[camera].append(np.asarray(Image.open(BytesIO(data))).mean(axis=(0, 1)))
        centres = np.array([np.mean(values, axis=0) for values in means.values()])
        return np.linalg.norm(centres[:, None] - centres[None], axis=-1).max()

    neutral = draw_benchmark(SMALL.model_copy(update={"camera_strength": 0.0}), processes=1)
    assert apart(drawn) > 40.0
    assert apart(neutral) < apart(drawn)


@pytest.mark.slow
def test_somebody_else_looks_more_alike_than_the_same_person_elsewhere(drawn):
    """The problem is not solved by raw pixels: for most images somebody else's is the nearest."""
    images = {path: data for path, data in drawn.items() if parsed([path])[0][1] > 0}
    rows = parsed(images)
    pixels = np.stack([np.asarray(Image.open(BytesIO(data)).resize((8, 16))) for data in images.values()])
    flat = pixels.reshape(len(rows), -1).astype(float)
    distances = cdist(flat, flat)
    pids, cameras = np.array([row[1] for row in rows]), np.array([row[2] for row in rows])
    other_person = pids[:, None] != pids
    person_elsewhere = (pids[:, None] == pids) & (cameras[:, None] != cameras)
    other = np.where(other_person, distances, np.inf).min(axis=1)
    elsewhere = np.where(person_elsewhere, distances, np.inf).min(axis=1)
    assert (other < elsewhere).mean() > 0.5


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", -1),
        ("num_cameras", 1),
        ("train_identities", 0),
        ("test_identities", 0),
        ("cameras_per_identity", (1, 3)),
        ("cameras_per_identity", (4, 3)),
        ("images_per_camera", (1, 4)),
        ("camera_strength", 2.5),
        ("identity_spread", 0.0),
        ("occlusion", 1.1),
        ("crowding", -0.1),
        ("misalignment", -0.1),
        ("jpeg_quality", (0, 90)),
        ("jpeg_quality", (90, 40)),
        ("num_camera", 6),
    ],
)
def test_parameters_out_of_bounds_are_refused(field, value):
    with pytest.raises(ValidationError, match=field):
        SyntheticBenchmark(**{field: value})


def test_parameters_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        SMALL.seed = 5


def test_contact_sheet_has_a_row_per_identity_and_a_group_per_camera(drawn):
    sheet = contact_sheet(drawn, rows=3, per_camera=2)
    assert sheet.mode == "RGB"
    assert sheet.height >= 3 * 128
    assert sheet.width >= 6 * 2 * 64
    chosen = contact_sheet(drawn, pids=[min(p for f, p, _ in parsed(drawn) if f == "query")], subsets=["query"])
    assert 128 <= chosen.height < 2 * 128


def test_contact_sheet_of_nothing_says_so(drawn):
    with pytest.raises(ValueError, match="No images below elsewhere"):
        contact_sheet(drawn, subsets=["elsewhere"])
