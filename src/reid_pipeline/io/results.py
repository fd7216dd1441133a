"""Results of finished runs, as their pipelines wrote them."""

import json
import re
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from reid_pipeline.schema.addresses import parse_folder
from reid_pipeline.schema.errors import UserError, first_few

_NAMED_ALIKE = ("benchmark", "method", "variant", "seed")
_KINDS: dict[str, dict[str, type]] = {"metrics": {}, "run_card": {"data_hash": str, "parameters": dict}}
"""What decides which runs may be averaged, and must be there."""
_OPTIONAL = "breakdown"
_SEED_FOLDER = re.compile(r"seed_(0|[1-9][0-9]*)")


class RunResultsDataset(AbstractDataset[Any, list[dict[str, Any]]]):
    """The finished runs of one benchmark, from its folder.

    They are `<method>[+<variant>]/seed_<n>/{metrics,run_card}.json`. `breakdown.json` is read where it is
    there; git keeps the other two alone. Read only.

    Args:
        filepath: the benchmark's folder of results; its name is the benchmark's.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> list[dict[str, Any]]:
        """Return a record for each finished run, by method, variant and seed.

        It has `method`, `variant` (empty for the parameters in conf/), `seed`, `metrics`, `run_card`, and
        `breakdown` where that file is there. A run that
        has neither of the first two yet, because it is training, is none.

        Raises:
            UserError: there is no finished run, a file is missing or cannot be read, or says that it is of
                another run than its folder.
        """
        runs = self._seed_folders()
        if not runs:
            name = self._folder.name
            raise UserError(
                f"There are no results of {name} in {self._folder}: nothing to compare. Run a method first:"
                f" kedro run --pipeline=zero_shot --env={name}"
            )
        return [self._record(folder, seed) for folder, seed in runs]

    def save(self, data: Any) -> None:
        """Refuse: each run writes its own results."""
        raise UserError(f"Results in {self._folder} are read only; {type(data).__name__} was not written.")

    def _seed_folders(self) -> list[tuple[Path, int]]:
        """Return the folders of runs that have written a result, with their seeds, in order."""
        found = [
            (folder, int(match[1]))
            for folder in self._folder.glob("*/seed_*")
            if (match := _SEED_FOLDER.fullmatch(folder.name))
            and any(_file(folder, name).exists() for name in _KINDS)
        ]
        return sorted(found, key=lambda each: (*parse_folder(each[0].parent.name), each[1]))

    def _record(self, folder: Path, seed: int) -> dict[str, Any]:
        method, variant = parse_folder(folder.parent.name)
        record: dict[str, Any] = {"method": method, "variant": variant, "seed": seed}
        expected = {"benchmark": self._folder.name, **record}
        optional = [_OPTIONAL] if _file(folder, _OPTIONAL).exists() else []
        for name in [*_KINDS, *optional]:
            file = _file(folder, name)
            content = _read(file, _KINDS.get(name, {}))
            told = {key: content.get(key, "" if key == "variant" else None) for key in _NAMED_ALIKE}
            if told != expected:
                raise UserError(
                    f"{file} says that it is of {_named(told)}, and lies in the folder of {_named(expected)}."
                    " Move it back, or remove it and run that method again."
                )
            record[name] = content
        return record

    def _exists(self) -> bool:
        return bool(self._seed_folders())

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def _read(file: Path, kinds: dict[str, type]) -> dict[str, Any]:
    again = f"Run that method and seed again, or remove {file.parent}."
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        others = " and ".join(f"{name}.json" for name in _KINDS if _file(file.parent, name) != file)
        raise UserError(
            f"{file} is missing, though {others} is there: that run has not finished. {again}"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read as JSON: {error}. {again}") from error
    if not isinstance(content, dict):
        raise UserError(f"{file} holds a {type(content).__name__}, not the record of a run. {again}")
    absent = [name for name, kind in kinds.items() if not isinstance(content.get(name), kind)]
    if absent:
        raise UserError(f"{file} does not tell {first_few(absent)}: it is no whole record of a run. {again}")
    return content


def _named(told: dict[str, Any]) -> str:
    variant = f" ({told['variant']})" if told["variant"] else ""
    return f"{told['method']}{variant} on {told['benchmark']}, seed {told['seed']}"
