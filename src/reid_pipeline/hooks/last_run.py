"""The last run, as kedro viz shows it beside the graph: times and status of its nodes, and where it failed.

kedro viz has a hook of its own for this (`kedro_viz.integrations.kedro.run_hooks`). It comes with one that stores
statistics by the name of a dataset, which are wrong across environments, and both are disabled together; it takes a
node that trains for done before it has begun, since such a node is a generator; and it writes its file in place. So
the same events are noted here.
"""

import json
import logging
import threading
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Node

from reid_pipeline.io.entries import file_of
from reid_pipeline.io.replacing import replacing
from reid_pipeline.schema.errors import UserError

EVENTS = ".viz/kedro_pipeline_events.json"
"""Where kedro viz reads them, below the project's folder; git ignores it."""
_ENDS = ("after_pipeline_run", "on_pipeline_error")
_UNFINISHED = "This run has not ended: it is still going, or it was killed."
_log = logging.getLogger(__name__)


class LastRun:
    """Write the events of a run as they come: one that is killed shows what it has done.

    A run that was refused before its first node leaves those of the run before. Of two at once the last to write is
    shown, and always whole.
    """

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Note where the project lies."""
        self._file = Path(context.project_path) / EVENTS

    @hook_impl(trylast=True)
    def before_pipeline_run(self, catalog: DataCatalog) -> None:
        """Begin anew, once all checks have passed."""
        self._catalog, self._lock = catalog, threading.Lock()
        self._begun: dict[str, float] = {}
        self._places: dict[tuple[str, str], int] = {}
        self._node: Node | None = None
        self._dataset: dict[str, str] = {}
        self._events: list[dict[str, Any]] = [{"event": "before_pipeline_run", "timestamp": _now()}]
        self._write()

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str, node: Node) -> None:
        """Start the clock at the node's first input."""
        self.before_node_run(node)
        self._dataset = {"dataset": dataset_name, "operation": "loading"}

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str) -> None:
        """Note what was read."""
        self._note_dataset("after_dataset_loaded", dataset_name)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Start the clock of a node without inputs."""
        self._node = node
        self._begun.setdefault(node.name, time.perf_counter())

    @hook_impl
    def before_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Note what is being written."""
        self._node, self._dataset = node, {"dataset": dataset_name, "operation": "saving"}

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Note what was written, and the node's time so far; a generator saves again and again."""
        self._note_dataset("after_dataset_saved", dataset_name)
        seconds = time.perf_counter() - self._begun.get(node.name, time.perf_counter())
        self._put({"event": "after_node_run", **_named(node), "duration": seconds, "status": "success"})
        self._write()

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Note that the run failed, in which node, and which dataset was being read or written, if one was."""
        failure = {"error": str(error), "timestamp": _now(), "traceback": "".join(traceback.format_exception(error))}
        node = {} if self._node is None else _named(self._node)
        if node:  # Kedro names a node that fails, unless it is a generator
            self._events.append({"event": "on_node_error", **node, **failure})
        self._events.append({"event": "on_pipeline_error", **failure, **node, **self._dataset})
        self._write()

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Note the end."""
        self._events.append({"event": "after_pipeline_run", "timestamp": _now()})
        self._write()

    def _note_dataset(self, event: str, name: str) -> None:
        from kedro_viz.integrations.kedro.hooks_utils import hash_node

        self._dataset = {}
        file = file_of(self._catalog.get(name))
        size = {"size": file.stat().st_size} if file is not None and file.is_file() else {}
        self._put({"event": event, "dataset": name, "node_id": hash_node(name), "status": "Available", **size})

    def _put(self, event: dict[str, Any]) -> None:
        """Note an event of a node or dataset, in the place of an earlier one of its kind."""
        with self._lock:
            place = self._places.setdefault((event["event"], event["node_id"]), len(self._events))
            self._events[place : place + 1] = [event]

    def _write(self) -> None:
        """Write all events, and unless the run has ended that it has not; without a project there is no graph."""
        if not (self._file.parent.parent / "pyproject.toml").is_file():
            return
        with self._lock:
            events = [*self._events]
        if events[-1]["event"] not in _ENDS:
            events.append({"event": "on_pipeline_error", "error": _UNFINISHED, "timestamp": _now(), "traceback": ""})
        try:
            with replacing(self._file) as written:
                written.write_text(json.dumps(events, indent=1), encoding="utf-8")
        except (OSError, UserError) as error:  # a run does not fail for it
            _log.debug("%s was not written: %s", self._file, error)


def _named(node: Node) -> dict[str, str]:
    """Return a node as kedro viz names it."""
    from kedro_viz.integrations.kedro.hooks_utils import hash_node

    return {"node": node.name, "node_id": hash_node(node)}


def _now() -> str:
    return datetime.now(tz=UTC).isoformat()
