"""A collection of one's own on a machine without GPU or weights: one sentence, with the command that runs there."""

from types import SimpleNamespace

import pytest
from project_copy import ROOT

from reid_pipeline.hooks import model_checks
from reid_pipeline.hooks.small_offer import small_command, wants_offer
from reid_pipeline.models.published_weights import AbsentWeights
from reid_pipeline.schema.errors import UserError

CONF = ROOT / "conf"
RUN = {
    "pipeline_names": ["unsupervised_pcl"],
    "env": "custom",
    "runtime_params": {"collection": "zoo", "raw_root": "my zoo", "backbone": {"image_size": [64, 64]}, "seed": 1},
}
COMMAND = (
    "kedro run --pipeline=unsupervised_pcl --env=custom --params='collection=zoo,raw_root=my zoo,seed=1,overlay=small'"
)
VIT = SimpleNamespace(backbone=SimpleNamespace(name="ViT-B-16-quickgelu"))


def test_the_command_is_the_same_run_with_the_overlay():
    assert small_command(RUN, CONF) == COMMAND
    own = {"pcl": {"backbone": {"name": "RN50"}, "plan": {"epochs": 3}}, "overlay": "rn50"}
    found = small_command({**RUN, "pipeline_names": ["__default__"], "runtime_params": own}, CONF)
    assert found == "kedro run --env=custom --params=pcl.plan.epochs=3,overlay=small"


def test_conf_without_the_overlay_has_no_offer(tmp_path):
    assert small_command(RUN, tmp_path) == ""


def test_it_is_for_plans_of_one_s_own_data():
    assert wants_offer({"plan": "auto", "overlay": None})
    assert not wants_offer({"plan": None, "overlay": None})
    assert not wants_offer({"plan": "auto", "overlay": "small"})


@pytest.fixture
def without_weights(monkeypatch):
    def build(given, catalog):
        raise AbsentWeights("The weights 'openai' are not in the cache.")

    monkeypatch.setattr(model_checks, "_build", build)


def refused(**options):
    with pytest.raises(UserError) as caught:
        model_checks.check_models({"unsupervised_pcl": VIT}, SimpleNamespace(), **options)
    return str(caught.value)


@pytest.mark.usefixtures("without_weights")
def test_without_gpu_and_network_a_sentence_offers_it():
    sentence, rest = refused(on_cpu=True, command=COMMAND).split(f"{COMMAND}. ")
    assert sentence == (
        "There is neither a GPU nor a way to the weights of ViT-B-16-quickgelu here; the small CLIP that ships with"
        " this project needs no download and trains on a CPU: "
    )
    assert rest == "The weights 'openai' are not in the cache."
    assert refused(on_cpu=False, command=COMMAND).startswith(
        "There is no way to the weights of ViT-B-16-quickgelu here;"
    )
    assert refused(on_cpu=True, command="") == "The weights 'openai' are not in the cache."


def test_without_a_gpu_a_training_is_warned_of(monkeypatch, caplog):
    monkeypatch.setattr(model_checks, "_build", lambda *_: None)

    def lines(method="unsupervised_pcl", name="ViT-B-16-quickgelu", *, on_cpu=True, command=COMMAND):
        caplog.clear()
        given = {method: SimpleNamespace(backbone=SimpleNamespace(name=name))}
        model_checks.check_models(given, SimpleNamespace(), on_cpu=on_cpu, command=command)
        return [record.getMessage() for record in caplog.records]

    (line,) = lines()
    assert line.startswith("There is no GPU here, and ViT-B-16-quickgelu will train on the CPU")
    assert line.endswith(f"{COMMAND}.")
    assert lines(method="zero_shot") == lines(name="demo-vit") == lines(on_cpu=False) == lines(command="") == []
