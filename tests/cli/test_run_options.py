# ruff: noqa: E501 - a case is a line
"""Names and runners on the command line, compared with what there is, before anything runs."""

import re
from typing import Any

import pytest
from kedro.pipeline import Pipeline

from reid_pipeline.cli.options import require_possible
from reid_pipeline.pipeline_registry import register_pipelines
from reid_pipeline.schema.errors import UserError

NOTHING: dict[str, Any] = dict.fromkeys(
    ("pipelines", "node_names", "from_nodes", "to_nodes", "from_inputs", "to_outputs", "tags", "namespaces"), ()
) | {"runner": None, "runner_params": {}, "is_async": False}  # fmt: skip
PCL = {"pipelines": ["unsupervised_pcl"]}
TABLES = {"pipelines": ["ingestion"]}


@pytest.fixture(scope="module")
def registered() -> dict[str, Pipeline]:
    return register_pipelines()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"pipelines": ["unsupervised_plc"]}, "--pipeline=unsupervised_plc: there is no such pipeline. Did you mean 'unsupervised_pcl'?"),
        ({"pipelines": ["pcl", "zzz"]}, "--pipeline=zzz: there is no such pipeline. Allowed: __default__, baseline, calibrate"),
        (PCL | {"node_names": ["unsupervised_pcl.evalute"]}, "no such node of the pipeline unsupervised_pcl. Did you mean 'unsupervised_pcl.evaluate'?"),
        (PCL | {"node_names": ["extract"]}, "Did you mean 'zero_shot.extract' or 'unsupervised_pcl.extract'?"),
        (PCL | {"from_nodes": ["leaderboard"]}, "--from-nodes=leaderboard: there is no such node"),
        (TABLES | {"to_nodes": ["pcl.extract"]}, "--to-nodes=pcl.extract: there is no such node of the pipeline ingestion. It belongs to pcl: give --pipeline=pcl."),
        (TABLES | {"node_names": ["zzz"]}, "Allowed: check_image_files, make_dataset_page, make_split_table, read_manifest"),
        (PCL | {"from_inputs": ["raw_imges"]}, "--from-inputs=raw_imges: there is no such input of the pipeline unsupervised_pcl. Did you mean 'raw_images'?"),
        (PCL | {"to_outputs": ["leaderboard"]}, "--to-outputs=leaderboard: there is no such output of the pipeline unsupervised_pcl. It belongs to leaderboard"),
        (PCL | {"tags": ["tabels"]}, "--tags=tabels: there is no such tag of the pipeline unsupervised_pcl. Did you mean 'tables'?"),
        ({"pipelines": ["leaderboard"], "tags": ["tables"]}, "It belongs to baseline, clip_reid, pcl, svll_reid, unsupervised_pcl and 4 more"),
        (PCL | {"namespaces": ["unsupervised"]}, "--namespaces=unsupervised: there is no such namespace"),
        ({"node_names": ["leaderbord"]}, "--nodes=leaderbord: there is no such node of the pipeline __default__."),
        (PCL | {"from_nodes": ["unsupervised_pcl.evaluate"], "to_nodes": ["unsupervised_pcl.extract"]}, "No node of the pipeline is selected by --from-nodes and --to-nodes together."),
        (PCL | {"tags": ["tables"], "namespaces": ["zero_shot"]}, "selected by --tags and --namespaces together"),
        (TABLES | {"runner": "ParallelRunner"}, "--runner=ParallelRunner hands nodes to other processes, and those of this project cannot be handed over. Leave --runner out, or give --runner=ThreadRunner"),
        (TABLES | {"runner": "kedro.runner.ParallelRunner"}, "Leave --runner out"),
        (TABLES | {"runner": "SequentailRunner"}, "no such runner. Did you mean 'SequentialRunner'? Allowed: SequentialRunner, ThreadRunner."),
        (TABLES | {"runner": "nothing.Here"}, "--runner=nothing.Here: there is no such runner. Allowed:"),
        (TABLES | {"runner": "."}, "--runner=.: there is no such runner."),
        (TABLES | {"runner": "os.path"}, "--runner=os.path is no runner."),
        (TABLES | {"runner": "AbstractRunner"}, "--runner=AbstractRunner is no runner."),
        (TABLES | {"runner": "Task"}, "--runner=Task is no runner."),
        (TABLES | {"runner_params": {"max_workers": 2}}, "--runner-params: SequentialRunner: got an unexpected keyword argument 'max_workers'. Allowed: is_async."),
        (TABLES | {"runner": "ThreadRunner", "runner_params": {"max_workers": 0}}, "max_workers should be positive"),
        (TABLES | {"runner": "ThreadRunner", "runner_params": {"max_workers": "two"}}, "--runner-params: ThreadRunner: "),
        (PCL | {"is_async": True}, "--async cannot run unsupervised_pcl.train_cluster_contrast: a training saves after every epoch"),
        (PCL | {"runner_params": {"is_async": True}}, "Leave --async out, or give --runner=ThreadRunner."),
        ({"is_async": True}, "--async cannot run"),
    ],
)  # fmt: skip
def test_it_is_refused(registered: dict[str, Pipeline], given: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=re.escape(says)) as caught:
        require_possible(NOTHING | given, registered)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "given",
    [
        {},
        PCL,
        {"pipelines": ["pcl", "leaderboard"]},
        PCL | {"from_nodes": ["unsupervised_pcl.extract"], "to_outputs": ["unsupervised_pcl.metrics"]},
        PCL | {"from_inputs": ["params:compute"]},
        PCL | {"namespaces": ["zero_shot"], "is_async": True},
        {"tags": ["tables"], "is_async": True},
        PCL | {"runner": "ThreadRunner", "is_async": True, "runner_params": {"max_workers": 2}},
        TABLES | {"runner": "kedro.runner.SequentialRunner", "runner_params": {"is_async": True}},
    ],
)
def test_it_may_run(registered: dict[str, Pipeline], given: dict[str, Any]) -> None:
    require_possible(NOTHING | given, registered)
