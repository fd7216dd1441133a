# ruff: noqa: RUF001
import json
import subprocess
import sys
from typing import Any

from made_records import make_epoch, make_metrics

from reid_pipeline.reporting.figures import (
    agreement_curves,
    cluster_curves,
    cluster_size_bars,
    cmc_curves,
    curves_overview,
    loss_curves,
    seconds_bars,
    training_curves,
)
from reid_pipeline.schema.records import EpochRecord, Metrics

History = list[EpochRecord]


def values(figure: Any) -> dict[str, list[Any]]:
    return {trace.name: list(trace.y) for trace in figure.data}


def test_loss_and_learning_rate_are_drawn_as_recorded(history: History) -> None:
    figure = loss_curves(history)
    assert values(figure) == {"loss": [3.0, 1.5, 1.0], "learning rate": [r.learning_rate for r in history]}
    assert [list(trace.x) for trace in figure.data] == [[1, 2, 3], [1, 2, 3]]


def test_several_losses_are_drawn_apart_and_an_absent_one_is_a_gap(history: History) -> None:
    several = [make_epoch(1, losses={"pcl": 1.0, "triplet": 2.0}), *history[1:]]
    assert values(loss_curves(several))["triplet"] == [2.0, None, None]


def test_clusters_and_noise(history: History) -> None:
    assert values(cluster_curves(history)) == {"clusters": [99, 98, 97], "noise share": [0.5, 0.25, 0.5 / 3]}


def test_what_an_epoch_has_not_is_a_gap_not_zero(history: History) -> None:
    gone = [history[0], make_epoch(2, clusters=None), history[2]]
    assert values(cluster_curves(gone))["clusters"] == [99, None, 97]


def test_agreement_says_it_is_diagnostics_only(history: History) -> None:
    figure = agreement_curves(history)
    assert values(figure)["ARI"] == [0.25, 0.5, 0.75]
    assert values(figure)["pairwise recall"] == [0.625] * 3
    assert figure.layout.title.subtitle.text == "diagnostics only, never used in training"


def test_cluster_sizes_compare_the_first_and_the_last_epoch(history: History) -> None:
    figure = cluster_size_bars(history)
    assert values(figure) == {"epoch 1": [12, 31], "epoch 3": [12, 33]}
    assert list(figure.data[0].x) == ["3–4", "5–8"], "empty bins at the ends are left out"


def test_no_sizes_are_drawn_where_none_were_recorded(history: History) -> None:
    bare = [record.model_copy(update={"cluster_sizes": None}) for record in history]
    assert values(cluster_size_bars(bare)) == {}


def test_seconds_are_stacked_and_the_rest_is_other(history: History) -> None:
    figure = seconds_bars(history)
    assert figure.layout.barmode == "stack"
    assert values(figure) == {
        "extraction": [2.0] * 3,
        "clustering": [1.0] * 3,
        "training": [5.0] * 3,
        "other": [0.5] * 3,
    }


def test_cmc_draws_one_curve_per_result_that_has_one(results: list[Metrics]) -> None:
    figure = cmc_curves([*results, make_metrics("no curve", cmc=[])])
    assert [trace.name for trace in figure.data] == ["zero_shot", "unsupervised_pcl"]
    assert list(figure.data[0].x) == [1, 2, 3, 4]
    assert list(figure.data[0].y) == [0.5, 0.625, 0.75, 1.0]


def test_cmc_names_the_seed_where_seeds_differ(results: list[Metrics]) -> None:
    other = results[1].model_copy(update={"seed": 1})
    assert [trace.name for trace in cmc_curves([results[0], other]).data] == [
        "zero_shot, seed 0",
        "unsupervised_pcl, seed 1",
    ]


def test_training_curves_of_a_method_that_does_not_train() -> None:
    assert training_curves([]) == {}
    assert curves_overview([]).layout.annotations[0].text == "This method does not train."


def test_training_curves_leave_out_what_was_not_recorded(history: History) -> None:
    assert list(training_curves(history)) == ["loss", "clusters_and_noise", "cluster_sizes", "agreement", "seconds"]
    absent = dict.fromkeys(("ground_truth", "cluster_sizes", "clusters", "noise_share"))
    bare = [record.model_copy(update={**absent, "seconds": {}}) for record in history]
    assert list(training_curves(bare)) == ["loss"]


def test_overview_has_ari_only_with_ground_truth(history: History) -> None:
    assert values(curves_overview(history))["ARI (diagnostic)"] == [0.25, 0.5, 0.75]
    bare = [record.model_copy(update={"ground_truth": None}) for record in history]
    assert list(values(curves_overview(bare))) == ["loss", "clusters", "noise share (right)"]


def test_epochs_that_start_anew_in_a_second_stage_run_on(history: History) -> None:
    assert list(loss_curves([*history, *history]).data[0].x) == [1, 2, 3, 4, 5, 6]


def test_every_axis_has_a_title_and_figures_are_plain_json(history: History, results: list[Metrics]) -> None:
    for figure in [*training_curves(history).values(), cmc_curves(results)]:
        drawn = json.loads(figure.to_json())
        assert all(axis["title"]["text"] for name, axis in drawn["layout"].items() if name.startswith("yaxis"))
        assert any(axis.get("title") for name, axis in drawn["layout"].items() if name.startswith("xaxis"))
        assert "bdata" not in figure.to_json()


def test_importing_the_room_is_light() -> None:
    code = (
        "import sys, reid_pipeline.reporting; "
        "heavy = {'plotly', 'jinja2', 'PIL', 'torch', 'kedro', 'numpy'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
