"""What readers share: where a benchmark lies, its lists, rows to a manifest, refusals; pictures that get its names."""

import re
from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple, Protocol

import pandas as pd

from reid_pipeline.schema.benchmark import Benchmark
from reid_pipeline.schema.columns import CAMERA, CAMID, IDENTITY, PATH, PID, SUBSET, TEST_SETS, TRACKID, VIEWID
from reid_pipeline.schema.errors import UserError, first_few, nearest
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder

# Left by file managers in many copies of the archives; macOS writes one `._<name>` beside every file.
_SYSTEM_FILES = frozenset({"Thumbs.db", ".DS_Store", "desktop.ini"})
_LONGEST_SHOWN = 60  # characters of a line in a message

VIEWPOINTS = ("front", "rear", "left", "left front", "left rear", "right", "right front", "right rear")
"""What the numbers of vehicles' viewpoints mean, by index; those of VeRi-776's key-point files."""


class Image(NamedTuple):
    """One row of a manifest; see `schema.tables.MANIFEST`. Cameras are published by their number from 1."""

    path: str
    identity: str
    pid: int
    subset: str
    camid: int | None = None
    test_sets: str = ""


def manifest_of(images: Iterable[Image]) -> pd.DataFrame:
    """Return the manifest of `images`, sorted by path, with the columns' types."""
    table = pd.DataFrame(images, columns=Image._fields).sort_values(PATH, ignore_index=True)
    table = table.astype({CAMID: "Int64", PID: "int64", **dict.fromkeys((PATH, IDENTITY, SUBSET, TEST_SETS), "str")})
    table[CAMERA] = (table[CAMID] + 1).astype("str").fillna("")
    table[VIEWID] = table[TRACKID] = pd.Series(pd.NA, table.index, dtype="Int64")
    return table[[PATH, IDENTITY, SUBSET, TEST_SETS, CAMERA, PID, CAMID, VIEWID, TRACKID]]


def is_system_file(path: str) -> bool:
    """Return whether a file manager left this file, which is then no data."""
    name = path.rsplit("/", 1)[-1]
    return name in _SYSTEM_FILES or name.startswith("._")


def refuse(cases: Collection[object], message: str, **words: object) -> None:
    """Raise a `UserError` if there are cases; `message` may hold their {count}, the first {cases}, and `words`."""
    if cases:
        raise UserError(message.format(count=len(cases), cases=first_few(list(cases)), **words))


def places(raw: RawFolder, benchmark: Benchmark, folders: Collection[str]) -> list[str]:
    """Return where any of `folders` lies, as prefixes of paths: "" for the top, else "<archive>/" in any case."""
    archives = {name.casefold() for name in benchmark.archives}
    parts = [path.split("/", 2) for path in raw.files]
    top = {"" for part in parts if len(part) > 1 and part[0] in folders}
    below = {f"{part[0]}/" for part in parts if len(part) > 2 and part[1] in folders and part[0].casefold() in archives}
    return sorted(top | below)


def only_place(raw: RawFolder, benchmark: Benchmark, folders: Collection[str]) -> str:
    """Return the one place where any of `folders` lies, as `places` writes it; a `UserError` if none or several do."""
    found = places(raw, benchmark, folders)
    if not found:
        raise absent(raw, benchmark, sorted(folders))
    refuse(
        [place or "the top" for place in found if len(found) > 1],
        "{title} lies in {root} more than once: {cases}. Leave one there, or pass --params raw_root=<the folder to"
        " read>.",
        title=benchmark.title,
        root=raw.root,
    )
    return found[0]


def absent(raw: RawFolder, benchmark: Benchmark, missing: Collection[str]) -> UserError:
    """Return the error for folders that hold no images."""
    lies = sorted({path.split("/", 1)[0] for path in raw.files if not is_system_file(path)})
    return UserError(
        f"No images in {first_few(list(missing))}: a {benchmark.title} folder holds {benchmark.layout}, at its top or"
        f" in {' or '.join(f'{name}/' for name in benchmark.archives)}. {raw.root} holds"
        f" {first_few(lies) or 'nothing'}. Link the folder that holds them, or pass --params raw_root=<folder>."
    )


def check_cameras(images: Iterable[Image], benchmark: Benchmark) -> None:
    """Refuse cameras outside the published range with a `UserError`."""
    count, camids = benchmark.cameras, [(image.path, image.camid) for image in images if image.camid is not None]
    refuse(
        [path for path, camid in camids if camid < 0 or (count is not None and camid >= count)],
        "{count} file names tell of a camera that {title} does not have ({has}): {cases}. Rename or remove these"
        " files.",
        title=benchmark.title,
        has="they count from 1" if count is None else f"it has 1 to {count}",
    )


