"""What counts as the user's mistake, what the command line says of it, and the checks before a run."""

import re
import subprocess
import sys
import warnings
from io import BytesIO, TextIOWrapper
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner
from kedro.config import MissingConfigException
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import KedroCliError
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.pipeline import node, pipeline
from kedro.validation import DataValidationError, ParameterValidationError

from reid_pipeline.cli import cli
from reid_pipeline.hooks.preflight import Preflight
from reid_pipeline.io.initial import InitialModelDataset
from reid_pipeline.io.raw import RawFolderDataset
from reid_pipeline.methods import method_names
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import ComputeParameters, IngestionParameters
from reid_pipeline.settings import CONFIG_LOADER_ARGS
from reid_pipeline.user_errors import user_error_text

DRAWINGS: dict[str, dict[str, int]] = {"people": {}, "vehicles": {}, "animals": {}}


def raised(*errors: BaseException, implicit: bool = False) -> BaseException:
    """The first of `errors`, each caused by the next, as `raise ... from ...` leaves them."""
    inner = errors[-1]
    for outer in reversed(errors[:-1]):
        try:
            try:
                raise inner
            except BaseException as caught:
                if implicit:
                    raise outer  # noqa: B904 - the implicit chain is what is made here
                raise outer from caught
        except BaseException as caught:
            inner = caught
    return inner


class TestMistakeIn:
    def test_a_user_error_itself(self):
        assert user_error_text(UserError("give a folder")) == "give a folder"

    @pytest.mark.parametrize("implicit", [False, True])
    def test_a_user_error_deep_in_the_chain(self, implicit):
        chain = raised(
            RuntimeError("node failed"),
            DatasetError("Failed while loading"),
            UserError("Raw folder x is empty"),
            KeyError("inner"),
            implicit=implicit,
        )
        assert user_error_text(chain) == "Raw folder x is empty"

    def test_the_outermost_of_two(self):
        assert user_error_text(raised(UserError("outer"), UserError("inner"))) == "outer"

    @pytest.mark.parametrize(
        "error", [ParameterValidationError("seed: -1"), DataValidationError("column pid")], ids=type
    )
    def test_kedros_validation(self, error):
        assert user_error_text(raised(RuntimeError("x"), error)) == str(error)

    @pytest.mark.parametrize(
        "error",
        [
            ValueError("Failed to find the pipeline named 'x'"),
            RuntimeError("out of memory"),
            KeyError("pid"),
            raised(DatasetError("Failed while loading"), FileNotFoundError("x")),
            KedroCliError("Failed to find the pipeline named 'x'"),
        ],
    )
    def test_a_fault_of_the_program_is_none(self, error):
        assert user_error_text(error) is None


class TestRun:
    @pytest.fixture
    def asked(self, monkeypatch):
        """What Kedro's own run is called with; `asked.fails` is raised."""
        asked = SimpleNamespace(options=None, fails=None)
        monkeypatch.setattr("reid_pipeline.cli.command.pipelines", {})  # an earlier test may have found them

        def callback(**options):
            asked.options = options
            if asked.fails is not None:
                raise asked.fails

        monkeypatch.setattr(kedro_run, "callback", callback)
        return asked

    def test_both_words_are_the_same(self, asked):
        seen = []
        for words in (["--pipeline=zero_shot"], ["-p", "zero_shot"], ["--pipelines=zero_shot"]):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                result = CliRunner().invoke(cli, ["run", *words])
            assert (result.exit_code, result.output) == (0, "")
            seen.append(asked.options)
        assert seen[0] == seen[1] == seen[2]
        assert seen[0]["pipelines"] == ["zero_shot"]
        assert seen[0]["pipeline"] is None

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (["--pipeline=a", "--pipelines=b,c"], "--pipeline is given 2 times, and only the last would count"),
            (["--params=seed=1", "--params", "seed=2"], "--params is given 2 times"),
            (["--pipeline="], "--pipeline= is empty"),
            (["--tags=,"], "--tags= is empty"),
            (["--nodes="], "--nodes= is empty"),
        ],
    )
    def test_what_would_be_dropped_or_select_nothing(self, asked, words, says):
        result = CliRunner().invoke(cli, ["run", *words])
        assert (result.exit_code, says in result.stderr) == (1, True), result.output
        assert not hasattr(asked, "options") or not asked.options

    def test_everything_else_goes_through(self, asked):
        CliRunner().invoke(cli, ["run", "--env=market1501", "--params", "seed=3,compute.device=cpu", "--tags=x"])
        assert asked.options["env"] == "market1501"
        assert asked.options["params"] == {"seed": 3, "compute": {"device": "cpu"}}
        assert asked.options["tags"] == ("x",) or list(asked.options["tags"]) == ["x"]
        assert {option.name for option in kedro_run.params} == set(asked.options)

    def test_a_mistake_is_one_message_and_status_1(self, asked):
        asked.fails = raised(RuntimeError("node failed"), UserError("Raw folder x is empty."))
        result = CliRunner().invoke(cli, ["run"])
        assert result.exit_code == 1
        assert result.output == "Error: Raw folder x is empty.\n"

    def test_a_fault_keeps_its_traceback(self, asked):
        asked.fails = KeyError("pid")
        result = CliRunner().invoke(cli, ["run"])
        assert result.exception is asked.fails

    def test_kedros_own_messages_stay(self, asked):
        asked.fails = click.UsageError("no such option")
        assert CliRunner().invoke(cli, ["run"]).exit_code == 2


