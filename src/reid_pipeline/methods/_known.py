"""What is known of training images beside their pixels, as clusterings use it: identities of a part, and tracklets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from reid_pipeline.schema.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from reid_pipeline.clustering import Clustering
    from reid_pipeline.engine.stage import TrainingData


class Uses(Protocol):
    """The parameters that decide what is used: "ignore" or "use"."""

    @property
    def known_identities(self) -> str:
        """Whether identities of a part are used."""

    @property
    def tracklets(self) -> str:
        """Whether tracklets are."""


def require_known(data: TrainingData, uses: Uses) -> None:
    """Refuse to use what is not there, and known identities of all images; a tracklet of two identities likewise.

    Raises:
        UserError: names the parameter and what to do.
    """
    labelled = int((data.labels >= 0).sum())
    if uses.known_identities == "use" and labelled in (0, len(data.labels)):
        shown = "no training image has one" if not labelled else "all training images have one"
        raise UserError(
            f"Parameter unsupervised_pcl.known_identities is use, and {shown}. It is for images of which a part has"
            f" identities: give ignore{'' if not labelled else ', or train with all, as by --pipeline=pcl'}."
        )
    tracklets = _tracklets(data) if uses.tracklets == "use" else None
    if uses.tracklets == "use" and tracklets is None:
        raise UserError(
            "Parameter unsupervised_pcl.tracklets is use, and no training image has a tracklet. Fill the column trackid"
            " of the manifest, or give ignore."
        )
    if uses.known_identities == "use" and tracklets is not None:
        from reid_pipeline.clustering.constraints import spread_over_tracklets

        spread_over_tracklets(data.labels, tracklets, data.names, data.images.paths)


def constrained(found: Clustering, data: TrainingData, uses: Uses) -> Clustering:
    """Return the clusters with labels that keep to what is used; themselves where nothing is."""
    if uses.known_identities == uses.tracklets == "ignore":
        return found
    from reid_pipeline.clustering import constrained_labels

    known = data.labels if uses.known_identities == "use" else None
    tracklets = _tracklets(data) if uses.tracklets == "use" else None
    return replace(found, labels=constrained_labels(found.labels, found.similarity, known=known, tracklets=tracklets))


def label_facts(found: Clustering, clustered: Clustering, data: TrainingData) -> dict[str, Any]:
    """Return what the labels look like, and how the clusters, before they were constrained, agree with identities.

    Agreement is over the images whose identity is known. It is for diagnosis, never used in training.
    """
    from reid_pipeline.clustering import pseudo_label_quality

    facts = pseudo_label_quality(found.labels).facts()
    known = data.labels >= 0
    if not known.any():
        return facts
    measured = pseudo_label_quality(clustered.labels[known], data.labels[known]).facts()["ground_truth"]
    part = {} if known.all() else {"ground_truth_images": int(known.sum())}
    return {**facts, "ground_truth": measured, **part}


def _tracklets(data: TrainingData) -> np.ndarray | None:
    from reid_pipeline.clustering import tracklets_of

    return tracklets_of(data.trackids, data.camids)
