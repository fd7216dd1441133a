"""Results of finished runs, as their pipelines wrote them."""

import re
from pathlib import Path
from typing import Any, TypeVar

from kedro.io import AbstractDataset

from reid_pipeline.io.records import read_json
from reid_pipeline.schema.addresses import Cell, address, parse_folder
from reid_pipeline.schema.earlier_records import read_record
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.records import Breakdown, Metrics, Run, RunCard

Told = TypeVar("Told", Metrics, RunCard, Breakdown)

_NEEDED = ("metrics", "run_card")
_SHOWN = 12
_SEED_FOLDER = re.compile(r"seed_(0|[1-9][0-9]*)")


class RunResultsDataset(AbstractDataset[Any, list[Run]]):
    """The finished runs of one benchmark: metrics.json and run_card.json of `<method>[+<variant>]/seed_<n>/`.

    Read only. `breakdown.json` is read where it is there; git keeps the other two alone.

    Args:
        filepath: the benchmark's folder of results; its name is the benchmark's.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> list[Run]:
        """Return each finished run, by method, variant and seed.

        A run that has neither metrics nor a run card yet, because it is training, is none.

        Raises:
            UserError: there is no finished run, a file is missing or is no whole record, says that it is of
                another run than its folder, or was made from other files than those beside it.
        """
        runs = self._runs()
        if not runs:
            name = self._folder.name
            raise UserError(
                f"There are no results of {name} in {self._folder}: nothing to compare. Run a method first:"
                " kedro run --pipeline=zero_shot, with --env and --params as here."
            )
        return [_read_run(folder, cell) for folder, cell in runs]

    def save(self, data: Any) -> None:
        """Refuse: each run writes its own results."""
        raise UserError(f"Results in {self._folder} are read only; {type(data).__name__} was not written.")

    def _runs(self) -> list[tuple[Path, Cell]]:
        """Return the folders of runs that have written a result, by method, variant and seed."""
        found = [
            (folder, self._cell(*parse_folder(folder.parent.name), int(match[1])))
            for folder in self._folder.glob("*/seed_*")
            if (match := _SEED_FOLDER.fullmatch(folder.name)) and any(_file(folder, name).exists() for name in _NEEDED)
        ]
        return sorted(found, key=lambda each: (each[1].method, each[1].variant, each[1].seed))

    def _cell(self, method: str, variant: str, seed: int) -> Cell:
        return Cell(benchmark=self._folder.name, method=method, variant=variant, seed=seed)

    def _exists(self) -> bool:
        return bool(self._runs())

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}


def _read_run(folder: Path, cell: Cell) -> Run:
    metrics, run_card = _read(Metrics, folder, "metrics", cell), _read(RunCard, folder, "run_card", cell)
    breakdown = None
    if _file(folder, "breakdown").exists():
        breakdown = _read(Breakdown, folder, "breakdown", cell)
    run = Run(metrics, run_card, breakdown)
    _require_of_one_make(folder, run, cell)
    return run


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def _again(folder: Path, cell: Cell) -> str:
    return (
        f"Make it anew: kedro run --pipeline={cell.method} --params seed={cell.seed}, with --env, collection"
        f" and other parameters as that run had them; or remove {folder}."
    )


def _read(model: type[Told], folder: Path, name: str, cell: Cell) -> Told:
    file, again = _file(folder, name), _again(folder, cell)
    if not file.exists():
        others = " and ".join(f"{each}.json" for each in _NEEDED if each != name)
        raise UserError(f"{file} is missing, though {others} is there: that run has not finished. {again}")
    found = read_record(model, read_json(file, again=again), where=str(file), again=again)
    if address(found) != address(cell):
        raise UserError(
            f"{file} says that it is of {address(found)}, and lies in the folder of {address(cell)}. Move it"
            " back, or remove it and run that method again."
        )
    return found


def _require_of_one_make(folder: Path, run: Run, cell: Cell) -> None:
    """Refuse files that were not made from one another, where they say what they were made from."""
    metrics, card = run.metrics.origin, run.run_card.origin
    breakdown = run.breakdown.origin if run.breakdown else None
    pairs = [
        ("run_card", "metrics", card and card.made_from.get("metrics"), metrics and metrics.digest),
        (
            "breakdown",
            "embeddings",
            breakdown and breakdown.made_from.get("embeddings"),
            metrics and metrics.made_from.get("embeddings"),
        ),
    ]
    for name, source, said, present in pairs:
        if said and present and said != present:
            raise UserError(
                f"{_file(folder, name)} was made from other {source} than {_file(folder, 'metrics')} tells:"
                f" {said[:_SHOWN]}, not {present[:_SHOWN]}. They are not of one run. {_again(folder, cell)}"
            )