@pytest.mark.slow
def test_the_installed_command_is_quiet_with_both_words(project):
    """A pipeline that is not there: the cheapest real run. Same words, no warning, no traceback, status 1."""
    seen = []
    for word in ("--pipeline=zero_sho", "--pipelines=zero_sho"):
        command = [sys.executable, "-m", "kedro", "run", word]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=120)
        assert done.returncode == 1
        text = done.stdout + done.stderr
        assert not re.search(r"(?i)deprecat|traceback", text)
        seen.append(text.splitlines()[-1])
    assert seen == ["Error: --pipeline=zero_sho: there is no such pipeline. Did you mean 'zero_shot'?"] * 2


GIVEN = {
    "benchmark": "b",
    "seed": 0,
    "compute": {},
    "ingestion": {"reader": "market1501"},
    "splits": {},
    "evaluation": {},
    "report": {},
    "zero_shot": {"backbone": {"name": "demo-vit"}},
}


class Loader(dict):
    """What Preflight reads of Kedro's config loader."""

    def __init__(self, parameters, *, seed=None, runtime_params=None):
        super().__init__(parameters=parameters, globals={"seed": seed})
        self.runtime_params = runtime_params

    def found(self, *_):
        return ""  # there are no files


class Missing(dict):
    def __getitem__(self, key):
        raise MissingConfigException("no conf")


