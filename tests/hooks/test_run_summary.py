"""What a run says at its end is of what its nodes did; and what `--only-missing-outputs` may keep."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.hooks.manager import _create_hook_manager, _register_hooks
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node, pipeline
from kedro.runner import SequentialRunner
from made_records import make_metrics, make_run_card

from reid_pipeline.hooks.cell_checks import OnlyMissing
from reid_pipeline.hooks.run_summary import NodeTimes, RunSummary
from reid_pipeline.io.entries import entry
from reid_pipeline.io.records import RecordDataset
from reid_pipeline.io.weights import TrainingStateDataset
from reid_pipeline.methods import find_method
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.layers import CELLS
from reid_pipeline.schema.parameters import (
    ComputeParameters,
    EvaluationParameters,
    IngestionParameters,
    SplitParameters,
)
from reid_pipeline.schema.records import Metrics

pytestmark = pytest.mark.filterwarnings("ignore:One or more dataset names contain")
BACKBONE = {"name": "demo-vit", "pretrained": "demo", "image_size": [96, 48]}


def metrics(method: str, mean_ap: float) -> Metrics:
    return make_metrics(method, mean_ap, benchmark="b")


def zero_shot() -> Any:
    return find_method("zero_shot").params.model_validate({"backbone": BACKBONE})


@pytest.fixture
def catalog(tmp_path: Path) -> DataCatalog:
    """Files of an earlier run of `zero_shot`, and parameters that are in force."""
    shared = {
        "ingestion": IngestionParameters(reader="synthetic"),
        "splits": SplitParameters(),
        "evaluation": EvaluationParameters(),
        "compute": ComputeParameters(device="cpu", precision="float32"),
        "zero_shot": zero_shot(),
    }
    kinds = {"zero_shot_metrics": "Metrics", "pcl.metrics": "Metrics"}
    kinds |= {"zero_shot.run_card": "RunCard", "pcl.run_card": "RunCard"}
    found = DataCatalog(
        {name: RecordDataset(filepath=str(tmp_path / f"{name}.json"), record=kind) for name, kind in kinds.items()}
        | {f"params:{name}": MemoryDataset(value) for name, value in shared.items()}
        | {"parameters": MemoryDataset({CELLS: {"zero_shot": {"benchmark": "b", "method": "zero_shot", "seed": 0}}})}
        | {"zero_shot.toy_state": TrainingStateDataset(filepath=str(tmp_path / "toy_state.pt"))}
    )
    found.save("zero_shot_metrics", metrics("zero_shot", 0.25))
    recorded = {name: value.model_dump(mode="json") for name, value in shared.items()}
    card = {"started": "2026-01-02T03:04:05Z", "precision": "float32", "parameters": recorded}
    found.save("zero_shot.run_card", make_run_card("zero_shot", **card))
    return found


def run(nodes: Pipeline, catalog: DataCatalog, *hooks: Any, **run_params: Any) -> None:
    manager = _create_hook_manager()
    _register_hooks(manager, hooks or (RunSummary(),))
    names = {"run_params": run_params, "pipeline": nodes, "catalog": catalog}
    manager.hook.before_pipeline_run(**names)
    result = SequentialRunner().run(nodes, catalog, manager, **run_params)
    manager.hook.after_pipeline_run(run_result=result, **names)


def measuring(name: str, method: str, mean_ap: float) -> Any:
    return node(lambda: metrics(method, mean_ap), None, name, name=f"evaluate_{method}")


def nothing(*_: Any) -> dict[str, Any]:
    return {}


def writing(method: str, name: str) -> Pipeline:
    return pipeline([node(nothing, None, name, name=name)], namespace=method)


def reporting() -> Any:
    return node(nothing, ["pcl.metrics", "zero_shot_metrics"], "page", name="report")


ZERO_SHOT = "zero_shot_metrics", "zero_shot", 0.5


class TestRunSummary:
    def test_figures_are_those_that_this_run_measured(
        self, catalog: DataCatalog, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def overwrite(_: Any) -> int:
            entry(catalog, "pcl.metrics", RecordDataset).save(metrics("pcl", 0.375))
            return 1

        nodes = [measuring(*ZERO_SHOT), measuring("pcl.metrics", "pcl", 0.75), reporting()]
        run(pipeline([*nodes, node(overwrite, "page", "zz", name="another_run")]), catalog)
        printed = capsys.readouterr().out
        assert re.search(r"b, seed 0: .* measured in this run", printed)
        assert re.search(r"zero_shot +50\.0 .*\npcl +75\.0 ", printed)
        assert "37.5" not in printed
        assert re.search(r"\nwrote   \S+/(pcl|zero_shot_)\S*metrics\.json and 1 more\nnext    kedro run --", printed)

    def test_what_was_measured_earlier_is_called_so(
        self, catalog: DataCatalog, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run(pipeline([measuring("pcl.metrics", "pcl", 0.75), reporting()]), catalog)
        printed = capsys.readouterr().out
        assert re.search(r"zero_shot \(measured earlier\) +25\.0 .*\npcl +75\.0 ", printed)
        assert re.search(r"difference, points +\+50\.0", printed)
        assert re.search(r"wrote   \S+/pcl\.metrics\.json\n", printed)

    def test_a_run_that_measured_nothing_shows_no_figures(
        self, catalog: DataCatalog, capsys: pytest.CaptureFixture[str]
    ) -> None:
        catalog.save("pcl.metrics", metrics("pcl", 0.75))
        run(pipeline([reporting()]), catalog)
        printed = capsys.readouterr().out
        assert "measured" not in printed
        assert "wrote" not in printed

    def test_the_run_before_is_forgotten(self, catalog: DataCatalog, capsys: pytest.CaptureFixture[str]) -> None:
        summary = RunSummary()
        run(pipeline([measuring(*ZERO_SHOT)]), catalog, summary)
        run(pipeline([node(lambda: 1, None, "zz", name="n")]), catalog, summary)
        assert capsys.readouterr().out.count("measured in this run") == 1

    @pytest.mark.parametrize("card", ["whole", "half", "none"])
    def test_a_run_that_had_nothing_to_do_says_so(
        self, catalog: DataCatalog, capsys: pytest.CaptureFixture[str], card: str
    ) -> None:
        file = Path(str(catalog.get("zero_shot.run_card")._filepath))  # type: ignore[union-attr]
        if card != "whole":
            file.write_text(file.read_text()[:20])
        nodes = pipeline([measuring(*ZERO_SHOT)])
        run(nodes if card == "none" else nodes + writing("zero_shot", "run_card"), catalog, only_missing_outputs=True)
        printed = " ".join(capsys.readouterr().out.split())
        made = " (zero_shot by the run that started 2026-01-02T03:04:05Z)"
        by = f", made earlier{made}" if card == "whole" else ""
        assert f"Nothing ran and nothing was written: all outputs are there already{by}. To make" in printed
        assert "without --only-missing-outputs" in printed
        assert "measured in this run" not in printed
        assert "wrote" not in printed


class TestOnlyMissing:
    def check(self, catalog: DataCatalog, *others: Any, asked: bool = True) -> None:
        nodes = sum(others, writing("zero_shot", "run_card") + writing("pcl", "run_card"))
        OnlyMissing().before_pipeline_run({"only_missing_outputs": asked}, nodes, catalog)

    def recorded(self, catalog: DataCatalog) -> tuple[Path, Any]:
        file = Path(str(catalog.get("zero_shot.run_card")._filepath))  # type: ignore[union-attr]
        return file, json.loads(file.read_text())

    def test_the_same_parameters_pass(self, catalog: DataCatalog) -> None:
        self.check(catalog)

    @pytest.mark.parametrize(
        ("where", "value", "says"),
        [
            (("zero_shot", "backbone", "pretrained"), "other", r"zero_shot\.backbone\.pretrained 'other', and"),
            (("splits", "seed"), 7, r"splits\.seed 7, and this run asks for 0"),
            (("ingestion", "reader"), "x", r"ingestion\.reader 'x', and this run asks for 'synthetic'"),
            (("evaluation", "gone"), 1, r"evaluation\.gone 1, and this run asks for 'nothing'"),
        ],
    )
    def test_other_parameters_are_named(
        self, catalog: DataCatalog, where: tuple[str, ...], value: Any, says: str
    ) -> None:
        file, card = self.recorded(catalog)
        place = card["parameters"]
        for name in where[:-1]:
            place = place[name]
        place[where[-1]] = value
        file.write_text(json.dumps(card))
        with pytest.raises(UserError, match=rf"^zero_shot was made with {says}.*leave out --only-missing"):
            self.check(catalog)
        self.check(catalog, asked=False)

    def test_a_card_of_before_a_parameter_had_its_default(self, catalog: DataCatalog) -> None:
        file, card = self.recorded(catalog)
        del card["parameters"]["ingestion"]["columns"], card["parameters"]["evaluation"]["resamples"]
        file.write_text(json.dumps(card))
        self.check(catalog)
        given = IngestionParameters(reader="synthetic", columns={"pid": "individual"})
        catalog.save("params:ingestion", given)
        with pytest.raises(UserError, match=r"ingestion\.columns\.pid 'nothing', and this run asks for 'ind"):
            self.check(catalog)

    def test_another_precision_is_named(self, catalog: DataCatalog) -> None:
        file, card = self.recorded(catalog)
        file.write_text(json.dumps({**card, "precision": "bfloat16"}))
        with pytest.raises(UserError, match=r"precision 'bfloat16', and this run asks for 'float32'"):
            self.check(catalog)

    def test_a_card_that_cannot_be_read_tells_nothing(self, catalog: DataCatalog) -> None:
        file, _ = self.recorded(catalog)
        for content in ("{", "[]", "{}"):
            file.write_text(content)
            self.check(catalog)

    def test_an_unfinished_training_is_not_taken_for_a_finished_one(self, catalog: DataCatalog) -> None:
        train = writing("zero_shot", "toy_state")
        self.check(catalog, train)
        catalog.get("zero_shot.toy_state").save({"epoch": 1})  # type: ignore[union-attr]
        with pytest.raises(UserError, match=r"training unfinished \(.*toy_state\.pt\).*Leave the option out"):
            self.check(catalog, train)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_line_per_node_with_its_time(caplog: pytest.LogCaptureFixture, is_async: bool) -> None:
    """Asynchronous loading and saving calls the hooks in threads of a pool."""

    def slow(_: int) -> tuple[int, int]:
        time.sleep(0.1)
        return 1, 2

    nodes = pipeline([node(slow, "a", ["b", "c"], name="first"), node(slow, "b", ["d", "e"], name="second")])
    hooks = _create_hook_manager()
    _register_hooks(hooks, [NodeTimes()])
    hooks.hook.before_pipeline_run(run_params={}, pipeline=nodes, catalog=None)
    with caplog.at_level("INFO", logger="reid_pipeline"):
        catalog = DataCatalog({"a": MemoryDataset(1)})
        SequentialRunner(is_async=is_async).run(nodes, catalog, hook_manager=hooks)
        hooks.hook.after_pipeline_run(run_params={}, run_result={}, pipeline=nodes, catalog=catalog)
    lines = [record.getMessage() for record in caplog.records if record.name == "reid_pipeline.hooks.run_summary"]
    assert lines == ["first done in 0.1 s", "second done in 0.1 s"]
