"""Known identities and tracklets of a training: what is used, refused, measured, and whose labels count as used."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.metrics import adjusted_rand_score

from reid_pipeline.clustering import Clustering
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.stage import TrainingData
from reid_pipeline.engine.starting import Start
from reid_pipeline.methods import find_method
from reid_pipeline.methods._known import constrained, label_facts, require_known
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.population import Population

LABELS = [0, -1, 1, -1, -1, 1]
FOUND = Clustering(
    np.array([0, 0, 0, 0, 1, -1]), csr_array(np.eye(6) + 0.5 * np.eye(6, k=1) + 0.5 * np.eye(6, k=-1)), 0.5
)


def data(labels: list[int], trackids: list[int] | None = None, camids: list[int] | None = None) -> TrainingData:
    images: Any = SimpleNamespace(paths=[f"{row}.jpg" for row in range(len(labels))])
    arrays = [None if each is None else np.array(each) for each in (camids, trackids)]
    return TrainingData(
        images, np.array(labels), arrays[0], Runtime(torch.device("cpu")), 0, trackids=arrays[1], names=("fox", "owl")
    )


def uses(known_identities: str = "ignore", tracklets: str = "ignore") -> Any:
    return SimpleNamespace(known_identities=known_identities, tracklets=tracklets)


def test_ignored_it_changes_nothing() -> None:
    assert constrained(FOUND, data(LABELS, [5, 5, 5, 5, 5, 5]), uses()) is FOUND


def test_known_identities_and_tracklets_are_laid_over_the_clusters() -> None:
    """Cluster 0 holds fox and owl: row 1 is alike to both, the lower wins; row 3 is alike to the owl of row 2."""
    found = constrained(FOUND, data(LABELS), uses("use"))
    assert found.labels.tolist() == [1, 1, 2, 2, 0, 2]
    assert found.similarity is FOUND.similarity
    tracked = constrained(FOUND, data(LABELS, [-1, -1, -1, 8, 8, 8], [0, 0, 0, 1, 1, 1]), uses(tracklets="use"))
    # One image in cluster 0 and one in 1: row 3 is alike to row 2 of cluster 0, row 4 to nobody outside the tracklet.
    assert tracked.labels.tolist() == [0, 0, 0, 0, 0, 0]


def test_agreement_is_over_the_labelled_images_of_the_clusters_as_found() -> None:
    """Of rows 0, 2 and 5 with fox, owl, owl the clusters are 0, 0 and noise, which is a cluster of its own."""
    facts = label_facts(constrained(FOUND, data(LABELS), uses("use")), FOUND, data(LABELS))
    assert facts["ground_truth_images"] == 3
    assert facts["ground_truth"]["ari"] == pytest.approx(adjusted_rand_score([0, 1, 1], [0, 0, 9]))
    assert (facts["clusters"], facts["noise_share"]) == (3, 0.0), "what it is trained with"
    assert "ground_truth" not in label_facts(FOUND, FOUND, data([-1] * 6))
    assert "ground_truth_images" not in label_facts(FOUND, FOUND, data([0, 0, 1, 1, 0, 1]))


@pytest.mark.parametrize(
    ("given", "labels", "trackids", "answer"),
    [
        (("use", "ignore"), [-1] * 3, None, "known_identities is use, and no training image has one"),
        (("use", "ignore"), [0, 1, 1], None, "all training images have one. .* as by --pipeline=pcl"),
        (("ignore", "use"), [0, -1, 1], None, "tracklets is use, and no training image has a tracklet"),
        (("ignore", "use"), [0, -1, 1], [-1] * 3, "tracklets is use, and no training image has a tracklet"),
        (("use", "use"), [0, -1, 1], [7, 7, 7], r"'fox' \(0.jpg\) and 'owl' \(2.jpg\)"),
    ],
)
def test_what_is_not_there_or_contradicts_itself_is_refused(
    given: tuple[str, str], labels: list[int], trackids: list[int] | None, answer: str
) -> None:
    with pytest.raises(UserError, match=answer):
        require_known(data(labels, trackids), uses(*given))


def test_the_same_number_at_two_cameras_is_two_tracklets() -> None:
    require_known(data([0, -1, 1], [7, 7, 7], [0, 0, 1]), uses("use", "use"))


def test_labels_of_this_collection_stay_used_when_training_goes_on_with_a_part_of_them() -> None:
    """The same images under another name: `labels_from` gave them identities, and a supervised method read all."""
    origin = Origin(made_by="pcl.export", benchmark="zoo+labels=a-01234567", label_use="all", data="d", code="0")
    started: Any = SimpleNamespace(origin=origin)
    read = (find_method("unsupervised_pcl"), uses("use"), Population(2))
    assert Start(*read, "zoo", started).label_use == "all"
    assert Start(*read, "lake", started).label_use == "partial"
    assert Start(*read, "zoo").label_use == "partial"


def test_whose_labels_count_as_used() -> None:
    method = find_method("unsupervised_pcl")
    assert [method.labels_used(uses(each)) for each in ("ignore", "use")] == ["none", "partial"]
    assert method.labels_used(uses("ignore", "use")) == "none", "a tracklet is no identity"
    assert find_method("pcl").labels_used(uses()) == "all"
