"""Pseudo labels in words: each figure of a sentence is that of the model that it speaks of."""

import pytest
from made_records import make_epoch, make_metrics, make_run_card

from reid_pipeline.reporting.before_after import text_table
from reid_pipeline.reporting.guard_notes import (
    dominated_notes,
    exported_model,
    exported_notes,
    exported_sentence,
    label_warnings,
)
from reid_pipeline.reporting.report import ReportContent, render_report
from reid_pipeline.schema.records import EpochRecord, LabelFigures, Metrics, RunCard

QUALITIES = (0.31, 0.35, 0.38, 0.41, 0.12)


def labels(quality: float, **others) -> dict:
    figures = {"clusters": 40, "noise_share": 0.05, "largest_cluster": 0.031, "silhouette": quality + 0.01}
    return {**figures, "cluster_quality": quality, **others}


def trained(qualities=QUALITIES, *, epoch=3, ended="", **changed) -> list[EpochRecord]:
    """A history whose model after i epochs has the i-th quality; `changed` are figures of the exported one's labels."""
    each = [labels(quality, **(changed if place == epoch else {})) for place, quality in enumerate(qualities)]
    records = len(qualities) if ended else len(qualities) - 1
    exported = {"epoch": epoch, "epochs": 4, "measures": qualities, "ended": ended}
    end = {"exported": exported} | ({} if ended else {"after": each[-1]})
    return [make_epoch(place + 1, **each[place], **(end if place == records - 1 else {})) for place in range(records)]


def sentence(*given, **changed) -> str:
    exported = exported_model(trained(*given, **changed))
    assert exported is not None
    return exported_sentence(exported)


IN_BRACKETS = "largest cluster 3.1 %, noise 5.0 %)"


@pytest.mark.parametrize(
    ("qualities", "epoch", "says"),
    [
        (
            QUALITIES,
            3,
            "The model after epoch 3 of 4 is exported: it has the best cluster quality, 0.41 (silhouette 0.42,"
            f" {IN_BRACKETS}; after the last epoch it was 0.12.",
        ),
        (
            (0.31, 0.2, 0.2, 0.2, 0.12),
            0,
            "The encoder before training is exported: no epoch's clusters were better by an eighth. The cluster quality"
            " was 0.31"
            f" (silhouette 0.32, {IN_BRACKETS}; after the last epoch it was 0.12.",
        ),
        (
            (0.31, 0.2, 0.2, 0.2, 0.52),
            4,
            "The model after epoch 4 of 4, the last, is exported: it has the best cluster quality, 0.52"
            f" (silhouette 0.53, {IN_BRACKETS}; before training it was 0.31.",
        ),
    ],
)
def test_which_model_is_exported_and_why(qualities, epoch, says):
    assert sentence(qualities, epoch=epoch) == says


def test_training_that_ended_early_says_when_and_why():
    history = trained((0.31, 0.41, 0.2), epoch=1, ended="Clustering collapsed: no cluster was found. Raise eps.")
    exported = exported_model(history)
    assert exported is not None
    assert exported_notes(exported) == [
        "Training ended after epoch 3 of 4. Clustering collapsed: no cluster was found. Raise eps.",
        "The model after epoch 1 of 4 is exported: it has the best cluster quality, 0.41 (silhouette 0.42,"
        f" {IN_BRACKETS}.",
    ]
    assert label_warnings(history) == exported_notes(exported)[:1]


@pytest.mark.parametrize(
    ("changed", "seen"),
    [
        ({"cluster_quality": 0.03}, "the cluster quality is 0.03, little more than random vectors have"),
        ({"noise_share": 0.62}, "62.0 % of the training images joined none"),
        (
            {"cluster_quality": 0.03, "noise_share": 0.62},
            "the cluster quality is 0.03, little more than random vectors have; 62.0 % of the training images"
            " joined none",
        ),
    ],
)
def test_clusters_that_mean_little(changed, seen):
    note = label_warnings(trained(**changed))
    assert note == [
        f"The clusters mean little: {seen}. Clusters like these are little better than chance, and training on them"
        " teaches little. Start from a model that knows such images (init_from, or another backbone), label some of"
        " them, and look whether each shows one individual, cut out."
    ]
    last = make_epoch(1, **labels(0.41, **changed))
    assert label_warnings([last]) == note, "without a best model, the labels of the last epoch"
    assert label_warnings([make_epoch(1, **labels(0.41))]) == []
    assert label_warnings(trained()) == []


def test_histories_of_earlier_versions_have_nothing_to_say():
    early = [make_epoch(1), make_epoch(2, largest_cluster=0.625)]
    assert exported_model(early) is None
    assert label_warnings(early) == label_warnings([]) == []
    assert exported_model([]) is None
    assert len(dominated_notes(early, [1, 2])) == 1


def test_a_share_up_to_a_half_is_no_dominant_cluster():
    history = [make_epoch(place + 1, largest_cluster=share) for place, share in enumerate((0.1, 0.5, 0.51, 0.625))]
    assert dominated_notes(history, [1, 2, 3, 4]) == [
        "In epochs 3, 4 one cluster held more than half of the training images, up to 62.5 %: most of them were"
        " taken for one identity."
    ]
    assert dominated_notes(history[:2], [1, 2]) == []


def test_records_and_console_and_page_have_it():
    history = trained()
    exported = exported_model(history)
    metrics = make_metrics("unsupervised_pcl", 0.6, exported=exported)
    card = make_run_card("unsupervised_pcl", exported=exported)
    for record, kind in ((metrics, Metrics), (card, RunCard)):
        again = kind.model_validate_json(record.model_dump_json(exclude_unset=True))
        assert again.exported == exported
    assert again.exported.labels == LabelFigures(**labels(0.41))
    says = exported_sentence(exported)
    before = make_metrics("zero_shot", 0.4)
    assert text_table([before, metrics]).splitlines()[-1] == says
    page = render_report(ReportContent("market1501", "unsupervised_pcl", 0, [before, metrics], card, history=history))
    assert says in page
    assert "model after epoch 3 of 4" in page
    assert all(figure in page for figure in ("0.310", "0.350", "0.380", "0.410")), "cluster quality of each epoch"


def test_a_quality_just_below_0_has_no_sign():
    assert "the cluster quality is 0.00, little more" in label_warnings([make_epoch(1, **labels(-0.001))])[0]
