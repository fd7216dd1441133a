"""One writer per cell: each part of a run holds the lock of what it writes.

The tables and `zero_shot` are waited for. A trained cell that another process writes is refused, since a late writer
would overwrite it. Nobody holds the tables while it starts other nodes, so that no two processes wait for each other.
"""

import atexit
import contextlib
import inspect
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline

from reid_pipeline.io.cell_lock import CellLock
from reid_pipeline.io.weights import SavedStates
from reid_pipeline.methods import method_names
from reid_pipeline.pipelines.ingestion import TABLES
from reid_pipeline.schema.addresses import ZERO_SHOT
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.layers import CELLS, IMPORT

FOLDER = Path("data/.locks")
"""In the project; DVC and git overlook it."""
_WAITED_FOR = (TABLES, ZERO_SHOT)
_REMEDY = (
    "Two runs of one cell would mix their results, so this one has written nothing there. Wait until the"
    " other has ended and give the command again: it goes on from what is there then. Or run another cell:"
    " --params seed=<n>, or variant=<name>."
)


@dataclass
class _Part:
    """Nodes of a run under one lock, which is waited for or not: those that have not ended, and that run."""

    lock: CellLock
    waits: bool
    pending: set[str]
    running: set[str] = field(default_factory=set)
    _taking: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> None:
        """Take the lock, unless the part has it."""
        with self._taking:
            if not self.lock.held:
                self.lock.acquire(wait=self.waits, remedy=_REMEDY)


class _Run:
    """Which nodes of a run have started and ended, and the locks of its parts."""

    def __init__(self, pipeline: Pipeline, catalog: DataCatalog, parts: Mapping[str, _Part]) -> None:
        self.parts = parts
        self.states = SavedStates()
        self._catalog = catalog
        self.thread = threading.current_thread()
        self._guard = threading.RLock()
        self._names = {node.name: part_of(node) for node in pipeline.nodes}
        self._seen: set[str] = set()
        self._unsaved = {node.name: set(node.outputs) for node in pipeline.nodes}
        # What a generator yields is saved while it runs: it has ended when another node reads what it made.
        self._generated = {
            output: node for node in pipeline.nodes if inspect.isgeneratorfunction(node.func) for output in node.outputs
        }

    def starts(self, node: Node, reads: str = "") -> None:
        """Take the lock under which `node` runs; called at each input, and before the node."""
        part = self._part(node)
        with self._guard:
            if node.name not in self._seen:
                self._seen.add(node.name)
                if part:
                    part.running.add(node.name)
                    part.pending.add(node.name)
                self._let_go_of_tables(part)
            if reads in self._generated:
                self._ends(self._generated[reads])
        if part:
            part.take()

    def saved(self, node: Node, output: str) -> None:
        """Release the lock if that was the last file of its part of the run."""
        self.states.saved(node.namespace or "", self._catalog.get(output))
        with self._guard:
            unsaved = self._unsaved.get(node.name, set())
            unsaved.discard(output)
            if not unsaved and output not in self._generated:
                self._ends(node)

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold the lock of a part of the run once more, without waiting for it."""
        with contextlib.ExitStack() as held:
            if part := self.parts.get(name):
                part.lock.acquire(wait=False)
                held.callback(part.lock.release)
            yield

    def close(self) -> None:
        """Release all locks."""
        for part in self.parts.values():
            while part.lock.held:
                part.lock.release()

    def _ends(self, node: Node) -> None:
        part = self._part(node)
        if part and node.name in part.pending:
            part.pending.discard(node.name)
            part.running.discard(node.name)
            if not part.pending:
                part.lock.release()

    def _let_go_of_tables(self, starting: _Part | None) -> None:
        """Let others have the tables while this run does other things; the dataset's page comes later."""
        tables = self.parts.get(TABLES)
        if tables and starting is not tables and not tables.running:
            tables.lock.release()

    def _part(self, node: Node) -> _Part | None:
        return self.parts.get(self._names[node.name])


