"""The manifest of a gallery: which segments and identities make it up. Replacing it is what commits a change."""

import contextlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reid_pipeline.gallery.durable import check_of, replace_file, sync_folder
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.regular_files import NotRegularFile, read_regular

IndexKind = Literal["exact", "ivf", "hnsw"]
MANIFEST = "gallery.json"
SEGMENTS = "segments"


class Record(BaseModel):
    """A frozen record of the manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SegmentRecord(Record):
    """A segment: the files `segments/<name>.*`, which never change."""

    name: str
    rows: int
    index: IndexKind = "exact"  # what it is searched by; small ones are searched exactly
    checks: dict[str, str] = Field(default_factory=dict)  # of each file, by its suffix: CRC-32 of its content


class Identity(Record):
    """An identity under its key, which entries hold: a change of name changes no segment."""

    name: str
    confirmed: bool = True  # False: the cluster of an unlabelled run that nobody has named yet
    into: int | None = None  # the key of the identity that it was merged into


class Calibration(Record):
    """A threshold for a false-alarm rate, and what it rests on; see `Gallery.calibrate`."""

    false_alarm: float
    threshold: float  # known only if the score is greater
    unsure: float | None = None  # a greater false-alarm rate: what passes only its threshold is unsure
    unsure_threshold: float | None = None
    other_cameras: bool = False  # pairs of one camera are left out, in calibration and in use
    identities: int  # confirmed ones, whose scores it rests on
    revision: int  # of the gallery


class Manifest(Record):
    """All of a gallery but its rows and vectors."""

    check: str = ""  # in the file: CRC-32 of the rest of it
    version: Literal[1] = 1
    model: str  # SHA-256 of the embedder's tensors
    width: int
    index: IndexKind = "exact"
    lists: int = 0  # of index `ivf`: how many a probe is compared with, of those of all segments together
    lists_rows: int = 0  # how many entries there were when that was found out
    origin: Origin | None = None  # of the embeddings
    revision: int = 0  # counts changes
    next_id: int = 0
    next_key: int = 0
    next_segment: int = 0
    segments: tuple[SegmentRecord, ...] = ()
    identities: dict[int, Identity] = Field(default_factory=dict)
    merges: tuple[tuple[int, ...], ...] = ()  # the keys that each merge moved, the last one last
    calibration: Calibration | None = None
    sources: tuple[str, ...] = ()  # files that the vectors were read from

    @property
    def rows(self) -> int:
        """How many entries there are."""
        return sum(segment.rows for segment in self.segments)

    def root(self, key: int) -> int:
        """Return the key that an identity stands under after all merges."""
        while (into := self.identities[key].into) is not None:
            key = into
        return key

    def keys_of(self, name: str) -> list[int]:
        """Return the keys that stand under a name, those merged into it included."""
        return [key for key in self.identities if self.identities[self.root(key)].name == name]

    def names(self) -> dict[int, str]:
        """Return the name that each key stands under."""
        return {key: self.identities[self.root(key)].name for key in self.identities}


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a gallery.

    Raises:
        UserError: there is no gallery in `folder`, or this version of the project cannot read it.
    """
    return parsed(folder, read_content(folder))


def read_content(folder: Path) -> bytes:
    """Return the manifest of a gallery as it is stored, which costs a hundredth of reading it.

    Raises:
        UserError: there is no gallery in `folder`.
    """
    file = folder / MANIFEST
    try:
        return read_regular(file)
    except FileNotFoundError:
        others = []
        with contextlib.suppress(OSError):
            others = sorted(found.parent.name for found in folder.parent.glob(f"*/{MANIFEST}"))
        there = f"The galleries there: {first_few(others)}." if others else "There is none beside it either."
        raise UserError(f"There is no gallery in {folder}: {file} does not exist. {there}") from None
    except (NotADirectoryError, NotRegularFile):
        raise UserError(
            f"There is no gallery in {folder}: {file} is no file in a folder. Give another place."
        ) from None


def parsed(folder: Path, content: bytes) -> Manifest:
    """Return the manifest that is stored so.

    Raises:
        UserError: it is damaged, or this version of the project cannot read it.
    """
    file = folder / MANIFEST
    try:
        found = Manifest.model_validate_json(content)
    except (ValidationError, UnicodeDecodeError) as error:
        where = f" ({_first_of(error)})" if isinstance(error, ValidationError) else ""
        raise UserError(
            f"{file} is no manifest of a gallery that this version reads{where}: it is damaged, or of another version."
            " Bring the gallery's folder back whole from a copy, or take the version that wrote it."
        ) from error
    if found.check and check_of(content.replace(*_marks(found.check), 1)) != found.check:
        raise UserError(f"{file} is damaged, or was changed by hand. Bring the gallery's folder back from a copy.")
    return found.model_copy(update={"check": ""})


def _first_of(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))


def _marks(check: str) -> tuple[bytes, bytes]:
    """Return how a check stands in the file, and what it stands in the place of."""
    return f'"check": "{check}"'.encode(), b'"check": ""'


def commit(folder: Path, manifest: Manifest) -> bytes:
    """Write a manifest, and return what is stored: from now on, and after any kill, the gallery is what it says."""
    content = manifest.model_dump_json(indent=1).encode()
    mark, empty = _marks(check_of(content))
    content = content.replace(empty, mark, 1)
    sync_folder(folder / SEGMENTS)
    replace_file(folder / MANIFEST, content)
    return content


def remove_unnamed(folder: Path, manifest: Manifest) -> None:
    """Remove files of segments that the committed manifest does not name: replaced, or of killed writers."""
    named = {segment.name for segment in manifest.segments}
    names = {file: file.name.partition(".")[0] for file in (folder / SEGMENTS).iterdir()}
    gone = [file for file, name in names.items() if name.isdecimal() and name not in named]
    for file in gone:
        file.unlink(missing_ok=True)
    if gone:
        sync_folder(folder / SEGMENTS)
    (folder / f"{MANIFEST}.new").unlink(missing_ok=True)
