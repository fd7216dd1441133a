"""Raw image folders: what they contain, and the drawn benchmark that fills its own."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from reid_pipeline.io.base import ReadOnlyDataset
from reid_pipeline.io.listing import has_entries, list_files
from reid_pipeline.io.records import read_json
from reid_pipeline.io.replacing import replacing
from reid_pipeline.schema.errors import UserError, explain, nearest, printable
from reid_pipeline.schema.raw_folder import RawFolder

if TYPE_CHECKING:
    from reid_drawings.parameters import DrawnBenchmark

PROVENANCE = "drawn_from.json"
_REAL = {"people": "market1501", "vehicles": "veri776"}  # what can be drawn, and where real images of it are read


class RawFolderDataset(ReadOnlyDataset[RawFolder]):
    """A folder of images as distributed, or a link to it; loading lists it, sorted, and opens nothing."""

    _refusal = "Raw folder {path} is read only; {kind} was not written."

    def load(self) -> RawFolder:
        """List the folder; one that is missing, no folder, empty, or cannot be listed is refused."""
        self.check()
        return list_files(self._filepath)

    def check(self) -> None:
        """Find out cheaply whether loading can succeed; raises as `load` does."""
        if not has_entries(self._filepath):
            raise UserError(
                f"Raw folder {printable(str(self._filepath))} is empty. Put or link the benchmark's files there, or"
                " pass --params raw_root=<folder>."
            )


class SyntheticBenchmarkDataset(RawFolderDataset):
    """The drawn benchmark: loading draws it into its folder unless the same drawing is there already.

    `drawing` has parameters of `reid_drawings.parameters`; those left out have their defaults.
    """

    def __init__(
        self,
        *,
        filepath: str,
        drawing: dict[str, Any] | None = None,
        kind: Literal["people", "vehicles"] = "people",
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        if kind not in _REAL:
            raise UserError(f"kind: {kind!r} cannot be drawn.{nearest(kind, _REAL)} It is one of: {', '.join(_REAL)}.")
        self._kind = kind
        self._drawing = {name: value for name, value in (drawing or {}).items() if value is not None}

    def load(self) -> RawFolder:
        """Draw if needed, then list the folder; one with files that the project did not draw is refused."""
        parameters = self._parameters()
        wanted = parameters.model_dump(mode="json")
        if self._drawn_from() != wanted:
            self._draw(parameters, wanted)
        found = list_files(self._filepath)
        return replace(found, files=tuple(path for path in found.files if path != PROVENANCE))

    def check(self) -> None:
        """Find out, without drawing, whether loading can succeed; raises as `load` does."""
        self._parameters()
        self._drawn_from()

    def _parameters(self) -> "DrawnBenchmark":
        from reid_drawings.parameters import SyntheticBenchmark, SyntheticVehicles

        model = SyntheticVehicles if self._kind == "vehicles" else SyntheticBenchmark
        try:
            return model(**self._drawing)
        except ValidationError as error:
            raise UserError(explain(error, "synthetic")) from error

    def _drawn_from(self) -> dict[str, Any] | None:
        if not has_entries(self._filepath, may_be_absent=True):
            return None
        record = self._filepath / PROVENANCE
        if not record.exists():
            raise UserError(
                f"{self._filepath} holds files that this project did not draw ({PROVENANCE} is missing), and"
                f" they are not overwritten. Move them away, or read them with --env={_REAL[self._kind]}"
                " --params raw_root=<folder>."
            )
        again = (
            "It says what was drawn there: whether files of yours lie beside it is not known, and they are not"
            f" overwritten. Remove {self._filepath}, and it is drawn anew."
        )
        found = read_json(record, again=again)
        if not isinstance(found, dict):
            raise UserError(f"{record} holds a {type(found).__name__}, and not what was drawn. {again}")
        return found

    def _draw(self, parameters: Any, provenance: dict[str, Any]) -> None:
        from reid_drawings import benchmark_images, draw_benchmark, draw_vehicles, vehicle_images
        from reid_pipeline.engine.progress import progress_bar
        from reid_pipeline.readers import lay_out

        vehicles = self._kind == "vehicles"
        total = len(vehicle_images(parameters) if vehicles else benchmark_images(parameters))
        with progress_bar() as bar:
            task = bar.add_task(f"draw {self._kind}", total=total, unit="images")

            def advance(done: int) -> None:
                bar.update(task, completed=done)

            if vehicles:
                files = lay_out("synthetic_vehicles", draw_vehicles(parameters, on_image=advance))
            else:
                files = draw_benchmark(parameters, on_image=advance)
        with replacing(self._filepath) as folder:
            for path, content in files.items():
                file = folder / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            (folder / PROVENANCE).write_text(json.dumps(provenance, indent=2, sort_keys=True) + "\n")

    def _exists(self) -> bool:
        return (self._filepath / PROVENANCE).is_file()
