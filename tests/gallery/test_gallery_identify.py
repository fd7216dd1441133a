"""Known, new or unsure: thresholds against slow loops, and what a calibration needs."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_gallery import MODEL, clustered, filled, rows, units

from reid_pipeline.gallery import Filters, Gallery
from reid_pipeline.schema.errors import UserError

PEOPLE = 39
VECTORS = clustered(3, PEOPLE, 3)
NAMES = [f"p{row // 3:02d}" for row in range(3 * PEOPLE)]
CAMERAS = [("door", "yard", "gate", "")[(row * 7 // 3) % 4] for row in range(3 * PEOPLE)]


def threshold(alpha: float, *, other_cameras: bool = False, confirmed: int = PEOPLE) -> float:
    """By loops: each identity's greatest similarity to another, and the rank of methods' open set."""
    scores = []
    for name in sorted(set(NAMES))[:confirmed]:
        best = -math.inf
        for one, row in enumerate(VECTORS):
            for two, other in enumerate(VECTORS):
                same_camera = CAMERAS[one] == CAMERAS[two] != ""
                if NAMES[one] == name != NAMES[two] and not (other_cameras and same_camera):
                    best = max(best, float(row @ other))
        scores.append(best)
    return sorted(scores)[math.ceil((confirmed + 1) * (1 - alpha)) + 1 - 1]


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    return filled(tmp_path / "zoo", VECTORS, rows(NAMES, camera=CAMERAS))


@pytest.mark.parametrize("other_cameras", [False, True])
def test_the_threshold(gallery: Gallery, other_cameras: bool) -> None:
    found = gallery.calibrate(0.1, unsure=0.25, other_cameras=other_cameras)
    assert found.threshold == pytest.approx(threshold(0.1, other_cameras=other_cameras), abs=1e-6)
    assert found.unsure_threshold == pytest.approx(threshold(0.25, other_cameras=other_cameras), abs=1e-6)
    assert found.identities == PEOPLE
    assert Gallery.open(gallery.folder).calibration == found
    assert found.threshold > found.unsure_threshold


def test_answers(gallery: Gallery) -> None:
    upper, lower = threshold(0.1), threshold(0.25)
    gallery.calibrate(0.1, unsure=0.25)
    probes = np.concatenate([VECTORS[:5], units(1, 60)])
    found = gallery.identify(probes, k=3)
    similarity = probes @ VECTORS.T
    assert found["probe"].tolist() == list(range(65))
    for row, best in enumerate(similarity.max(axis=1)):
        expected = "known" if best > upper else "unsure" if best > lower else "new"
        nearest = np.argsort(-similarity[row])[:3].tolist()
        assert found["answer"][row] == expected
        assert found["identity"][row] == ("" if expected == "new" else NAMES[nearest[0]])
        assert found["nearest_identity"][row] == NAMES[nearest[0]]
        assert found["nearest"][row] == nearest
        assert found["score"][row] == pytest.approx(best, abs=1e-6)
        assert found["threshold"][row] == pytest.approx(upper)
    assert set(found["answer"]) == {"known", "unsure", "new"}
    assert (gallery.identify(probes, filters=Filters(before="1990-01-01"))["answer"] == "new").all()
    assert len(gallery.identify(probes[:0])) == 0


def test_pairs_of_one_camera_are_left_out_in_use_as_in_calibration(gallery: Gallery) -> None:
    gallery.calibrate(0.1, other_cameras=True)
    found = gallery.identify(VECTORS, cameras=CAMERAS, k=1)
    for row, nearest in enumerate(found["nearest"]):
        other = [two for two in range(len(VECTORS)) if not CAMERAS[row] == CAMERAS[two] != ""]
        assert nearest[0] == other[int(np.argmax(VECTORS[other] @ VECTORS[row]))]
    for arguments, text in (
        ({}, "needs the camera of each of the 2 probes; none are given"),
        ({"cameras": ["door"]}, "2 probes; 1 are given"),
        ({"cameras": ["door", ""], "filters": Filters(not_camera=["", ""])}, "differ; give the cameras alone"),
    ):
        with pytest.raises(UserError, match=text):
            gallery.identify(VECTORS[:2], **arguments)


def test_it_follows_the_gallery(gallery: Gallery) -> None:
    """After each change the threshold is that of a gallery that was made so from the start."""
    gallery.calibrate(0.1)
    changes: list[Any] = [
        lambda: gallery.enrol(units(8, 2), rows(["q", "r"]), model=MODEL),
        lambda: gallery.merge("p00", "p01", "p02"),
        lambda: gallery.forget(identity="p05"),
        gallery.undo,
    ]
    for number, change in enumerate(changes):
        change()
        assert not gallery.is_calibrated
        used = gallery.identify(VECTORS[:1])["threshold"][0]
        assert gallery.is_calibrated
        entries = gallery.entries()
        whole = filled(gallery.folder.parent / f"like_{number}", gallery.vectors(), entries.drop(columns="id"))
        assert used == pytest.approx(whole.calibrate(0.1).threshold)
        assert Gallery.open(gallery.folder).calibration == gallery.calibration, "and it is stored"
    gallery.rename("p10", "Anna")
    assert gallery.identify(VECTORS[30:31])["identity"][0] == "Anna"


def test_a_reader_that_may_not_write_answers_too(gallery: Gallery) -> None:
    """Another process is writing: the threshold is made for what is open, and stored by nobody."""
    gallery.calibrate(0.1)
    gallery.forget(identity="p00")
    reader = Gallery.open(gallery.folder)
    with gallery._changing():
        assert reader.identify(VECTORS[:1])["answer"][0] in ("new", "known")
        assert not reader.is_calibrated


def test_too_small_a_gallery_is_refused_with_what_it_needs(tmp_path: Path) -> None:
    entries = rows(NAMES, confirmed=[name < "p20" for name in NAMES])
    gallery = filled(tmp_path / "zoo", VECTORS, entries)
    with pytest.raises(UserError, match="Gallery zoo has no threshold: `calibrate` sets it"):
        gallery.identify(VECTORS[:1])
    with pytest.raises(
        UserError, match=r"1 % .* 199 enrolled .* there are 20.* 39 identities, 19 are clusters that nobody"
    ):
        gallery.calibrate(0.01)
    assert gallery.calibrate(0.1).threshold == pytest.approx(threshold(0.1, confirmed=20), abs=1e-6)
    for name in ("p00", "p01"):
        gallery.forget(identity=name)
    with pytest.raises(UserError, match=r"10 % can be promised with 19 .* there are 18"):
        gallery.identify(VECTORS[:1])
    for arguments, text in (
        ({"false_alarm": "0.1"}, "false-alarm rate is '0.1'; a share above 0 and below 1"),
        ({"false_alarm": 0.0}, "false-alarm rate is 0.0; a share above 0 and below 1"),
        ({"false_alarm": 0.2, "unsure": 0.1}, "rate of unsure answers is 0.1, not above the false-alarm rate 0.2"),
    ):
        with pytest.raises(UserError, match=text):
            gallery.calibrate(**arguments)


def test_pairs_of_one_camera_are_not_left_out_where_no_camera_is_known(tmp_path: Path) -> None:
    gallery = filled(tmp_path / "zoo", units(0, 20), rows([f"p{row}" for row in range(20)]))
    with pytest.raises(UserError, match="No entry of gallery zoo has a camera, so other_cameras would leave no pair"):
        gallery.calibrate(0.1, other_cameras=True)


def test_pictures_under_two_names_are_named_where_nobody_could_be_known(tmp_path: Path) -> None:
    """A folder that was moved, or names that were changed, and enrolled once more."""
    vectors = units(0, 20)
    gallery = filled(tmp_path / "zoo", vectors, rows([f"p{row}" for row in range(20)]))
    gallery.calibrate(0.1)
    gallery.enrol(vectors[3:4], rows(["Ada"]).assign(path="moved.jpg"), model=MODEL)
    for ask in (lambda: gallery.calibrate(0.1), lambda: gallery.identify(vectors)):
        with pytest.raises(UserError, match=r"2 of the 21 identities of gallery zoo have a picture .*known: Ada, p3"):
            ask()
    gallery.merge("p3", "Ada")
    assert gallery.identify(vectors)["answer"].tolist() == ["known"] * 20
