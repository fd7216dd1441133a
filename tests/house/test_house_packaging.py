"""What a stranger meets first: citation, security, the workflow, and what the package says of itself."""

import re
import tomllib
from typing import Any

import yaml
from project_copy import ROOT

from reid_pipeline import __version__

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOW: dict[Any, Any] = yaml.safe_load((ROOT / ".github/workflows/checks.yml").read_text())


def test_the_citation_is_of_this_version_and_whole() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == __version__
    assert cited["title"] == PROJECT["name"]
    assert cited["license"] == PROJECT["license"]
    assert cited["authors"] == PROJECT["authors"]
    assert {"cff-version", "message", "title", "authors"} <= set(cited), "what version 1.2.0 of the format needs"
    assert cited["cff-version"] == "1.2.0"
    assert cited["type"] == "software"


def test_installing_names_the_wheel_of_this_version() -> None:
    named = set(re.findall(r"reid_pipeline-([\d.]+)-py3", (ROOT / "docs/installing.md").read_text()))
    assert named == {__version__}


def test_the_workflow_runs_all_checks_on_the_oldest_and_the_newest_python() -> None:
    (job,) = WORKFLOW["jobs"].values()
    declared = [name.rpartition(" ")[2] for name in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", name)]
    assert job["strategy"]["matrix"]["python"] == [declared[0], declared[-1]]
    assert f">={declared[0]}" == PROJECT["requires-python"]
    assert job["steps"][-1] == {"run": ".ci/run"}
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
    assert set(WORKFLOW[True]) == {"push", "pull_request"}  # YAML reads `on` as true
    assert WORKFLOW["permissions"] == {"contents": "read"}
    for step in job["steps"][:-1]:
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step["uses"]), "a tag can be moved"


def test_security_says_how_to_report_and_names_files_that_are_there() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    assert "Report a vulnerability" in text
    for name in re.findall(r"`((?:models|images)/\w+\.py)`", text):
        assert (ROOT / "src/reid_pipeline" / name).is_file()
