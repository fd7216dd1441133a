"""What a run prints: a line per node, and at its end the results, the report, the model and the next command."""

import inspect
import logging
import os
import shlex
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from rich import get_console

from reid_pipeline.hooks.cell_checks import recorded_cards
from reid_pipeline.io.embedded_images import EmbeddedImagesDataset
from reid_pipeline.io.entries import file_of
from reid_pipeline.io.page import HTMLPageDataset
from reid_pipeline.io.records import RecordDataset
from reid_pipeline.io.weights import EmbedderDataset
from reid_pipeline.methods import method_names
from reid_pipeline.pipelines.gallery import next_of_gallery
from reid_pipeline.pipelines.ingestion import TABLES
from reid_pipeline.pipelines.tuning import DEFAULT_STUDY
from reid_pipeline.schema.addresses import ZERO_SHOT
from reid_pipeline.schema.clusters import ClusterFacts
from reid_pipeline.schema.comparison import Comparison, Leaderboard
from reid_pipeline.schema.given_labels import LABELS_FROM
from reid_pipeline.schema.place import as_typed_here
from reid_pipeline.schema.records import Differences, Metrics
from reid_pipeline.schema.sample import SAMPLE, in_words
from reid_pipeline.schema.summary import DatasetSummary
from reid_pipeline.schema.tuning import Study
from reid_pipeline.schema.typed import typed
from reid_pipeline.user_errors import user_error_text

T = TypeVar("T")
STUDY, CHANGES, CLUSTERS, OF_GALLERY = "study_trials", "changes", "clusters_csv", "gallery_notes"
OF_EXPORT = "export_notes"
"""Results that are no records: a study, Markdown, a table for a spreadsheet, sentences on a gallery and an export."""
_RECORDS = (Metrics, Differences, ClusterFacts, Comparison, Leaderboard, DatasetSummary)
_NEXT = {
    "__default__": "leaderboard", "report": "leaderboard", "leaderboard": "cross_benchmark", "changes": "report",
    "cross_benchmark": "leaderboard", "ingestion": ZERO_SHOT, "pretrain_demo_clip": ZERO_SHOT, "embed": "",
    "export": "", "pages": "",
}  # fmt: skip
"""Which pipeline comes after which, if any; after a method's comes `report`."""
_OF_TABLES = ("raw_root", "synthetic", "ingestion", "splits")
"""Parameters that decide which images a run reads, and how they are split."""
_SELECTIONS = {
    name: f"--{name.replace('_', '-')}"
    for name in ("tags", "from_nodes", "to_nodes", "from_inputs", "to_outputs", "namespaces")
} | {"node_names": "--nodes"}
_log = logging.getLogger(__name__)


@dataclass
class _Running:
    """A node that has begun: when, in which thread, which outputs it has saved, and when the last of them."""

    node: Node
    start: float
    thread: int
    saved: set[str] = field(default_factory=set)
    end: float = 0.0


class NodeTimes:
    """Log one line per node when it has ended: its name, and how long it took.

    A node has ended when all its outputs are saved. What a generator node yields is saved again and again; it has ended
    when its thread takes another node.
    """

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Forget a run that failed, in a process that makes several."""
        self._running: dict[str, _Running] = {}

    @hook_impl
    def before_dataset_loaded(self, node: Node) -> None:
        """Start the clock at the node's first input."""
        if node.name not in self._running:
            here = threading.get_ident()
            for other in [each for each in self._running.values() if each.thread == here and _generates(each.node)]:
                self._log(other)
            self._running[node.name] = _Running(node, time.perf_counter(), here)

    @hook_impl
    def after_dataset_saved(self, node: Node, dataset_name: str) -> None:
        """Take the time, and log it with the last output."""
        self.before_dataset_loaded(node)
        running = self._running[node.name]
        running.saved.add(dataset_name)
        running.end = time.perf_counter()
        if running.saved >= set(node.outputs) and not _generates(node):
            self._log(running)

    @hook_impl
    def on_node_error(self, error: Exception, node: Node) -> None:
        """Name the node, unless the error is the user's, whose message is printed."""
        if user_error_text(error) is None:
            _log.error("Node %s failed.", node.name)

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self) -> None:
        """Log the last nodes."""
        for running in list(self._running.values()):
            self._log(running)

    def _log(self, running: _Running) -> None:
        del self._running[running.node.name]
        _log.info("%s done in %.1f s", running.node.name, running.end - running.start)


def _generates(node: Node) -> bool:
    return inspect.isgeneratorfunction(node.func)


