"""Progress bars with rates, on the console that the log lines use too."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

T = TypeVar("T")


class _RateColumn(ProgressColumn):
    """Units per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} {task.fields['unit']}/s" if speed else f"- {task.fields['unit']}/s")


def progress_bar() -> Progress:
    """Return a bar to which tasks with a `unit` field are added."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )


def track(steps: Iterable[T], description: str, *, total: int | None, unit: str, size: int = 1) -> Iterator[T]:
    """Yield `steps` while a bar shows how many units, `size` to a step, are done and at which rate."""
    with progress_bar() as bar:
        task = bar.add_task(description, total=total, unit=unit)
        for step in steps:
            yield step
            done = bar.tasks[0].completed
            bar.advance(task, size if total is None else min(size, total - done))