class TestPreflight:
    def context(self, **changes):
        parameters = {**GIVEN, **changes}
        return SimpleNamespace(config_loader=Loader(parameters, seed=parameters.get("seed")))

    def test_good_parameters_pass(self):
        Preflight().after_context_created(self.context())

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"zero_shto": {}}, "zero_shto: unknown. Did you mean 'zero_shot'?"),
            ({"sead": 1}, "conf/: unknown parameter 'sead'. Did you mean 'seed'?"),
            ({"seed": -1}, "seed: Input should be greater than or equal to 0; given -1."),
            ({"compute": {"device": "gpu"}}, "compute.device: String should match pattern"),
            ({"splits": {"dev_fration": 0.1}}, "splits: unknown parameter 'dev_fration'. Did you mean 'dev_fra"),
            ({"zero_shot": {}}, "zero_shot.backbone: Field required"),
            ({"zero_shot": {"backbone": {"nam": "x"}}}, "zero_shot.backbone: unknown parameter 'nam'. Did"),
            (
                {"pretrain_demo_clip": {"drawings": {"people": {}, "vehicles": {}, "animals": {}}, "contrast": 3}},
                "pretrain_demo_clip.contrast: Input",
            ),
            ({"backbone": {"nam": "x"}}, "backbone: unknown parameter 'nam'. Did you mean 'name'?"),
            ({"backbone": {"image_size": [0, 8]}}, "backbone.image_size.0: Input should be greater than"),
            ({"backbone": {"pretrained": "w/none.pt"}}, "backbone.pretrained: no checkpoint file at 'w/none"),
            ({"backbone": 5}, "backbone: Input should be a valid dictionary"),
            (
                {"backbone": {"sie": False}},
                "backbone.sie: Input should be 'none', 'camera', 'view' or 'both'; given False, which",
            ),
            (
                {"zero_shot": {"backbone": {"name": "x"}, "clustering": {}}},
                "zero_shot: unknown parameter 'clustering'. Allowed",
            ),
            ({"epochs": 3}, "conf/: unknown parameter 'epochs'. Allowed"),
            ({"compute": {"device": "x" * 1000}}, "compute.device: String should match pattern"),
        ],
    )
    def test_a_wrong_one_is_told(self, changes, says):
        with pytest.raises(UserError, match=re.escape(f"Parameter {says}")) as caught:
            Preflight().after_context_created(self.context(**changes))
        assert str(caught.value).count("Parameter ") == 1, "one mistake, one line"
        assert len(str(caught.value)) < 500

    def test_where_a_parameter_of_that_name_is(self):
        with pytest.raises(UserError, match=r"There is unsupervised_pcl\.clustering\.$"):
            Preflight().after_context_created(self.context(zero_shot={"backbone": {"name": "x"}, "clustering": {}}))
        with pytest.raises(UserError, match=r"There is baseline\.plan\.epochs, .* and \d more\.$"):
            Preflight().after_context_created(self.context(epochs=3))

    def test_what_is_wrong_in_the_shared_backbone_is_not_repeated_for_each_method(self):
        wrong = {"backbone": {"name": "x", "sie": "on"}}
        with pytest.raises(UserError) as caught:
            Preflight().after_context_created(self.context(**wrong, zero_shot=wrong, pcl={**wrong, "recipe": 3}))
        names = [line.split(":")[0] for line in str(caught.value).splitlines()]
        assert names.count("Parameter backbone.sie") == 1
        assert "Parameter zero_shot.backbone.sie" not in names
        assert "Parameter pcl.recipe" in names

    @pytest.mark.parametrize(("variant", "warned"), [("", True), ("mine", False)])
    def test_a_variant_without_effect_is_said(self, caplog, variant, warned):
        cell = {"benchmark": "b", "method": "zero_shot", "variant": variant, "seed": 0, "differs": {}}
        catalog = DataCatalog({"parameters": MemoryDataset({"variant": "mine", "cells": {"zero_shot": cell}})})
        for namespace, counts in (("zero_shot", True), ("pcl", False)):
            caplog.clear()
            Preflight().before_pipeline_run(
                {}, pipeline([node(lambda _: 1, "x", "y", name="n")], namespace=namespace), catalog
            )
            found = "variant=mine has no effect: the parameters of zero_shot are those of conf/" in caplog.text
            assert found == (warned and counts)

    NAMES = ("raw_root", "synthetic", "method", "study", "tuned", "variant", "overlay")

    @pytest.mark.parametrize("name", NAMES)
    def test_what_only_the_catalog_reads_is_refused_in_conf_and_taken_from_the_command_line(self, name):
        given = {"raw_root": "folder", "synthetic": {"seed": 1}}
        given |= {"method": "pcl", "study": "short", "tuned": "pcl", "variant": "mine", "overlay": "rn50"}
        parameters = {**GIVEN, name: given[name]}
        with pytest.raises(UserError, match=rf"Parameter {name} stands in conf/.*--params {name}="):
            Preflight().after_context_created(SimpleNamespace(config_loader=Loader(parameters, seed=0)))
        loader = Loader(parameters, seed=0, runtime_params={name: given[name]})
        Preflight().after_context_created(SimpleNamespace(config_loader=loader))

    def test_a_collection_is_of_ones_own_images(self):
        given = {**GIVEN, "collection": "zoo"}
        runtime = {"collection": "zoo"}
        with pytest.raises(UserError, match=r"collection is 'zoo', and this environment reads market1501: .*custom"):
            Preflight().after_context_created(
                SimpleNamespace(config_loader=Loader(given, seed=0, runtime_params=runtime))
            )
        given["ingestion"] = {"reader": "custom"}
        loader = Loader(given, seed=0, runtime_params=runtime)
        Preflight().after_context_created(SimpleNamespace(config_loader=loader))

    def test_a_seed_that_differs_from_the_one_in_the_paths_is_refused(self):
        loader = Loader({**GIVEN, "seed": 3}, seed=0)
        with pytest.raises(UserError, match=r"Parameter seed is 3 and globals\.yml says 0"):
            Preflight().after_context_created(SimpleNamespace(config_loader=loader))
        loader.runtime_params = {"seed": 3}
        Preflight().after_context_created(SimpleNamespace(config_loader=loader))

    def test_all_mistakes_are_told_at_once(self):
        with pytest.raises(UserError) as caught:
            Preflight().after_context_created(
                self.context(zero_shot={}, seed=-1, compute={"device": "gpu", "threads": -1})
            )
        names = [line.split(":")[0] for line in str(caught.value).splitlines()]
        assert names == [
            f"Parameter {name}" for name in ("zero_shot.backbone", "seed", "compute.device", "compute.threads")
        ]

    @pytest.mark.parametrize(("made", "says"), [(False, "does not exist"), (True, "is empty")])
    def test_a_raw_folder_that_cannot_be_read_stops_before_the_run(self, tmp_path, made, says):
        if made:
            (tmp_path / "raw").mkdir()
        nodes = pipeline([node(lambda _: 1, "raw_images", "out", name="n")])
        catalog = DataCatalog({"raw_images": RawFolderDataset(filepath=str(tmp_path / "raw"))})
        with pytest.raises(UserError, match=says):
            Preflight().before_pipeline_run({}, nodes, catalog)

    def test_a_project_without_parameters_is_not_our_business(self):
        Preflight().after_context_created(SimpleNamespace(config_loader=Missing()))

    def test_an_absent_device_stops_before_the_run(self, monkeypatch):
        import torch

        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        nodes = pipeline([node(lambda _: 1, "params:compute", "out", name="n")])
        catalog = DataCatalog({"params:compute": MemoryDataset(ComputeParameters(device="cuda:7"))})
        with pytest.raises(UserError, match=r"compute\.device is 'cuda:7'"):
            Preflight().before_pipeline_run({}, nodes, catalog)

    def test_weights_that_do_not_load_stop_before_the_run(self, tmp_path):
        from reid_pipeline.methods import find_method

        (tmp_path / "clip.pt").write_bytes(b"no weights")
        backbone = {"name": "demo-vit", "pretrained": str(tmp_path / "clip.pt"), "image_size": [96, 48]}
        parameters = find_method("zero_shot").params.model_validate({"backbone": backbone})
        nodes = pipeline([node(lambda _: 1, "params:zero_shot", "out", name="n")])
        datasets = {"params:zero_shot": MemoryDataset(parameters), "initial_model": InitialModelDataset()}
        catalog = DataCatalog(datasets)
        with pytest.raises(UserError, match=re.escape(str(tmp_path / "clip.pt"))):
            Preflight().before_pipeline_run({}, nodes, catalog)