class RunSummary:
    """End a run with what its nodes measured and wrote, which is not read back from files, and what to type next."""

    def __init__(self) -> None:
        self.before_pipeline_run()

    @hook_impl(trylast=True)
    def before_pipeline_run(self) -> None:
        """Forget the run before, in a process that makes several."""
        self._saved: dict[str, Node] = {}
        self._results: list[Any] = []
        self._others: dict[str, Any] = {}
        self._compared: dict[str, Metrics] = {}

    @hook_impl
    def after_dataset_loaded(self, data: Any) -> None:
        """Hold the metrics that this run's results were compared with."""
        if isinstance(data, Metrics) and data.method == ZERO_SHOT:
            self._compared[data.method] = data

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """Note what was written, and hold results."""
        self._saved[dataset_name] = node
        if isinstance(data, _RECORDS):
            self._results.append(data)
        elif dataset_name in (STUDY, CHANGES, OF_GALLERY, OF_EXPORT):
            self._others[dataset_name] = data

    @hook_impl
    def after_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Print results, report, model and the next command, or that there was nothing to do."""
        if not self._saved:
            _say(_nothing_ran(pipeline, catalog) if pipeline.nodes else "")
            return
        files = {name: file for name in self._saved if (file := file_of(catalog.get(name)))}
        for name, file in files.items():
            _log.debug("wrote %s: %s", name, file)
        _say(self._text())
        lines = {"report": self._path(HTMLPageDataset, catalog), "model": self._path(EmbedderDataset, catalog)}
        lines["embeddings"] = self._path(EmbeddedImagesDataset, catalog)
        lines["clusters"] = self._shown_clusters(files)
        if not any(lines.values()):
            others = f" and {len(files) - 1} more" if len(files) > 1 else ""
            shown = sorted(files, key=lambda name: _is_metrics(catalog.get(name)))[-1:]
            lines = {"wrote": f"{_shown([files[name] for name in shown])}{others}" if files else ""}
        lines["next"] = self._next(run_params, whole=self._is_whole(run_params, catalog))
        width = max([7, *(len(name) for name, line in lines.items() if line)])
        _say("\n".join(f"{name:<{width}} {line}" for name, line in lines.items() if line), below="")

    def _text(self) -> str:
        """Return the results for a terminal; empty where the run has only files."""
        from reid_pipeline.reporting.before_after import text_table
        from reid_pipeline.reporting.comparison import comparison_text
        from reid_pipeline.reporting.dataset_page import dataset_text
        from reid_pipeline.reporting.tuning_page import tuning_text
        from reid_pipeline.reporting.untested import all_untested

        if text := next(
            (self._others[each] for each in (OF_GALLERY, OF_EXPORT, CHANGES) if self._others.get(each)), ""
        ):
            return str(text)
        if STUDY in self._others:
            return tuning_text(Study.model_validate(self._others[STUDY]))
        compared = [*self._of(Comparison)[:1], *(each for one in self._of(Leaderboard)[:1] for each in one.benchmarks)]
        if compared:
            return "\n\n".join(map(comparison_text, compared))
        measured = {metrics.method: metrics for metrics in self._of(Metrics)}
        if measured:
            if all_untested([*measured.values()]):
                return self._untested_text(measured)
            found = sorted((self._compared | measured).items(), key=lambda each: (each[0] != ZERO_SHOT, each[0]))
            earlier = [metrics for method, metrics in self._compared.items() if method not in measured]
            return text_table([metrics for _, metrics in found], self._of(Differences), earlier=earlier)
        return "".join(dataset_text(summary) for summary in self._of(DatasetSummary))

    def _untested_text(self, measured: Mapping[str, Metrics]) -> str:
        """Return that nothing was tested, how to test, and the clusters of the runs instead."""
        from reid_pipeline.reporting.clusters_section import clusters_text
        from reid_pipeline.reporting.formats import run_name
        from reid_pipeline.reporting.guard_notes import exported_notes
        from reid_pipeline.reporting.untested import HOW_TO_TEST, why_untested

        facts = sorted(self._of(ClusterFacts), key=lambda each: (each.method != ZERO_SHOT, each.method))
        names = [run_name(each.method, each.variant) for each in facts]
        last = measured[max(measured, key=lambda method: (method != ZERO_SHOT, method))]
        head = f"{in_words(last.benchmark)}, seed {last.seed}: {why_untested()[0].lower()}{why_untested()[1:]}"
        clusters = [clusters_text(facts, names)] if facts else []
        notes = exported_notes(last.exported) if last.exported is not None else []
        exported = [note for note in notes if not any(note in text for text in clusters)]
        return "\n".join([head, *clusters, *exported, HOW_TO_TEST])

    def _of(self, kind: type[T]) -> list[T]:
        return [result for result in self._results if isinstance(result, kind)]

    def _path(self, kind: type[Any], catalog: DataCatalog) -> str:
        """Return the file of class `kind` that the run was for, or the folder of several; empty without."""
        found: dict[int, list[Path]] = {}
        for name, node in self._saved.items():
            dataset = catalog.get(name)
            if isinstance(dataset, kind) and (file := file_of(dataset)):
                found.setdefault(_rank(node), []).append(file)
        return _shown(found[max(found)]) if found else ""

    def _shown_clusters(self, files: Mapping[str, Path]) -> str:
        """Return the table of clusters of what the run was for, where nothing was tested; empty elsewhere."""
        from reid_pipeline.reporting.untested import all_untested

        found = {_rank(self._saved[name]): file for name, file in files.items() if name.endswith(f".{CLUSTERS}")}
        return _shown([found[max(found)]]) if found and all_untested(self._of(Metrics)) else ""

    def _is_whole(self, run_params: Mapping[str, Any], catalog: DataCatalog) -> bool:
        """Return whether the page that the pipeline is for was written: of a method its own, else any."""
        asked = (run_params.get("pipeline_names") or ["__default__"])[0]
        pages = [node for name, node in self._saved.items() if isinstance(catalog.get(name), HTMLPageDataset)]
        return any(asked not in method_names() or node.namespace == asked for node in pages)

    def _next(self, run_params: Mapping[str, Any], *, whole: bool) -> str:
        """Return the command that comes after this one, or how to do the rest of this one."""
        selected = [option for name, option in _SELECTIONS.items() if run_params.get(name)]
        if selected and not whole:
            return f"the same command without {' and '.join(selected)}"
        given = run_params.get("runtime_params") or {}
        if OF_GALLERY in self._others:
            return next_of_gallery(str((run_params.get("pipeline_names") or [""])[0]), given)
        params = {key: each for key, each in given.items() if key in {"collection", LABELS_FROM, SAMPLE}}
        if study := self._others.get(STUDY):
            if not study["best"]:
                return "the same command, for more trials"
            tuned = study["method"] if study["name"] == DEFAULT_STUDY else f"{study['method']}/{study['name']}"
            pipeline, params = study["method"], {**params, "tuned": tuned}
        else:
            pipeline = _NEXT.get((run_params.get("pipeline_names") or ["__default__"])[0], "report")
        if not pipeline:
            return ""
        if pipeline in method_names():  # it makes the tables, too, as this run has
            params |= {key: each for key, each in given.items() if key in _OF_TABLES}
        env = f" --env={run_params['env']}" if run_params.get("env") else ""
        last = f" --params={shlex.quote(typed(params))}" if params else ""
        return f"kedro run --pipeline={pipeline}{env}{last}"


def _is_metrics(dataset: object) -> bool:
    return isinstance(dataset, RecordDataset) and dataset.record is Metrics


def _rank(node: Node) -> int:
    """Return how much a node's results are what a run is for: tables, zero_shot, methods, comparisons."""
    if node.namespace:
        return 1 if node.namespace == ZERO_SHOT else 2
    return 0 if TABLES in node.tags else 3


def _nothing_ran(pipeline: Pipeline, catalog: DataCatalog) -> str:
    """Return why nothing was done, which runs made the files, and how to replace them."""
    started = {
        name: card.get("started", "at a time not recorded") for name, card in recorded_cards(pipeline, catalog).items()
    }
    made = "; ".join(f"{method} by the run that started {time}" for method, time in started.items())
    by = f", made earlier ({made})" if made else ""
    return (
        f"Nothing ran and nothing was written: all outputs are there already{by}. To make them anew, give the"
        " command without --only-missing-outputs."
    )


def _say(text: str, *, below: str = "\n") -> None:
    if text:
        get_console().print(f"\n{as_typed_here(text)}{below}", markup=False, highlight=False, soft_wrap=True)


def _shown(files: list[Path]) -> str:
    """Return the path of a file, or of the folder of several, relative to the working directory if below it."""
    path = Path(os.path.commonpath(files))
    shown = str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
    return shown if len(files) == 1 else f"{shown} ({len(files)} files)"
