"""What readers share: where a benchmark lies, its lists, rows to a manifest, what every reader refuses."""

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

import pandas as pd

from reid_pipeline.schema.benchmark import Benchmark
from reid_pipeline.schema.columns import CAMERA, CAMID, IDENTITY, PATH, PID, SUBSET, TEST_SETS, TRACKID, VIEWID
from reid_pipeline.schema.errors import UserError, first_few, nearest
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder

# Left by file managers in many copies of the archives; macOS writes one `._<name>` beside every file.
_SYSTEM_FILES = frozenset({"Thumbs.db", ".DS_Store", "desktop.ini"})
_LONGEST_SHOWN = 60  # characters of a line in a message


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
    """Return where any of `folders` lies, as prefixes of paths: "" for the top, else "<archive>/".

    Names of archives are compared without regard to case, since users rename them. Linear in files.
    """
    archives = {name.casefold() for name in benchmark.archives}
    found = set()
    for path in raw.files:
        parts = path.split("/", 2)
        if len(parts) > 1 and parts[0] in folders:
            found.add("")
        if len(parts) > 2 and parts[1] in folders and parts[0].casefold() in archives:
            found.add(f"{parts[0]}/")
    return sorted(found)


def only_place(raw: RawFolder, benchmark: Benchmark, folders: Collection[str]) -> str:
    """Return the one place where any of `folders` lies, as `places` writes it; a `UserError` if none or several do."""
    found = places(raw, benchmark, folders)
    if not found:
        raise absent(raw, benchmark, sorted(folders))
    if len(found) > 1:
        refuse(
            [place or "the top" for place in found],
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
    count = benchmark.cameras
    refuse(
        [
            image.path
            for image in images
            if image.camid is not None and (image.camid < 0 or (count is not None and image.camid >= count))
        ],
        "{count} file names tell of a camera that {title} does not have ({has}): {cases}. Rename or remove these"
        " files.",
        title=benchmark.title,
        has="they count from 1" if count is None else f"it has 1 to {count}",
    )


def check_variant(ingestion: IngestionParameters, benchmark: Benchmark) -> None:
    """Refuse an `ingestion.variant` that is no form or version of the benchmark with a `UserError`."""
    names = benchmark.forms or tuple(version.name for version in benchmark.versions)
    given = ingestion.variant
    if given is not None and given not in names:
        allowed = f"one of: {', '.join(names)}, or null" if names else "null: there are no versions"
        raise UserError(
            f"{benchmark.title} has no version {given!r}.{nearest(given, names)} `ingestion.variant` is {allowed}."
        )


def matched_lines(raw: RawFolder, path: str, line: re.Pattern[str], grammar: str) -> list[tuple[int, re.Match[str]]]:
    """Return the number and the match of every line of a list; blank lines are passed over.

    Raises:
        UserError: the file is missing, empty or no text, or lines are outside the grammar.
    """
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
