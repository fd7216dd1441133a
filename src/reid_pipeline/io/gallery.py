"""A gallery under its two names in the catalog, and what goes into it: its model, images, clusters of a run."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset

from reid_pipeline.io.base import ReadOnlyDataset, UnreadableFile
from reid_pipeline.io.embedded_images import EarlierEmbeddedDataset, read_embedded_images
from reid_pipeline.io.listed_images import read_listed
from reid_pipeline.io.listing import subfolders
from reid_pipeline.io.named_embedder import NamedEmbedderDataset
from reid_pipeline.schema.errors import UserError, first_few, nearest
from reid_pipeline.schema.model_files import ADDRESS, FORMS

if TYPE_CHECKING:
    from reid_pipeline.gallery import Gallery
    from reid_pipeline.gallery.operations import Changed, Operation
    from reid_pipeline.models.embedder import Embedder
    from reid_pipeline.schema.embedded_images import EmbeddedImages
    from reid_pipeline.schema.listed_images import ListedImages

NO_GALLERY = "no_gallery"
"""What the catalog calls a gallery that was not named."""
_log = logging.getLogger(__name__)


class GalleryDataset(ReadOnlyDataset["Gallery | None"]):
    """The folder of a gallery, which is read."""

    _refusal = "{path} is read only under this name: a change is saved as changed_gallery; {kind} was not written."

    def load(self) -> "Gallery | None":
        """Return the gallery as it is now, or None where there is none yet."""
        from reid_pipeline.gallery import Gallery
        from reid_pipeline.gallery.operations import is_gallery

        return Gallery.open(self._filepath) if is_gallery(self._filepath) else None

    def require(self, *, may_be_new: bool = False) -> None:
        """Refuse a gallery that was not named, or is not there unless it `may_be_new`, before anything reads it."""
        from reid_pipeline.gallery.operations import is_gallery

        folder, name = self._filepath.parent, self._filepath.name
        others = [each.name for each in subfolders(folder) if is_gallery(each)] if folder.is_dir() else []
        there = f" There are: {first_few(others)}." if others else " There is none yet: enrol images first."
        if name == NO_GALLERY:
            raise UserError(f"Which gallery? Give --params gallery=<name>.{there}")
        if not may_be_new and name not in others:
            raise UserError(f"There is no gallery {name!r} in {folder}.{nearest(name, others)}{there}")

    def _exists(self) -> bool:
        return True  # an absent gallery is None


class ChangedGalleryDataset(AbstractDataset["Operation", "Changed"]):
    """The same folder, which takes an operation.

    Kedro refuses a node whose output is its input, and a node has no effect beside its outputs. So a node reads
    `gallery` and returns an operation (`gallery.operations`) as `changed_gallery`. Saving it carries it out by one
    method of the gallery, which holds the gallery's lock and is safe against a kill.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata
        self._done: tuple[str, ...] = ()

    def load(self) -> "Changed":
        """Return the gallery after the operation, and what that did."""
        from reid_pipeline.gallery import Gallery
        from reid_pipeline.gallery.operations import Changed

        return Changed(Gallery.open(self._filepath), self._done)

    def save(self, data: "Operation") -> None:
        """Carry the operation out."""
        self._done = tuple(data.carry_out(self._filepath))

    def _exists(self) -> bool:
        return self._filepath.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class GalleryEmbedderDataset(ReadOnlyDataset["Embedder | None"]):
    """The model to embed with: the one that the run names, else the one that the gallery was made with.

    Args:
        filepath: the gallery's folder.
        model: the embedder's file, None where the run names none.
        images: what is to be embedded; where that is embedded already, there is no model.
        metadata: for kedro viz.
    """

    _refusal = "The model of {path} is read only here; {kind} was not written."

    def __init__(
        self,
        *,
        filepath: str,
        model: str | None = None,
        images: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self._model, self._images = model, images

    def load(self) -> "Embedder | None":
        """Return the embedder; a UserError says that no model is named, or that the gallery's is gone."""
        if _are_embedded(self._images):
            return None
        return NamedEmbedderDataset(model=self._model or self.file()).load()

    def require(self) -> None:
        """Refuse a run that has no model, before any work; whether the file is sound is not looked at."""
        if not _are_embedded(self._images) and self._model is None and self.file() is None:
            raise UserError(f"Which model? A new gallery takes the one of its first images: --params model={FORMS}.")

    def file(self) -> str | None:
        """Return the file of the gallery's model, as it is noted; None without a gallery or a note."""
        from reid_pipeline.gallery import Gallery
        from reid_pipeline.gallery.operations import is_gallery

        origin = Gallery.open(self._filepath).origin if is_gallery(self._filepath) else None
        noted = None if origin is None else origin.parameters.get("model")
        if noted and not Path(noted).is_file():
            raise UserError(
                f"The model of gallery {self._filepath.name} lay in {noted}, and is not there. Bring it back, or give"
                " its new place: --params model=<cell or file>."
            )
        return noted or None

    def _exists(self) -> bool:
        return True


class GivenImagesDataset(ReadOnlyDataset["EmbeddedImages | ListedImages | None"]):
    """What `images` names: embedded already, by the pipeline embed, or to be embedded; None where none is named.

    Args:
        images: the folder or file, in full.
        metadata: for kedro viz.
    """

    _refusal = "What images names is read, not written; got {kind}."

    def __init__(self, *, images: str | None = None, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath=images or "", metadata=metadata)
        self._given = images is not None

    def load(self) -> "EmbeddedImages | ListedImages | None":
        """Return the images; a UserError says what is wrong with what was named."""
        if not self._given:
            return None
        if _are_embedded(str(self._filepath)):
            return read_embedded_images(self._filepath)
        found = read_listed(self._filepath)
        for note in found.notes:
            _log.info("%s", note)
        return found

    def _exists(self) -> bool:
        return not self._given or self._filepath.exists()


class RunClustersDataset(ReadOnlyDataset[Any]):
    """The clusters of a run, as a table of path, cluster, name and camera; None where none are named.

    Args:
        filepath: the folder of all cells' reports.
        clusters_of: a cell's address, or a clusters.csv or clusters.parquet; None for none.
        metadata: for kedro viz.
    """

    def __init__(
        self, *, filepath: str, clusters_of: str | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self._of = clusters_of

    def load(self) -> Any:
        """Return the table, or None."""
        if self._of is None:
            return None
        import pandas as pd

        file = self.file()
        try:
            table = pd.read_parquet(file) if file.suffix == ".parquet" else _csv(file)
        except (OSError, ValueError) as error:
            raise UnreadableFile(file, f"{file} cannot be read as a table: {error}.") from error
        if missing := [name for name in ("path", "cluster") if name not in table.columns]:
            raise UserError(
                f"{file} has no column {' and none '.join(missing)}; a run's clusters.csv has path, cluster and name."
            )
        return table

    def file(self) -> Path:
        """Return the file that is meant; a UserError where there is none."""
        given = str(self._of)
        if ADDRESS.fullmatch(given):
            known = [each.parent.relative_to(self._filepath).as_posix() for each in self._cells()]
            file = self._filepath / given / "clusters.parquet"
        else:
            known, file = [], self._filepath.parents[1] / Path(given).expanduser()
        if not file.is_file():
            raise UserError(
                f"Parameter clusters_of is {given!r}, and there is no {file}.{nearest(given, known)} Give the address"
                " of a cell, <collection>/<method>[+<variant>]/seed_<n>, or its clusters.csv."
            )
        return file

    def _cells(self) -> list[Path]:
        return sorted(self._filepath.glob("*/*/seed_*/clusters.parquet"))

    def _exists(self) -> bool:
        return True


def _are_embedded(images: str | None) -> bool:
    """Return whether images are a file that the pipeline embed wrote."""
    return images is not None and EarlierEmbeddedDataset(filepath=images).load() is not None


def _csv(file: Path) -> Any:
    import pandas as pd

    return pd.read_csv(file, sep=None, engine="python", encoding="utf-8-sig", dtype=str, keep_default_na=False)