class TestNamesOnTheCommandLine:
    @pytest.fixture
    def params(self, monkeypatch):
        """What `kedro run` with these words is called with."""

        def parsed(*words):
            seen = {}
            monkeypatch.setattr(kedro_run, "callback", lambda **options: seen.update(options))
            result = CliRunner().invoke(cli, ["run", *words])
            return result, seen.get("params")

        return parsed

    @pytest.mark.parametrize("name", ["raw_root", "collection", "variant", "overlay", "method", "study", "tuned"])
    @pytest.mark.parametrize("value", ["2024_10", "007", "on", "My #2", "~", "1e5", "null", "a=b", "{x}", "${y}"])
    def test_they_are_text(self, params, name, value):
        assert params("--params", f"seed=3,{name}={value}")[1] == {"seed": 3, name: value}

    def test_everything_else_is_as_kedro_reads_it(self, params):
        typed = "pcl.plan.epochs=3, compute.device=cpu,pcl.backbone.pretrained=null,ingestion.variant=007"
        assert params("--params", typed)[1] == {
            "pcl": {"plan": {"epochs": 3}, "backbone": {"pretrained": None}},
            "compute": {"device": "cpu"},
            "ingestion": {"variant": 7},
        }
        assert params("--params", "")[1] == {}
        assert params("--params", "seed")[0].exit_code == 1

    def test_a_file_gives_options_and_lists(self, params, tmp_path):
        file = tmp_path / "run.yml"
        file.write_text('run: {pipelines: [pcl, baseline], params: {collection: "north,south", seed: 1e0}}')
        result, given = params(f"--config={file}")
        assert (result.exit_code, given) == (0, {"collection": "north,south", "seed": 1.0})
        assert params(f"--config={file}", "--params=seed=3")[1] == {"seed": 3}

    @pytest.mark.parametrize(
        ("typed", "folder"),
        [
            ("raw_root=/a,b", "/a,b"),
            ("raw_root=/Doe, John/x ", "/Doe, John/x"),
            ("raw_root=/a,b-c=d", "/a,b-c=d"),
            ("raw_root=/a=1,b,c ,seed=3", "/a=1,b,c"),
            ("seed=3 , raw_root = ~/a, b,collection=zoo", "~/a, b"),
            ("raw_root=/a,", "/a"),
        ],
    )
    def test_a_folder_goes_on_to_the_next_parameter(self, params, typed, folder):
        found = params("--params", typed)[1]
        assert found.pop("raw_root") == folder
        assert found in ({}, {"seed": 3}, {"seed": 3, "collection": "zoo"})

    def test_what_the_terminal_cannot_write_is_escaped(self, monkeypatch):
        narrow = TextIOWrapper(BytesIO(), encoding="ascii")
        monkeypatch.setattr("sys.stdout", narrow)
        monkeypatch.setattr(kedro_run, "callback", lambda **_: sys.stdout.write("zoo ü\n"))
        monkeypatch.setattr("reid_pipeline.cli.command.pipelines", {})
        cli.commands["run"].callback(pipeline=None, pipelines=[])
        narrow.flush()
        assert narrow.buffer.getvalue() == b"zoo \\xfc\n"

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            ("- a", "holds a list, and must map names to values"),
            ("params: {seed: 1}", "must hold run: and, below it, options such as env: and params:. It holds params."),
            ("run: 5", "It holds run, without options."),
            ("", "It holds nothing."),
            ("run: [\n", "cannot be read as YAML: line 2, column 1"),
            ("run: {pipelin: pcl}", "run: pipelin: there is no such option. Did you mean 'pipeline'?"),
            ("run: {params: [a]}", "--params takes <name>=<value>,<name>=<value>, and `a` is none."),
        ],
    )
    def test_a_file_that_is_wrong(self, params, tmp_path, content, says):
        (tmp_path / "run.yml").write_text(content)
        result, given = params(f"--config={tmp_path / 'run.yml'}")
        assert (result.exit_code, given) == (1, None)
        assert says in result.stderr

    def test_an_unknown_option_has_its_neighbour(self, params):
        result, _ = params("--parms=seed=1")
        assert result.exit_code == 2
        assert "No such option" in result.stderr
        assert "--params" in result.stderr

    def test_kedros_own_errors_are_one_line_on_the_right_stream(self, params):
        result, _ = params("--load-versions=split_table")
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: Expected the form of 'load_versions'")
        assert result.stdout == ""


@pytest.mark.slow
def test_the_help_names_what_is_typed(project, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.setattr(
        "reid_pipeline.cli.command.settings", SimpleNamespace(CONF_SOURCE="conf", CONFIG_LOADER_ARGS=CONFIG_LOADER_ARGS)
    )
    text = " ".join(CliRunner().invoke(cli, ["run", "--help"]).output.split())
    assert "Defaults to synthetic" in text
    assert "local" not in text.partition("Parameters:")[0]
    for name in (*method_names(), "market1501", "raw_root", "seed", "compute.device", "backbone.image_size"):
        assert f" {name}" in text
    for model in (ComputeParameters, IngestionParameters):
        for field in model.model_fields.values():
            assert " ".join(str(field.description).split()[:3]) in text
    assert "evaluation.rerank none, k_reciprocal, clip_reid" in text
    assert kedro_run.params[0].help != "", "Kedro's own command is as it was"
