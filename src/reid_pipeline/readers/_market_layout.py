"""The layout that Market-1501 began: three folders, and file names with identity and camera."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from reid_pipeline.readers import _folder
from reid_pipeline.schema.benchmark import Benchmark, Reading
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder

FOLDERS = {"bounding_box_train": "train", "query": "query", "bounding_box_test": "gallery"}


@dataclass(frozen=True)
class MarketLayout:
    """How one benchmark fills the layout; `identity` gives identity and pid of a subset and a number."""

    benchmark: Benchmark
    file_name: re.Pattern[str]  # matches a whole file name; groups `pid` and `camera` (from 1)
    grammar: str  # what a file name is, in words, with an example
    folders: Mapping[str, str] = field(default_factory=lambda: FOLDERS)
    identity: Callable[[str, str], tuple[str, int]] = lambda _, number: (number, int(number))
    name_of: Callable[[_folder.Picture], str] = lambda picture: (
        f"{picture.identity:04d}_c{picture.camera + 1}_f{picture.frame:07d}.jpg"
    )
    distractors: bool = False  # whether file names can say that somebody is a distractor or junk

    def read(self, raw: RawFolder, ingestion: IngestionParameters) -> Reading:
        """Turn the file names of three folders into the manifest, without opening a file.

        Files elsewhere are left aside. Linear in files.

        Raises:
            UserError: a folder is missing, empty or there twice; a name or its camera is none of the benchmark's;
                `ingestion.variant` names a version that does not exist.
        """
        _folder.check_variant(ingestion, self.benchmark)
        return Reading(_folder.manifest_of(self.images(raw)))

    def images(self, raw: RawFolder) -> list[_folder.Image]:
        """Return the images of the three folders; see `read`."""
        place = _folder.only_place(raw, self.benchmark, self.folders)
        images: list[_folder.Image] = []
        strange: list[str] = []
        for path in raw.files:
            folder, _, name = path.removeprefix(place).partition("/")
            subset = self.folders.get(folder) if path.startswith(place) else None
            if subset is None or "/" in name or _folder.is_system_file(name):
                continue
            if match := self.file_name.fullmatch(name):
                who = self.identity(subset, match["pid"])
                images.append(_folder.Image(path, *who, subset, camid=int(match["camera"]) - 1))
            else:
                strange.append(path)
        _folder.refuse(
            strange,
            "{count} file names are not {title}'s: {cases}. A name is {grammar}. Rename or remove these files.",
            title=self.benchmark.title,
            grammar=self.grammar,
        )
        found = {image.subset for image in images}
        if missing := [folder for folder, subset in self.folders.items() if subset not in found]:
            raise _folder.absent(raw, self.benchmark, missing)
        _folder.check_cameras(images, self.benchmark)
        return images

    def lay_out(self, pictures: Iterable[_folder.Picture]) -> dict[str, bytes]:
        """Name pictures as the benchmark is distributed, in its archive's folder."""
        folder_of = {subset: folder for folder, subset in self.folders.items()}
        return {
            f"{self.benchmark.archives[0]}/{folder_of[picture.subset]}/{self.name_of(picture)}": picture.data
            for picture in pictures
            if picture.identity > 0 or self.distractors
        }
