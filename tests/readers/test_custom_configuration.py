"""conf/custom: the environment. Its plans: tests/config/test_auto_plan_layers.py."""

from published import published

from reid_pipeline.config.loader import LayeredConfigLoader
from reid_pipeline.settings import CONFIG_LOADER_ARGS


def parameters(project, **runtime):
    loader = LayeredConfigLoader(
        conf_source=str(project / "conf"), env="custom", runtime_params=runtime, **CONFIG_LOADER_ARGS
    )
    return loader["parameters"]


def test_the_environment_changes_the_reader_and_of_the_recipes_the_plan_alone(project):
    given = parameters(project)
    assert (given["benchmark"], given["ingestion"]["reader"]) == ("custom", "custom")
    assert given["zero_shot"] == published("zero_shot")
    found, recipe = given["unsupervised_pcl"], published("unsupervised_pcl")
    differing = {name for name, value in found["plan"].items() if value != recipe["plan"][name]}
    assert differing <= {name.removeprefix("plan.") for name in given["cells"]["unsupervised_pcl"]["auto"]}
    own = {"plan": None, "recipe": None}
    assert {**found, **own} == {**recipe, **own}
    assert (found["recipe"], recipe["recipe"]) == ("own_data", "released")


def test_columns_given_on_the_command_line_are_laid_over_none(project):
    assert parameters(project)["ingestion"]["columns"] is None
    given = parameters(project, ingestion={"columns": {"path": "filename"}})
    assert given["ingestion"]["columns"] == {"path": "filename"}
    assert given["cells"]["zero_shot"]["variant"] == "ingestion.columns.path=filename"
    same = parameters(project, ingestion={"columns": {}})
    assert same["cells"]["zero_shot"]["variant"] == "", "no columns are none"
