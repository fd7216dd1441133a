"""The end of a run: what its nodes measured and wrote, and nothing that was there before."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from rich import get_console

from reid_pipeline.methods import method_names
from reid_pipeline.only_missing import recorded_card
from reid_pipeline.schema.tuning import Study

ZERO_SHOT_METRICS = "zero_shot_metrics"
_RESULTS = ("metrics", "differences", "history", "run_card", "report")


class RunSummary:
    """End a run by saying what it measured and wrote.

    Figures are those that a node of this run handed over to be saved. What lies in the files when the run
    ends may be another's by then.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._ran = False
        self._saved: set[str] = set()
        self._measured: dict[str, Any] = {}
        self._compared: dict[str, Any] = {}
        self._differences: dict[str, Any] = {}

    @hook_impl(trylast=True)
    def before_pipeline_run(self) -> None:
        """Forget the run before, in a process that makes several."""
        self._begin()

    @hook_impl
    def after_node_run(self) -> None:
        """Take note that something ran."""
        self._ran = True

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any) -> None:
        """Keep the metrics that this run's results were compared with."""
        if dataset_name == ZERO_SHOT_METRICS:
            self._compared[dataset_name] = data

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Take note of what was written, and keep metrics."""
        self._saved.add(dataset_name)
        if _are_metrics(dataset_name):
            self._measured[dataset_name] = data
        if dataset_name.endswith(".differences"):
            self._differences[dataset_name] = data

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Print the table and the paths, or that there was nothing to do."""
        if not self._ran:
            _say(_nothing_ran(pipeline, catalog) if pipeline.nodes else "")
            return
        _say(self._text(catalog))
        _print_paths(self._saved, catalog)

    def _text(self, catalog: DataCatalog) -> str:
        """Return what the run has come to, for a terminal; empty where the paths say it all."""
        from reid_pipeline.reporting.before_after import text_table
        from reid_pipeline.reporting.comparison_tables import comparison_text
        from reid_pipeline.reporting.dataset_page import dataset_text
        from reid_pipeline.reporting.leaderboard import leaderboard_text
        from reid_pipeline.reporting.tuning_page import tuning_text

        if "study_trials" in self._saved:
            return tuning_text(Study.model_validate(catalog.load("study_trials")))
        if "comparison" in self._saved:
            return comparison_text(catalog.load("comparison"))
        if "leaderboard" in self._saved:
            return leaderboard_text(catalog.load("leaderboard"))
        if self._measured:
            earlier = [self._compared[name] for name in self._compared if name not in self._measured]
            return text_table(self._table(), list(self._differences.values()), earlier=earlier)
        if "changes" in self._saved:
            return str(catalog.load("changes"))
        if "dataset_summary" in self._saved:
            return dataset_text(catalog.load("dataset_summary"))
        return ""

    def _table(self) -> list[Any]:
        """Return the metrics of this run, after those that they were compared with."""
        first = self._measured.get(ZERO_SHOT_METRICS)
        if first is None and ZERO_SHOT_METRICS in self._compared:
            first = self._compared[ZERO_SHOT_METRICS]
        others = [self._measured[name] for name in sorted(self._measured) if name != ZERO_SHOT_METRICS]
        return [*([] if first is None else [first]), *others]


def _are_metrics(name: str) -> bool:
    return name == ZERO_SHOT_METRICS or name.endswith(".metrics")


def _nothing_ran(pipeline: Pipeline, catalog: DataCatalog) -> str:
    """Return why nothing was done, who made what is there, and how to make it anew."""
    made = [
        f"{method} by the run that started {card.get('started', 'at a time not recorded')}"
        for method in method_names()
        if f"{method}.run_card" in pipeline.all_outputs() and (card := recorded_card(method, catalog)) is not None
    ]
    by = f", made earlier ({'; '.join(made)})" if made else ""
    return (
        f"Nothing ran and nothing was written: all outputs are there already{by}. To make them anew, give the"
        " command without --only-missing-outputs."
    )


def _say(text: str) -> None:
    if text:
        get_console().print(f"\n{text}\n", markup=False, highlight=False, soft_wrap=True)


def _print_paths(saved: Iterable[str], catalog: DataCatalog) -> None:
    for name in sorted(saved):
        path = getattr(catalog.get(name), "_filepath", None)
        if path is not None and (name.split(".")[-1] in _RESULTS or "." not in name):
            shown = Path(str(path))
            if shown.is_relative_to(Path.cwd()):
                shown = shown.relative_to(Path.cwd())
            line = f"  wrote {name:<32} {shown}"
            get_console().print(line, markup=False, highlight=False, soft_wrap=True)