class CellLocks:
    """Keep two processes from writing one cell, or the tables of one benchmark, at once.

    A node takes its lock before it reads. The lock is released when the run's nodes of that part have saved all.
    """

    def __init__(self) -> None:
        self._context: Any = None
        self._run: _Run | None = None

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Hold the context, which says where the run writes."""
        self._context = context

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Refuse at once a run of a cell that another process is writing."""
        self._require_no_other_run()
        self._end()
        only_missing = bool(run_params.get("only_missing_outputs"))
        nodes = [node for node in pipeline.nodes if not only_missing or _lacks_outputs(node, catalog)]
        run = _Run(pipeline, catalog, self._parts(pipeline.nodes, {node.name for node in nodes}))
        for part in run.parts.values():
            if part.pending and not part.waits:
                part.lock.check(_REMEDY)
        self._run = run
        atexit.register(run.close)  # after Ctrl-C, of which Kedro does not say anything to hooks

    @hook_impl(tryfirst=True)
    def before_dataset_loaded(self, dataset_name: str, node: Node) -> None:
        """Take the lock of the node that is about to read its first input."""
        if self._run:
            self._run.starts(node, dataset_name)

    @hook_impl(tryfirst=True)
    def before_node_run(self, node: Node) -> None:
        """Take the lock of a node that reads nothing."""
        if self._run:
            self._run.starts(node)

    @hook_impl(trylast=True)
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Release the lock after the last file that is written under it."""
        if self._run:
            self._run.saved(node, dataset_name)

    @hook_impl(trylast=True)
    def on_pipeline_error(self) -> None:
        """Release all locks."""
        self._end()

    @hook_impl(trylast=True)
    def after_pipeline_run(self) -> None:
        """Remove the states of finished trainings, and release all locks."""
        if self._run:
            self._run.states.discard(self._run.locked)
        self._end()

    def _end(self) -> None:
        if self._run:
            self._run.close()
            atexit.unregister(self._run.close)
        self._run = None

    def _require_no_other_run(self) -> None:
        other = self._run and self._run.thread
        if other and other is not threading.current_thread() and other.is_alive():
            raise UserError(
                "This process is running a pipeline already, and its locks are not meant for two at once."
                " Wait until that run has ended, or start another process."
            )

    def _parts(self, nodes: Iterable[Node], pending: set[str]) -> dict[str, _Part]:
        by_name: dict[str, set[str]] = {}
        for node in nodes if self._context is not None else ():
            if part := part_of(node):
                by_name.setdefault(part, set()).add(node.name)
        if not by_name:
            return {}
        root, loader = Path(self._context.project_path), self._context.config_loader
        return {
            name: _Part(lock_of(root, loader, name), name in _WAITED_FOR, nodes & pending)
            for name, nodes in by_name.items()
        }


def part_of(node: Node) -> str:
    """Return which part of a run a node belongs to: the tables, a method, an import, or, for comparisons, none: ""."""
    named = {*method_names(), IMPORT}
    return node.namespace if node.namespace in named else TABLES if TABLES in node.tags else ""


def lock_of(root: Path, loader: Any, part: str) -> CellLock:
    """Return the lock of a part of a run, in the folders that the configuration in force names."""
    parameters = loader["parameters"]
    if part == IMPORT:
        part = str(parameters.get("method"))
    here = {"benchmark": loader["globals"].get("benchmark"), "seed": parameters.get("seed"), "variant": ""}
    benchmark, seed, variant = ({**here, **parameters.get(CELLS, {}).get(part, {})}[name] for name in here)
    folder = root / FOLDER / str(benchmark)
    if part == TABLES:
        return CellLock(folder / "tables.lock", f"The tables of {benchmark}")
    own = f"{part}+{variant}" if variant else part
    return CellLock(folder / own / f"seed_{seed}.lock", f"{own}, seed {seed} of {benchmark}")


def _lacks_outputs(node: Node, catalog: DataCatalog) -> bool:
    """Return whether `--only-missing-outputs` runs the node, judged by its files."""
    files = [name for name in node.outputs if name in catalog]
    return any(not catalog.exists(name) for name in files if not getattr(catalog.get(name), "_EPHEMERAL", False))
