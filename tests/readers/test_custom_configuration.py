"""conf/custom: the environment, and the run file with the demo's CLIP."""

import yaml
from published import published

from reid_pipeline.config.loader import LayeredConfigLoader
from reid_pipeline.methods import find_method
from reid_pipeline.schema.parameters import SharedParameters
from reid_pipeline.settings import CONFIG_LOADER_ARGS


def parameters(project, **runtime):
    loader = LayeredConfigLoader(
        conf_source=str(project / "conf"), env="custom", runtime_params=runtime, **CONFIG_LOADER_ARGS
    )
    return loader["parameters"]


def test_the_environment_changes_the_reader_and_nothing_of_the_recipes(project):
    given = parameters(project)
    assert (given["benchmark"], given["ingestion"]["reader"]) == ("custom", "custom")
    for name in ("zero_shot", "unsupervised_pcl"):
        assert given[name] == published(name)


def test_the_run_file_takes_the_demos_network_and_a_small_plan(project):
    run = yaml.safe_load((project / "conf/custom/demo_clip.yml").read_text())["run"]
    assert run.pop("env") == "custom"
    given = parameters(project, **run.pop("params"))
    assert run == {}
    for name in ("zero_shot", "unsupervised_pcl"):
        find_method(name).params.model_validate(given[name])
        assert given[name]["backbone"] == published(name, "synthetic")["backbone"]
        assert given["cells"][name]["variant"] == "demo_clip", "apart from what conf/custom would give"
    plan, recipe = given["unsupervised_pcl"]["plan"], published("unsupervised_pcl")["plan"]
    images = [each["epochs"] * each["iterations_per_epoch"] * each["batch_size"] for each in (plan, recipe)]
    assert images[0] < images[1] / 50, "minutes on a CPU, not days"
    shared = {key: value for key, value in given.items() if key in SharedParameters.model_fields}
    assert SharedParameters.model_validate(shared).benchmark == "custom"


def test_columns_given_on_the_command_line_are_laid_over_none(project):
    assert parameters(project)["ingestion"]["columns"] is None
    given = parameters(project, ingestion={"columns": {"path": "filename"}})
    assert given["ingestion"]["columns"] == {"path": "filename"}
    assert given["cells"]["zero_shot"]["variant"] == "ingestion.columns.path=filename"
    same = parameters(project, ingestion={"columns": {}})
    assert same["cells"]["zero_shot"]["variant"] == "", "no columns are none"
