"""Kedro's settings of the project."""

from typing import Any

from reid_pipeline.config.loader import LayeredConfigLoader
from reid_pipeline.hooks.cell_checks import OnlyMissing
from reid_pipeline.hooks.cell_locks import CellLocks
from reid_pipeline.hooks.interrupts import Standing
from reid_pipeline.hooks.last_run import LastRun
from reid_pipeline.hooks.made_anew import MadeAnew
from reid_pipeline.hooks.preflight import Preflight
from reid_pipeline.hooks.run_summary import NodeTimes, RunSummary
from reid_pipeline.hooks.session_checks import CatalogEntries, ProjectPath, SessionChecks

HOOKS = (
    ProjectPath(), SessionChecks(), OnlyMissing(), Preflight(), CatalogEntries(), CellLocks(), NodeTimes(),
    RunSummary(), MadeAnew(), Standing(), LastRun(),
)  # fmt: skip
# kedro-viz: its statistics are stored by dataset name, which is wrong across environments; its other hook, of the last
# run, has `LastRun` in its place. Of use nothing is reported, also where no file .telemetry says so: an installed wheel
# has none.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-viz", "kedro-telemetry")

CONFIG_LOADER_CLASS = LayeredConfigLoader
CONFIG_LOADER_ARGS: dict[str, Any] = {
    "base_env": "base",
    "default_run_env": "synthetic",
    "merge_strategy": {"parameters": "soft", "globals": "soft"},
}
