"""Test images are embedded in float32, whatever the precision of training; and records from before that was so."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_records import make_run

from reid_pipeline.engine.runtime import Runtime, resolve_runtime
from reid_pipeline.evaluation.embedding import embed_test_rows
from reid_pipeline.evaluation.paired_differences import differences_to_best
from reid_pipeline.images.check import check_images
from reid_pipeline.methods import find_method
from reid_pipeline.models.embedder import Embedder
from reid_pipeline.pipelines.method_nodes import MethodNodes
from reid_pipeline.reporting.run_groups import group_runs
from reid_pipeline.schema.addresses import Cell, Cells
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import EXTRACTION, Origin, require_match
from reid_pipeline.schema.parameters import (
    ComputeParameters,
    EvaluationParameters,
    IngestionParameters,
    SplitParameters,
)
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.splits import SplitTables, normalise_splits

CELLS = Cells({"zero_shot": Cell(benchmark="drawn", method="zero_shot", seed=0)})
NODES = MethodNodes(find_method("zero_shot"))
BACKBONE = {"name": "demo-vit", "pretrained": None, "image_size": [32, 16]}
PARAMETERS = NODES.method.params.model_validate({"backbone": BACKBONE})


@pytest.fixture(scope="module")
def tables(drawn_folder, drawn_files) -> SplitTables:
    from reid_pipeline.readers.synthetic import read

    manifest = read(RawFolder(drawn_folder, tuple(drawn_files)), IngestionParameters(reader="synthetic")).manifest
    return normalise_splits(manifest, check_images(drawn_folder, manifest["path"].tolist()), SplitParameters())


@pytest.fixture
def raw(drawn_folder, drawn_files) -> RawFolder:
    return RawFolder(drawn_folder, tuple(drawn_files))


@pytest.fixture(scope="module")
def embedder(tables: SplitTables) -> Embedder:
    torch.manual_seed(0)
    return NODES.build(PARAMETERS, tables.split_table, CELLS, None)[0]


def extracted(
    embedder: Embedder, tables: SplitTables, raw: RawFolder, compute: str, evaluation: EvaluationParameters
) -> Embeddings:
    """The node `zero_shot.extract`."""
    return NODES.extract(
        PARAMETERS,
        embedder,
        tables.split_table,
        tables.galleries,
        raw,
        None,
        None,
        ComputeParameters(device="cpu", precision=compute),
        evaluation,
        CELLS,
    )


def test_embeddings_are_those_of_float32_unless_asked_otherwise(embedder, tables, raw) -> None:
    plain = extracted(embedder, tables, raw, "float32", EvaluationParameters()).vectors
    assert np.array_equal(plain, extracted(embedder, tables, raw, "bfloat16", EvaluationParameters()).vectors)
    low = extracted(embedder, tables, raw, "float32", EvaluationParameters(precision="bfloat16")).vectors
    assert not np.array_equal(plain, low)
    assert np.abs(plain - low).max() < 0.02  # 8 bits of mantissa
    both = extracted(embedder, tables, raw, "bfloat16", EvaluationParameters(precision="auto"))
    assert np.array_equal(low, both.vectors)
    assert both.origin.parameters["compute"] == {"precision": "bfloat16"}
    assert both.origin.parameters["evaluation"]["precision"] == "auto"
    assert np.array_equal(
        plain, extracted(embedder, tables, raw, "auto", EvaluationParameters(precision="auto")).vectors
    )


def test_dev_rows_are_embedded_so_too(embedder, tables, raw) -> None:
    """`embed_test_rows` is what trials of a study and the cross-benchmark matrix call as well."""
    bfloat16 = Runtime(torch.device("cpu"), "bfloat16")
    table = tables.split_table
    table = table.assign(split=table["split"].replace({"query": "dev_query", "gallery": "dev_gallery"}))
    protocol = EvaluationParameters(splits="dev", batch_size=16)
    dev = SplitTables(table, pd.DataFrame({"test_set": [], "repeat": [], "path": []}))
    found = [embed_test_rows(embedder, dev, raw, each, protocol) for each in (bfloat16, Runtime(torch.device("cpu")))]
    assert np.array_equal(found[0].vectors, found[1].vectors)


def test_float16_is_refused_on_the_cpu_by_the_name_of_the_parameter() -> None:
    runtime = resolve_runtime(ComputeParameters(device="cpu"))
    with pytest.raises(UserError, match=r"evaluation\.precision is 'float16', which the CPU does not compute in\. Use"):
        runtime.for_evaluation("float16")
    with pytest.raises(UserError, match=r"compute\.precision is 'float16'"):
        resolve_runtime(ComputeParameters(device="cpu", precision="float16"))


@given(st.sampled_from(("float32", "bfloat16", "float16")), st.sampled_from(("auto", "float32", "bfloat16")))
def test_only_the_precision_changes(compute: str, evaluation: Any) -> None:
    runtime = Runtime(torch.device("cpu"), compute, image_memory=7, image_cache_limit=8, threads=3)
    found = runtime.for_evaluation(evaluation)
    assert found == Runtime(
        torch.device("cpu"),
        compute if evaluation == "auto" else evaluation,
        image_memory=7,
        image_cache_limit=8,
        threads=3,
    )


def test_on_cuda_training_is_mixed_and_the_test_is_not() -> None:
    """What `compute.precision: auto` comes to there; the device itself is not needed for it."""
    runtime = Runtime(torch.device("cuda:0"), "bfloat16")
    assert runtime.for_evaluation(EvaluationParameters().precision) == Runtime(torch.device("cuda:0"), "float32")
    assert runtime.for_evaluation("float16").precision == "float16"


class TestEarlierRecords:
    """What was written before the parameter was there counts as its default."""

    def of_an_earlier_version(self, made: Embeddings) -> Embeddings:
        parameters = made.origin.parameters
        evaluation = {name: value for name, value in parameters["evaluation"].items() if name != "precision"}
        origin = made.origin.replace(parameters={**parameters, "evaluation": evaluation}, file="embeddings.safetensors")
        return Embeddings(made.rows, made.vectors, origin)

    def test_embeddings(self, embedder, tables, raw) -> None:
        made = extracted(embedder, tables, raw, "float32", EvaluationParameters())
        early, other = self.of_an_earlier_version(made), EvaluationParameters(precision="bfloat16")
        present = made.origin.replace(made_by="zero_shot.evaluate")
        for each in (early, made):
            require_match("evaluate", "embeddings", each.origin, present)
            with pytest.raises(UserError) as caught:
                NODES.evaluate(PARAMETERS, each, tables.split_table, tables.galleries, other, CELLS)
            text = str(caught.value)
            assert "parameters.evaluation.precision was 'float32' and is 'bfloat16'" in text
            assert "run the pipeline from node zero_shot.extract (--from-nodes=zero_shot.extract)" in text

    def test_the_parameter_is_one_of_extraction(self) -> None:
        assert "precision" in EXTRACTION
        assert EvaluationParameters().precision == "float32"
        assert Origin(made_by="x", code="1").parameters == {}

    def run(self, seed: int, trained: str, **evaluation: Any) -> Any:
        own = {"recipe": "released"}
        parameters = {
            "seed": seed,
            "compute": {"device": "cpu"},
            "evaluation": {"splits": "test", **evaluation},
            "pcl": own,
        }
        card = {"precision": trained, "parameters": parameters}
        return make_run({"seed": seed, "method": "pcl", "mean_ap": 0.5 + seed / 100}, card, [0.5, 0.5])

    @pytest.mark.parametrize(
        ("first", "second", "apart"),
        [
            (("float32", {}), ("float32", {"precision": "float32"}), False),
            (("float32", {}), ("float32", {"precision": "auto"}), False),
            (("bfloat16", {"precision": "float32"}), ("float32", {"precision": "float32"}), False),
            (("bfloat16", {}), ("bfloat16", {"precision": "auto"}), False),
            (("float32", {}), ("float32", {"precision": "bfloat16"}), True),
            (
                ("bfloat16", {}),
                ("bfloat16", {"precision": "float32"}),
                True,
            ),  # by hand: the earlier version's were bfloat16
        ],
    )
    def test_runs_are_averaged_where_they_were_embedded_alike(self, first: Any, second: Any, apart: bool) -> None:
        groups = group_runs([self.run(0, first[0], **first[1]), self.run(1, second[0], **second[1])])
        assert [group.apart for group in groups] == (
            [
                (f"evaluation.precision {first[1].get('precision', first[0])}",),
                (f"evaluation.precision {second[1]['precision']}",),
            ]
            if apart
            else [()]
        )

    def test_the_queries_of_both_are_the_same(self) -> None:
        (found,) = differences_to_best([self.run(0, "float32"), self.run(1, "float32", precision="bfloat16")])
        assert (found.best is not None, found.why_not) == (True, None)
