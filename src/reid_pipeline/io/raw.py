"""Raw image folders: what lies there, and the drawn benchmark that fills its own."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kedro.io import AbstractDataset
from pydantic import ValidationError

from reid_pipeline.io.atomic import replacing
from reid_pipeline.schema.errors import UserError, explain, nearest
from reid_pipeline.schema.raw_folder import RawFolder

if TYPE_CHECKING:
    from reid_drawings.parameters import DrawnBenchmark

PROVENANCE = "drawn_from.json"
_REAL = {"people": "market1501", "vehicles": "veri776"}
"""What can be drawn, and the environment that reads the real thing."""


class RawFolderDataset(AbstractDataset[Any, RawFolder]):
    """A folder of images as distributed; loading lists it, sorted, and opens nothing.

    Args:
        filepath: the folder, or a link to it.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._root = Path(filepath)
        self.metadata = metadata

    def load(self) -> RawFolder:
        """List the folder.

        Raises:
            UserError: it is missing, no folder, or empty.
        """
        self.check()
        return RawFolder(self._root, tuple(sorted(_walk(self._root))))

    def check(self) -> None:
        """Find out cheaply whether loading can succeed; raises as `load` does."""
        _check_folder(self._root)

    def save(self, data: Any) -> None:
        """Refuse: raw data is never written by a pipeline."""
        raise UserError(f"Raw folder {self._root} is read only; {type(data).__name__} was not written.")

    def _exists(self) -> bool:
        return self._root.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._root)}


class SyntheticBenchmarkDataset(RawFolderDataset):
    """The drawn benchmark: loading draws it into its folder unless just that drawing is there already.

    Args:
        filepath: the folder to draw into.
        drawing: parameters of `synthetic.SyntheticBenchmark`, or of `synthetic.SyntheticVehicles`; those left
            out have its defaults.
        kind: what is drawn.

    Raises:
        UserError: there is no such kind.
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
        """Draw if needed, then list the folder.

        Raises:
            UserError: a parameter of the drawing is wrong, or the folder holds something that the
                project did not draw.
        """
        parameters = self._parameters()
        wanted = parameters.model_dump(mode="json")
        if self._drawn_from() != wanted:
            self._draw(parameters, wanted)
        return RawFolder(self._root, tuple(path for path in sorted(_walk(self._root)) if path != PROVENANCE))

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
        if not self._root.exists() or not any(self._root.iterdir()):
            return None
        record = self._root / PROVENANCE
        if not record.is_file():
            raise UserError(
                f"{self._root} holds files that this project did not draw ({PROVENANCE} is missing), and"
                f" they are not overwritten. Move them away, or read them with --env={_REAL[self._kind]}"
                " --params raw_root=<folder>."
            )
        found: dict[str, Any] = json.loads(record.read_text())
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
        with replacing(self._root) as folder:
            for path, content in files.items():
                file = folder / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            (folder / PROVENANCE).write_text(json.dumps(provenance, indent=2, sort_keys=True) + "\n")

    def _exists(self) -> bool:
        return (self._root / PROVENANCE).is_file()


def _check_folder(root: Path) -> None:
    if root.is_symlink() and not root.exists():
        raise UserError(f"Raw folder {root} is a link to {root.readlink()}, which does not exist. Mend it.")
    if not root.exists():
        raise UserError(
            f"Raw folder {root} does not exist. Link the benchmark there"
            f" (ln -s <where it lies> {root}), or pass --params raw_root=<folder>."
        )
    if not root.is_dir():
        raise UserError(f"Raw folder {root} is a file. Unpack the archive and link the folder instead.")
    if not any(root.iterdir()):
        raise UserError(
            f"Raw folder {root} is empty. Put or link the benchmark's files there, or pass --params raw_root=<folder>."
        )


def _walk(root: Path) -> list[str]:
    found = []
    for folder, _, names in os.walk(root, followlinks=True):
        below = Path(folder).relative_to(root)
        found += [(below / name).as_posix() for name in names]
    return found
