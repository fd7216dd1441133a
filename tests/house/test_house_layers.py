"""The import-linter contracts leave no room out."""

import tomllib
from typing import Any

from project_copy import ROOT

ENTRY = {
    "__main__",
    "settings",
    "pipeline_registry",
    "cli",
    "hooks",
    "config",
    "user_errors",
    "pipelines",
    "workers",
    "io",
}
CONTRACTS: dict[str, Any] = {
    contract["id"]: contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
}


def rooms() -> set[str]:
    package = ROOT / "src" / "reid_pipeline"
    modules = {file.stem for file in package.glob("*.py")} - {"__init__"}
    return modules | {folder.parent.name for folder in package.glob("*/__init__.py")}


def test_every_room_has_a_layer() -> None:
    layered = {
        name.strip(" ()") for layer in CONTRACTS["layers"]["layers"] for name in layer.replace("|", ":").split(":")
    }
    assert layered == rooms()
    assert CONTRACTS["layers"]["exhaustive"] is True


def test_every_room_but_the_entry_may_not_import_kedro() -> None:
    kept_apart = {name.removeprefix("reid_pipeline.") for name in CONTRACTS["kedro-at-the-edge"]["source_modules"]}
    assert {name for name in kept_apart if "." not in name} == (rooms() - ENTRY) | {"reid_drawings"}
