"""A precision that the device does not have is refused before any work."""

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import node, pipeline

from reid_pipeline.hooks.preflight import Preflight
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import ComputeParameters, EvaluationParameters


@pytest.mark.parametrize(
    ("compute", "evaluation", "named"),
    [
        ("float32", "float16", r"evaluation\.precision is 'float16'"),
        ("float16", "float32", r"compute\.precision is 'float16'"),
        ("bfloat16", "auto", None),
        ("float32", "bfloat16", None),
    ],
)
def test_before_the_run(compute: str, evaluation: str, named: str | None) -> None:
    read = {
        "params:compute": ComputeParameters(device="cpu", precision=compute),
        "params:evaluation": EvaluationParameters(precision=evaluation),
    }
    catalog = DataCatalog({name: MemoryDataset(value) for name, value in read.items()})
    run = pipeline([node(lambda compute, evaluation: (compute, evaluation), [*read], "results", name="both")])
    if named is None:
        Preflight().before_pipeline_run({}, run, catalog)
    else:
        with pytest.raises(UserError, match=rf"{named}, which the CPU does not compute in\. Use 'float32'"):
            Preflight().before_pipeline_run({}, run, catalog)
