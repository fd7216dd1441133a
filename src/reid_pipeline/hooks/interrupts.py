"""Ctrl-C, SIGTERM and SIGHUP end a run in order, and it says after which epoch the same command goes on."""

import contextlib
import inspect
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

import click
from kedro.framework.hooks import hook_impl
from kedro.framework.project import settings
from kedro.io import DataCatalog
from kedro.pipeline import Node
from rich import get_console

from reid_pipeline.engine.progress import require_going_on, run_ends
from reid_pipeline.io.weights import TrainingStateDataset

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP


@contextlib.contextmanager
def orderly_end() -> Iterator[None]:
    """Let the first signal end the block as Ctrl-C does, with a message, and a second one the process at once.

    The exit status is 128 and the signal's number, as shells expect. A signal that is ignored, as SIGHUP is under
    nohup, stays so. Where a library catches the first one, the run ends at its next batch or dataset.
    """
    received: list[int] = []
    found = {each: signal.getsignal(each) for name in _SIGNALS if (each := getattr(signal, name, None)) is not None}
    ours = [each for each, handler in found.items() if handler is not signal.SIG_IGN]

    def end(number: int, _: FrameType | None) -> None:
        received.append(number)
        run_ends.set()
        for each in ours:
            signal.signal(each, signal.SIG_DFL)
        raise KeyboardInterrupt

    with contextlib.ExitStack() as undone:
        if threading.current_thread() is threading.main_thread():
            for each in ours:
                signal.signal(each, end)
                undone.callback(signal.signal, each, found[each])
        undone.callback(run_ends.clear)
        try:
            yield
        except BaseException as error:
            if received or isinstance(error, KeyboardInterrupt):
                number = (received or [signal.SIGINT])[0]
                by = "" if number == signal.SIGINT else f" by {signal.Signals(number).name}"
                click.echo(f"Interrupted{by}{_standing()}", err=True)
                raise click.exceptions.Exit(128 + number) from error
            raise


@dataclass(frozen=True)
class _Training:
    """A training that began: the epoch that is stored, 0 for none, of how many, and whether this run stored it."""

    node: str
    epoch: int = 0
    epochs: int | None = None
    ours: bool = False

    def __str__(self) -> str:
        if not self.epoch:
            return f"No epoch of {self.node} is stored: the same command begins it anew."
        if not self.ours:
            return f"This run has stored no epoch of {self.node}: the same command begins where this one did."
        if self.epoch == self.epochs:
            return f"All {self.epochs} epochs of {self.node} are stored: the same command goes on after them."
        of = f" of {self.epochs}" if self.epochs else ""
        return f"Epoch {self.epoch}{of} of {self.node} is stored: the same command goes on after it."


class Standing:
    """What is stored of a run that ends before its end."""

    def __init__(self) -> None:
        self.before_pipeline_run(DataCatalog())

    @hook_impl
    def before_pipeline_run(self, catalog: DataCatalog) -> None:
        """Forget the run before, in a process that makes several."""
        self._catalog = catalog
        self._node = ""
        self._training: _Training | None = None

    @hook_impl(tryfirst=True)
    def before_dataset_loaded(self, node: Node) -> None:
        """Note where the run is; in a thread of ThreadRunner, end with the run."""
        require_going_on()
        self._node = node.name

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any, node: Node) -> None:
        """Note what a training goes on from."""
        if inspect.isgeneratorfunction(node.func) and self._is_state(dataset_name):
            self._training = _Training(node.name, data["epoch"] if data else 0)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """Note an epoch that was stored."""
        if self._is_state(dataset_name):
            self._training = _Training(node.name, data["epoch"], data.get("epochs"), ours=True)
        require_going_on()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Print how to go on with a training that was cut."""
        if self._training and self._training.epoch:
            get_console().print(f"\n{self._training}\n", markup=False, highlight=False, soft_wrap=True)

    def text(self) -> str:
        """Return where the run is and from where the same command goes on, to follow "Interrupted"."""
        if not self._node:
            return ". Nothing had begun: give the same command again."
        if self._training and self._training.node == self._node:
            return f". {self._training}"
        return f" in {self._node}. {self._training or 'What was finished is stored: the same command does the rest.'}"

    def _is_state(self, name: str) -> bool:
        return isinstance(self._catalog.get(name), TrainingStateDataset)


def _standing() -> str:
    return next((hook.text() for hook in settings.HOOKS if isinstance(hook, Standing)), ".")