def check_variant(ingestion: IngestionParameters, benchmark: Benchmark) -> None:
    """Refuse an `ingestion.variant` that is no form or version of the benchmark with a `UserError`."""
    names = benchmark.forms or tuple(version.name for version in benchmark.versions)
    if (given := ingestion.variant) is not None and given not in names:
        allowed = f"one of: {', '.join(names)}, or null" if names else "null: there are no versions"
        raise UserError(
            f"{benchmark.title} has no version {given!r}.{nearest(given, names)} `ingestion.variant` is {allowed}."
        )


def matched_lines(raw: RawFolder, path: str, line: re.Pattern[str], grammar: str) -> list[tuple[int, re.Match[str]]]:
    """Return number and match of a list's lines, without blank ones; a `UserError` outside the grammar or if none."""
    lines = [(number, text) for number, text in enumerate(raw.read_text(path).splitlines(), 1) if text.strip()]
    matches = [(number, text, line.fullmatch(text.rstrip())) for number, text in lines]
    refuse(
        [
            f"line {number} {text if len(text) <= _LONGEST_SHOWN else f'{text[:_LONGEST_SHOWN]}...'!r}"
            for number, text, match in matches
            if match is None
        ],
        "{path}: {count} lines are not {grammar}: {cases}. Correct them, or take the list from the archive again.",
        path=path,
        grammar=grammar,
    )
    if not lines:
        raise UserError(f"{path} lists nothing; a line is {grammar}. Take the list from the archive again.")
    return [(number, match) for number, _, match in matches if match is not None]


def check_named_once(images: Iterable[str], lists: Iterable[str]) -> None:
    """Refuse, with a `UserError`, an image that two lines name; `lists` has the list of each line."""
    table = pd.DataFrame({"image": list(images), "list": list(lists)})
    again = table[table.duplicated("image")].merge(table.drop_duplicates("image"), on="image")
    refuse(
        [f"{image} ({first} and {second})" for image, second, first in again.itertuples(index=False)],
        "{count} images are listed twice: {cases}. An image has one place in the benchmark; remove the lines that are"
        " wrong.",
    )


def check_present(path: str, named: Iterable[str], files: frozenset[str]) -> None:
    """Refuse, with a `UserError`, a list that names an image which is not among the raw folder's files."""
    refuse(
        [image for image in named if image not in files],
        "{path} names {count} images that are not there: {cases}. Unpack the archive again; if they are lost, remove"
        " their lines from the list.",
        path=path,
    )


class Picture(Protocol):
    """A picture and what is known of it; `reid_drawings.pictures.Picture` is one."""

    @property
    def data(self) -> bytes:
        """Bytes of the image file."""

    @property
    def subset(self) -> Literal["train", "query", "gallery"]:
        """The part it belongs to."""

    @property
    def identity(self) -> int:
        """Number from 1, and train and test share none; 0 is a distractor, -1 junk."""

    @property
    def camera(self) -> int:
        """Number from 0."""

    @property
    def frame(self) -> int:
        """Number of the frame in its camera."""

    @property
    def viewpoint(self) -> int | None:
        """Of a vehicle, by its index in `VIEWPOINTS`; None of a person."""

    @property
    def colour(self) -> str | None:
        """Of a vehicle."""

    @property
    def type(self) -> str | None:
        """Of a vehicle."""

    @property
    def key_points(self) -> tuple[int, ...]:
        """Of a vehicle: x and y in pixels of the 20 key points in turn, -1 where hidden."""


def individuals(pictures: Iterable[Picture]) -> list[Picture]:
    """Return the pictures by identity, camera and frame, without distractors and junk."""
    named = (picture for picture in pictures if picture.identity > 0)
    return sorted(named, key=lambda picture: (picture.identity, picture.camera, picture.frame))


def numbered(pictures: Iterable[Picture], name: str) -> dict[str, Picture]:
    """Return the individuals by the names that a pattern such as `{:06d}.jpg` gives to their numbers from 1."""
    return {name.format(number): picture for number, picture in enumerate(individuals(pictures), 1)}


def lines_of(lines: Iterable[str]) -> bytes:
    """Return lines as a text file."""
    return "".join(f"{line}\n" for line in lines).encode()
