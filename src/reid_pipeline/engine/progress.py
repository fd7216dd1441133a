"""Progress bars with rates, on the console that the log lines use too."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich import progress as columns
from rich.text import Text

T = TypeVar("T")
run_ends = threading.Event()
"""Set when this process shall end: a signal reaches its main thread alone."""


class _RateColumn(columns.ProgressColumn):
    """Units per second."""

    def render(self, task: columns.Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} {task.fields['unit']}/s" if speed else f"- {task.fields['unit']}/s")


def progress_bar() -> columns.Progress:
    """Return a bar to which tasks with a `unit` field are added."""
    description = columns.TextColumn("{task.description}", markup=False)
    counts = columns.BarColumn(), columns.MofNCompleteColumn(), _RateColumn()
    return columns.Progress(
        columns.SpinnerColumn(), description, *counts, columns.TimeElapsedColumn(), columns.TimeRemainingColumn()
    )


def require_going_on() -> None:
    """Raise `KeyboardInterrupt` in any thread of a process that shall end."""
    if run_ends.is_set():
        raise KeyboardInterrupt


def track(steps: Iterable[T], description: str, *, total: int | None, unit: str, size: int = 1) -> Iterator[T]:
    """Yield `steps` while a bar shows how many units, `size` to a step, are done and at which rate."""
    with progress_bar() as bar:
        task = bar.add_task(description, total=total, unit=unit)
        for step in steps:
            require_going_on()
            yield step
            done = bar.tasks[0].completed
            bar.advance(task, size if total is None else min(size, total - done))


@contextmanager
def late_bar(unit: str = "steps", after: float = 2.0) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a report of (what, done, total), which shows a bar for each `what` after so many seconds."""
    tasks: dict[str, columns.TaskID] = {}
    bar, began = progress_bar(), time.monotonic()

    def report(what: str, done: int, total: int) -> None:
        require_going_on()
        if time.monotonic() - began < after:
            return
        if not tasks:
            bar.start()
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=total, unit=unit, completed=done)
        bar.update(tasks[what], completed=done)

    try:
        yield report
    finally:
        if tasks:
            bar.stop()
