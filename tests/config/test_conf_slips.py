# ruff: noqa: E501 - a case is a line
"""Slips in conf/: file, line and what is wrong, before Kedro or OmegaConf see them; what is right is read."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from kedro.io import DataCatalog
from kedro.pipeline import node, pipeline
from omegaconf import OmegaConf
from unprivileged import run_unprivileged

from reid_pipeline.config.checked_loader import CheckedConfigLoader
from reid_pipeline.config.files import read_conf_file
from reid_pipeline.config.loader import LayeredConfigLoader
from reid_pipeline.hooks.session_checks import CatalogEntries
from reid_pipeline.schema.errors import UserError
from reid_pipeline.settings import CONFIG_LOADER_ARGS

FILE = "mine/parameters.yml"
PLACE = r"conf/mine/parameters\.yml"


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A conf/ with one environment, in the folder where the command is typed."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "conf"
    for name, text in {
        "base/globals.yml": "benchmark: unnamed\n",
        "base/parameters.yml": "seed: 0\n",
        "base/catalog.yml": "_x: 1\nraw:\n  type: pandas.CSVDataset\n  filepath: ${globals:benchmark}.csv\n",
        "mine/globals.yml": "benchmark: mine\n",
        FILE: "top: 3\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def load(key: str = "parameters", env: str = "mine") -> dict[str, Any]:
    return CheckedConfigLoader("conf", env, {}, **CONFIG_LOADER_ARGS)[key]


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{below}'] * 9)}]\n" for below, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> theirs\n", r" holds the marks of an unfinished merge"),
        ("a:\n\tb: 1\n", r" cannot be read as YAML: line 2, column 1: .*'\\t'.*\. Write blanks, not tabs\."),
        (
            "a: [1\nb: 2\n",
            r" cannot be read as YAML: line 2, column 2: .*\. Check that what is opened above is closed\.",
        ),
        ('a: "x\nb: 2\n', r" cannot be read as YAML: line 3, column 1: .*quotes close\."),
        (
            "a: 1\nb: 2\na: 3\n",
            r" cannot be read as YAML: line 3, column 1: the key 'a' stands there a second time, after line 1\. Leave one",
        ),
        (
            "a:\n  b: 1\n  b: 2\n",
            r" cannot be read as YAML: line 3, column 3: the key 'b' stands there a second time, after line 2\.",
        ),
        ("a:\n  b: 1\n c: 2\n", r" cannot be read as YAML: line 3, column 2: .*Check the indent"),
        (
            "a: b: c\n",
            r" cannot be read as YAML: line 1, column 5: mapping values.*a text with a colon stands in quotes\.",
        ),
        ("a: @b\n", r" cannot be read as YAML: line 1, column 4: found character '@'"),
        ("a: 1\n---\nb: 2\n", r" cannot be read as YAML: line 2, column 1: .*another document"),
        ("a: *b\n", r" cannot be read as YAML: line 1, column 4: found undefined alias 'b'"),
        (
            "a: !!python/object/apply:os.getcwd []\n",
            r" cannot be read as YAML: line 1, column 4: could not determine a constructor",
        ),
        ("a: b\x01\n", r" cannot be read as YAML: line 1: the character '\\x01' cannot stand in YAML"),
        (
            "a: " + "[" * 20_000 + "]" * 20_000,
            r" cannot be read as YAML: line 1, column \d+: it is nested more than 100 levels deep",
        ),
        (
            "a: " + "{b: " * 20_000 + "}" * 20_000,
            r" cannot be read as YAML: line 1, column \d+: it is nested more than 100 levels deep",
        ),
        (BOMB, r" cannot be read as YAML: line \d, column \d: its aliases stand for more than 100000 values"),
        ("- a: 1\n", r" holds a list, and must map names to values, a line each: <name>: <value>\."),
        ("seed:1\n", r" holds 'seed:1', and must map names to values"),
        ("5\n", r" holds 5, and must map"),
        ("a: 1\nb:\n  on: 2\n", r', line 3: the name on is no text to YAML.*Put it in quotes: "on"\.'),
        ("a: [{1: x}]\n", r', line 1: the name 1 is no text.*"1"'),
        ("a:\n  b: ${globals:benchmark\n", r", line 2: a\.b: missing BRACE_CLOSE.*closed by }"),
        (
            "a: ok\nb: ${globls:benchmark}\n",
            r", line 2: b: Unsupported.* globls\. Did you mean 'globals'\? Allowed are",
        ),
        ("a: ${oc.env:HOME}\n", r", line 1: a: Unsupported interpolation type oc\.env\..*credentials\.yml"),
        ("a: ${globals:benchmrk}\n", r", line 1: a: Globals key 'benchmrk' not found.* Did you mean 'benchmark'\?"),
        ("a: 1\nb: [1, '${nothing.here}']\n", r", line 2: b\[1\]: Interpolation key 'nothing\.here' not found"),
        ("a: ${a}\n", r", line 1: a: Recursive interpolation detected"),
        ("a: ${runtime_params:b}\n", r", line 1: a: Runtime parameter 'b' not found"),
        ("# ok\na: café\n".encode("latin-1"), r" cannot be read: line 2: byte 0xe9 is not UTF-8\. Save it as UTF-8\."),
        ("a: 1\n".encode("utf-16"), r" cannot be read: it is UTF-16\. Save it as UTF-8\."),
        ("a: 1\n".encode("utf-16-le"), r" cannot be read as YAML: line 1: the character '\\x00' cannot stand in YAML"),
    ],
)
def test_file_line_and_what_is_wrong(conf: Path, text: str | bytes, says: str) -> None:
    (conf / FILE).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=f"^{PLACE}{says}") as caught:
        load()
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("# all of it is a comment\n", {}),
        ("\ufefftop: 4\n", {"top": 4}),
        ("top: 4\r\nlist: [1,\r\n  2]\r\n", {"top": 4, "list": [1, 2]}),
        (
            "rate: 1e-3\nday: 2024-01-01\nword: 'on'\nblank: ~\n",
            {"rate": 1e-3, "day": "2024-01-01", "word": "on", "blank": None},
        ),
        ("a: &a {x: 1}\nb: {<<: *a, y: 2}\n", {"a": {"x": 1}, "b": {"x": 1, "y": 2}}),
        (
            "a: ${b.c}\nb: {c: 5}\nd: ${globals:benchmark}\ne: \\${f}\n",
            {"a": 5, "b": {"c": 5}, "d": "mine", "e": "${f}"},
        ),
    ],
)
def test_what_is_right_is_read(conf: Path, text: str, found: dict[str, Any]) -> None:
    (conf / FILE).write_bytes(text.encode())
    assert load() == {"seed": 0, **found}


def test_values_are_omegaconfs(project: Path) -> None:
    for file in [*project.glob("conf/base/*.yml"), *project.glob("conf/veri776/*.yml")]:
        assert OmegaConf.create(read_conf_file(file)) == OmegaConf.load(file)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("parameters_x.json", '{\n\t"x": {"y": 1e-06}\n}'),
        ("parameters_x.yaml", "x: {y: 0.000001}"),
        ("parameters/x.yml", "x: {y: 1.0e-6}"),
    ],
)
def test_the_other_endings(conf: Path, name: str, text: str) -> None:
    (conf / "mine" / name).parent.mkdir(exist_ok=True)
    (conf / "mine" / name).write_text(text)
    assert load()["x"] == {"y": 1e-6}


@pytest.mark.parametrize(
    "name",
    [
        "globals.yaml",
        "globals.json",
        "paramters.yml",
        "parameter_pcl.yml",
        "parameters_pcl.yml.txt",
        "Parameters.YML",
        "catlog.yml",
    ],
)
def test_a_file_that_would_not_be_read_is_named(conf: Path, name: str) -> None:
    (conf / "mine" / name).write_text("a: 1")
    with pytest.raises(
        UserError, match=rf"^conf/mine/{re.escape(name)} is not read under this name\. Call it \w+\.yml"
    ):
        load()


@pytest.mark.parametrize(
    "name", ["parameters.yml~", ".parameters.yml.swp", "parameters.yml.bak", "notes.yml", "README.md", "parameters.md"]
)
def test_other_files_are_let_be(conf: Path, name: str) -> None:
    (conf / "mine" / name).write_bytes(b"\xff[")
    assert load() == {"seed": 0, "top": 3}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (Path.mkdir, "it is a folder, not a regular file"),
        (os.mkfifo, r"it is a FIFO \(named pipe\), not a regular file"),
        (lambda path: path.symlink_to("gone.yml"), "it is a link to gone.yml, which is not there"),
        (lambda path: path.symlink_to(path.name), "it is a link to parameters.yml, which is not there"),
    ],
    ids=["folder", "fifo", "dangling", "itself"],
)
def test_what_is_no_file(conf: Path, make: Any, says: str) -> None:
    (conf / FILE).unlink()
    make(conf / FILE)
    with pytest.raises(UserError, match=rf"^{PLACE} cannot be read: {says}\. Put a file there that you may read"):
        load()


def test_a_link_to_a_file_or_upwards_is_no_trouble(conf: Path) -> None:
    (conf / "mine" / "parameters_shared.yml").symlink_to(conf / "base" / "globals.yml")
    (conf / "mine" / "parameters").symlink_to(conf / "mine")
    assert load()["benchmark"] == "unnamed"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mine/parameters.yml", "mine"])
def test_what_may_not_be_read(conf: Path, name: str) -> None:
    program = (
        "from reid_pipeline.config.checked_loader import CheckedConfigLoader as Loader\n"
        "Loader('conf', 'mine', {}, base_env='base', default_run_env='mine')['parameters']\n"
    )
    (conf / name).chmod(0)
    try:
        done = run_unprivileged([sys.executable, "-c", program], cwd=conf.parent, capture_output=True, text=True)
    finally:
        (conf / name).chmod(0o755)
    assert isinstance(done, subprocess.CompletedProcess)
    assert re.search(rf"UserError: conf/{name} cannot be read: permission denied", done.stderr), done.stderr


def test_a_parameter_in_two_files(conf: Path) -> None:
    (conf / "mine" / "parameters_b.yml").write_text("top: 4")
    both = (
        r"^Duplicate keys found in conf/mine/parameters\.yml and conf/mine/parameters_b\.yml: top\. Leave each in one"
    )
    with pytest.raises(UserError, match=both):
        load()


@pytest.mark.parametrize(
    ("key", "name", "text", "says"),
    [
        ("globals", "mine/globals.yml", "benchmark: [", r"mine/globals\.yml cannot be read as YAML: line 1, column 13"),
        (
            "globals",
            "mine/globals.yml",
            "a: 1\nb: ${runtime_params:c}",
            r"mine/globals\.yml, line 2: b: Unsupported.*but in globals\.yml",
        ),
        ("credentials", "base/credentials.yml", "a: [", r"base/credentials\.yml cannot be read as YAML: line 1"),
        (
            "credentials",
            "base/credentials.yml",
            "a: {b: '${oc.env:REID_NOT_SET}'}",
            r"base/credentials\.yml: .*'REID_NOT_SET' not found",
        ),
        (
            "catalog",
            "mine/catalog.yml",
            "a:\n  filepath: ${globals:nope}",
            r"mine/catalog\.yml, line 2: a\.filepath: Globals key 'nope'",
        ),
        ("catalog", "mine/catalog.yml", "on: {type: x}", r"mine/catalog\.yml, line 1: the name on"),
    ],
)
def test_the_other_kinds_of_file(conf: Path, key: str, name: str, text: str, says: str) -> None:
    (conf / name).write_text(text)
    with pytest.raises(UserError, match=f"^conf/{says}"):
        load(key)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x:\n  filepath: y\n", r"line 1: entry x has no type, the class of its dataset"),
        ("a: {type: pandas.CSVDataset, filepath: a}\nx: y\n", r"line 2: entry x has no type"),
        ("x:\n  type: [a]\n", r"line 1: entry x has no type"),
        (
            "x: {type: pandas.CSVDataset, filepath: a, credentials: key}\n",
            r"line 1: entry x: Unable to find credentials 'key'",
        ),
        ('"{a}.x": {type: pandas.CSVDataset, filepath: "{b}"}\n', r"line 1: entry \{a\}\.x: .*\{b\}"),
    ],
)
def test_an_entry_of_the_catalog(conf: Path, text: str, says: str) -> None:
    (conf / "mine/catalog.yml").write_text(text)
    with pytest.raises(UserError, match=rf"^conf/mine/catalog\.yml, {says}"):
        LayeredConfigLoader("conf", "mine", {}, **CONFIG_LOADER_ARGS)["catalog"]


@pytest.mark.parametrize("env", ["mein", "overlays", "/tmp", "../conf/mine", "mine/parameters.yml"])
def test_an_environment_that_is_not_there(conf: Path, env: str) -> None:
    (conf / "overlays").mkdir()
    near = r" Did you mean 'mine'\?" if env == "mein" else ".*"
    with pytest.raises(UserError, match=rf"^There is no environment '{env}' in conf\.{near} Give --env one of: mine\."):
        load(env=env)


@pytest.mark.parametrize("source", ["conf/base", "conf/base/globals.yml", "nowhere"])
def test_a_conf_source_without_base(conf: Path, source: str) -> None:
    with pytest.raises(UserError, match=rf"^{source} has no folder base\. --conf-source names the folder"):
        CheckedConfigLoader(source, "mine", {}, **CONFIG_LOADER_ARGS)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("type: pandas.CSVDatset, filepath: a", r"line 2: entry x: .*CSVDatset"),
        ("type: no_such_package.Dataset, filepath: a", r"line 2: entry x: .*no_such_package"),
        ("type: pandas.CSVDataset, filepth: a", r"line 2: entry x: .*unexpected keyword argument 'filepth'"),
    ],
)
def test_an_entry_that_makes_no_dataset(conf: Path, text: str, says: str) -> None:
    (conf / "mine/catalog.yml").write_text(f"# mine\nx: {{{text}}}\n")
    loader = LayeredConfigLoader("conf", "mine", {}, **CONFIG_LOADER_ARGS)
    hook = CatalogEntries()
    hook.after_context_created(SimpleNamespace(config_loader=loader))
    catalog = DataCatalog.from_config(loader["catalog"])
    hook.before_pipeline_run(pipeline([node(lambda _: 1, "raw", "y", name="n")]), catalog)
    with pytest.raises(UserError, match=rf"^conf/mine/catalog\.yml, {says}.*\. Correct the entry\.$") as caught:
        hook.before_pipeline_run(pipeline([node(lambda _: 1, "x", "y", name="n")]), catalog)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "says"), [("raw", "raw has no versions"), ("pcl.recrded", "pcl.recrded has no versions")]
)
def test_versions_of_what_has_none(conf: Path, name: str, says: str) -> None:
    text = '"{a}.recorded": {type: pandas.CSVDataset, filepath: "{a}", versioned: true, credentials: key}'
    (conf / "mine/catalog.yml").write_text(text)
    (conf / "mine/credentials.yml").write_text("key: {secret: x}")
    context = SimpleNamespace(config_loader=LayeredConfigLoader("conf", "mine", {}, **CONFIG_LOADER_ARGS))
    with click.Context(click.Command("run")) as command:
        command.params["load_versions"] = {"pcl.recorded": "2026"}
        CatalogEntries().after_context_created(context)
        command.params["load_versions"] = {name: "2026"}
        with pytest.raises(UserError, match=rf"^--load-versions={name}:2026: {says}.* versions of: {{a}}\.recorded\."):
            CatalogEntries().after_context_created(context)
