"""Results of finished runs, as their pipelines wrote them."""

import re
from pathlib import Path
from typing import TypeVar

from reid_pipeline.io.base import ReadOnlyDataset
from reid_pipeline.io.listing import is_there, subfolders
from reid_pipeline.io.records import read_json
from reid_pipeline.schema.addresses import Cell, address, parse_folder
from reid_pipeline.schema.earlier_records import read_record
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.records import Breakdown, Metrics, Run, RunCard

_Result = TypeVar("_Result", Metrics, RunCard, Breakdown)

_NEEDED = ("metrics", "run_card")
_SHOWN = 12  # digits of a digest, in messages
_SEED_FOLDER = re.compile(r"seed_(0|[1-9][0-9]*)")


def cell_of(folder: Path) -> Cell | None:
    """Return the cell of a folder `<benchmark>/<method>[+<variant>]/seed_<n>`, None for another folder."""
    seed = _SEED_FOLDER.fullmatch(folder.name)
    if not seed:
        return None
    method, variant = parse_folder(folder.parent.name)
    return Cell(benchmark=folder.parents[1].name, method=method, variant=variant, seed=int(seed[1]))


class RunResultsDataset(ReadOnlyDataset[list[Run]]):
    """The finished runs of one benchmark, which the folder is named after; git does not track `breakdown.json`."""

    _refusal = "Results in {path} are read only; {kind} was not written."

    def load(self) -> list[Run]:
        """Return each finished run, by method, variant and seed; one still training is left out.

        Raises:
            UserError: there is no finished run, a file is missing or is no whole record, is of another run
                than its folder, or was made from other files than those beside it.
        """
        runs = self._runs()
        if not runs:
            raise UserError(
                f"There are no results of {self._filepath.name} in {self._filepath}: nothing to compare. Run a method"
                " first: kedro run --pipeline=zero_shot, with --env and --params as here."
            )
        return [_read_run(folder, cell) for folder, cell in runs]

    def _runs(self) -> list[tuple[Path, Cell]]:
        """Return the folders of runs that have written a result, by method, variant and seed."""
        found = [
            (folder, cell)
            for method in subfolders(self._filepath)
            for folder in subfolders(method)
            if (cell := cell_of(folder)) and any(is_there(folder / f"{name}.json") for name in _NEEDED)
        ]
        return sorted(found, key=lambda run: (run[1].method, run[1].variant, run[1].seed))

    def _exists(self) -> bool:
        return bool(self._runs())


def _read_run(folder: Path, cell: Cell) -> Run:
    """Read a run's files; refuse those not made from one another, as far as they record what they were made from."""
    metrics, run_card = _read(Metrics, folder, "metrics", cell), _read(RunCard, folder, "run_card", cell)
    has_breakdown = (folder / "breakdown.json").exists()
    breakdown = _read(Breakdown, folder, "breakdown", cell) if has_breakdown else None
    of_metrics = {**metrics.origin.made_from, "metrics": metrics.origin.digest} if metrics.origin else {}
    for name, record, source in (("run_card", run_card, "metrics"), ("breakdown", breakdown, "embeddings")):
        recorded = record.origin.made_from.get(source) if record and record.origin else None
        present = of_metrics.get(source)
        if recorded and present and recorded != present:
            raise UserError(
                f"{folder / name}.json was made from other {source} than {folder / 'metrics'}.json tells:"
                f" {recorded[:_SHOWN]}, not {present[:_SHOWN]}. They are not of one run. {_again(folder, cell)}"
            )
    return Run(metrics, run_card, breakdown)


def _again(folder: Path, cell: Cell) -> str:
    return (
        f"Make it anew: kedro run --pipeline={cell.method} --params seed={cell.seed}, with --env, collection"
        f" and other parameters as that run had them; or remove {folder}."
    )


def _read(model: type[_Result], folder: Path, name: str, cell: Cell) -> _Result:
    file, again = folder / f"{name}.json", _again(folder, cell)
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
