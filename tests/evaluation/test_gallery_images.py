"""What is enrolled: once, under one name, clusters apart from those of other runs, tracklets as one entry."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from reid_pipeline.evaluation.gallery_embedding import Embedding
from reid_pipeline.evaluation.gallery_images import clustered_images, enrolment, images_to_enrol
from reid_pipeline.gallery import Gallery
from reid_pipeline.schema.embedded_images import EmbeddedImages
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.gallery_parameters import EnrolParameters
from reid_pipeline.schema.listed_images import ListedImages
from reid_pipeline.schema.origin import Origin

MODEL = "a" * 64
NOT_ASKED = cast("Embedding", None)
WIDTH = 8


def unit(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, WIDTH))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def rows_of(paths: list[str], identity: Any = "Ada", trackid: Any = -1, camera: Any = "c1") -> pd.DataFrame:
    table = pd.DataFrame({"path": paths, "identity": identity, "camera": camera, "time": "", "trackid": trackid})
    return table.astype({"path": "str", "identity": "str", "camera": "str", "time": "str", "trackid": "int64"})


def embedded(rows: pd.DataFrame, root: Path, *, seed: int = 0, model: str = MODEL) -> EmbeddedImages:
    origin = Origin(made_by="embed", code="", file=str(root / "zoo.parquet"))
    return EmbeddedImages(rows, unit(len(rows), seed), origin, model, str(root))


def enrol(folder: Path, given: EmbeddedImages, **options: Any) -> tuple[Gallery, str]:
    """Enrol as the pipeline does, and return the gallery and the sentences."""
    parameters = EnrolParameters(**options)
    gallery = Gallery.open(folder) if folder.exists() else None
    operation = enrolment(images_to_enrol(gallery, given, None, NOT_ASKED, parameters), parameters)
    done = operation.carry_out(folder)
    return Gallery.open(folder), " ".join(done)


def test_an_image_is_enrolled_once_whatever_the_last_digits_of_its_vector(tmp_path: Path) -> None:
    gallery, _ = enrol(tmp_path / "zoo", embedded(rows_of(["1.png", "2.png"]), tmp_path))
    more = embedded(rows_of(["2.png", "3.png"]), tmp_path, seed=1)
    gallery, done = enrol(tmp_path / "zoo", more)
    assert gallery.entries()["path"].tolist() == [str(tmp_path / f"{number}.png") for number in (1, 2, 3)]
    np.testing.assert_array_equal(gallery.vectors()[2], more.vectors[1])
    assert "1 image enrolled before" in done
    gallery, _ = enrol(tmp_path / "zoo", more, collection="summer")
    assert len(gallery) == 5, "another collection is another sighting"


def test_the_file_that_vectors_came_from_is_named_when_they_are_forgotten(tmp_path: Path) -> None:
    gallery, _ = enrol(tmp_path / "zoo", embedded(rows_of(["1.png"]), tmp_path))
    (tmp_path / "zoo.parquet").touch()
    assert gallery.forget(identity="Ada").copies == (str(tmp_path / "zoo.parquet"),)


def test_nobody_and_another_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"1 of 2 images to enrol have no identity: 2\.png\. Put each"):
        enrol(tmp_path / "zoo", embedded(rows_of(["1.png", "2.png"], ["Ada", ""]), tmp_path))
    enrol(tmp_path / "zoo", embedded(rows_of(["1.png"]), tmp_path))
    with pytest.raises(UserError, match="vectors of two models cannot be compared"):
        enrol(tmp_path / "zoo", embedded(rows_of(["2.png"]), tmp_path, model="b" * 64))


def test_a_tracklet_of_a_camera_is_one_entry_the_unit_mean(tmp_path: Path) -> None:
    rows = rows_of(
        [f"{number}.png" for number in range(6)],
        ["Ada", "Ada", "Ada", "Bo", "Bo", "Bo"],
        [7, 7, 7, 7, -1, -1],
        ["c1", "c2", "c1", "c3", "c3", "c3"],
    )
    given = embedded(rows, tmp_path)
    gallery, done = enrol(tmp_path / "zoo", given, tracklets="mean")
    assert "They are 5 entries" in done
    mean = given.vectors[0].astype(float) + given.vectors[2]
    np.testing.assert_allclose(gallery.vectors()[0], mean / np.linalg.norm(mean), atol=1e-6)
    np.testing.assert_array_equal(gallery.vectors()[1:], given.vectors[[1, 3, 4, 5]])
    again, _ = enrol(tmp_path / "zoo", given, tracklets="mean")
    assert len(again) == 5, "the third image is in its tracklet's entry"
    mixed = embedded(rows.assign(camera="c1"), tmp_path)
    with pytest.raises(UserError, match="1 tracklets hold images of several identities"):
        enrol(tmp_path / "other", mixed, tracklets="quality")
    with pytest.raises(UserError, match="none of these images has one"):
        enrol(tmp_path / "other", embedded(rows_of(["1.png"]), tmp_path), tracklets="mean")


def test_a_tracker_that_counts_anew_names_other_tracklets(tmp_path: Path) -> None:
    monday = embedded(rows_of(["1.png", "2.png"], "Ada", 7), tmp_path)
    enrol(tmp_path / "zoo", monday, tracklets="mean")
    tuesday = embedded(rows_of(["3.png", "4.png"], "Bo", 7), tmp_path)
    gallery, done = enrol(tmp_path / "zoo", tuesday, tracklets="mean")
    assert gallery.entries()["identity"].tolist() == ["Ada", "Bo"]
    assert "enrolled before" not in done


def test_another_name_for_what_is_enrolled_is_said(tmp_path: Path) -> None:
    enrol(tmp_path / "zoo", embedded(rows_of(["1.png", "2.png"], ["Ada", "Zoe\u0308"]), tmp_path))
    _, done = enrol(tmp_path / "zoo", embedded(rows_of(["1.png", "2.png"], ["Bo", "Zoe\u0308"]), tmp_path))
    assert "1 image of these: another name in the gallery, such as" in done
    assert "1.png: 'Ada' there, 'Bo' now. The gallery's stays" in done


def clusters(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"path": ["a.png", "b.png", "c.png", "d.png"], "cluster": [0, 0, -1, -1], **columns})


def test_clusters_are_not_confirmed_and_names_are(tmp_path: Path) -> None:
    given = ListedImages(tmp_path, rows_of([]))
    listed, confirmed = clustered_images(given, clusters(name=["", " Ada ", "", "Bo"]))
    assert listed.rows["path"].tolist() == ["a.png", "b.png", "d.png"]
    assert listed.rows["identity"].tolist() == ["cluster 0", "Ada", "Bo"]
    assert confirmed.tolist() == [False, True, True]
    as_text, _ = clustered_images(given, clusters().astype({"cluster": "str"}))
    assert as_text.rows["identity"].tolist() == ["cluster 0", "cluster 0"]
    with pytest.raises(UserError, match=r"1 clusters are no whole numbers, such as that of b\.png"):
        clustered_images(given, clusters().assign(cluster=["0", "x", "1", "2"]))
    with pytest.raises(UserError, match="there is nothing to enrol"):
        clustered_images(given, clusters().assign(cluster=-1))
    with pytest.raises(UserError, match="the folder that they begin at"):
        clustered_images(None, clusters())


class _Embeds:
    """Stands for a model: a vector for each file."""

    class loaded:  # noqa: N801 - an attribute
        digest = MODEL

    class embed:  # noqa: N801
        identities = "folders"

    @staticmethod
    def of(listed: ListedImages) -> EmbeddedImages:
        return EmbeddedImages(listed.rows, unit(len(listed.rows)), Origin(made_by="embed", code=""), MODEL, "")


def test_clusters_of_a_second_run_do_not_join_those_of_the_first(tmp_path: Path) -> None:
    embedding, folder, parameters = cast("Embedding", _Embeds), tmp_path / "zoo", EnrolParameters()
    first = images_to_enrol(None, ListedImages(tmp_path, rows_of([])), clusters(), embedding, parameters)
    enrolment(first, parameters).carry_out(folder)
    second = clusters().assign(path=["e.png", "f.png", "g.png", "h.png"])
    with pytest.raises(UserError, match="The gallery has cluster 0 already, clusters of another run"):
        images_to_enrol(Gallery.open(folder), ListedImages(tmp_path, rows_of([])), second, embedding, parameters)
    Gallery.open(folder).rename("cluster 0", "Ada")
    images = images_to_enrol(Gallery.open(folder), ListedImages(tmp_path, rows_of([])), second, embedding, parameters)
    enrolment(images, parameters).carry_out(folder)
    found = Gallery.open(folder).identities().set_index("identity")
    assert found["images"].to_dict() == {"Ada": 2, "cluster 0": 2}
    assert found["confirmed"].to_dict() == {"Ada": True, "cluster 0": False}
