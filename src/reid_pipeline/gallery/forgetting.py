"""Which entries are to be forgotten, and which files outside of the gallery may still hold their vectors."""

import configparser
import contextlib
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from reid_pipeline.gallery.manifest import MANIFEST, SEGMENTS
from reid_pipeline.gallery.rows import UNKNOWN_TIME, Mask, moment
from reid_pipeline.gallery.segments import Segment
from reid_pipeline.gallery.state import State
from reid_pipeline.schema.errors import UserError, first_few, nearest
from reid_pipeline.schema.parsing import parse_json, parse_yaml
from reid_pipeline.schema.regular_files import read_regular


class Forgotten(NamedTuple):
    """What a call of `forget` removed, and what it cannot reach."""

    entries: int
    segments: int  # written anew, or removed
    copies: tuple[str, ...]  # files outside of the gallery that may hold the vectors


def staying(
    state: State, identity: str | None, camera: str | None, before: str | datetime | None
) -> Callable[[Segment], Mask]:
    """Return what says of a segment which rows stay: all but those that meet each condition that is given.

    Raises:
        UserError: no condition is given, nothing meets them, or a name is unknown.
    """
    if identity is None and camera is None and before is None:
        raise UserError("Nothing says what is to be forgotten: give an identity, a camera, or a time (before).")
    if camera == "":
        raise UserError("The camera whose entries are to be forgotten is empty; name one, or give none.")
    root = None if identity is None else state.key_of(identity)
    keys = [key for key in state.manifest.identities if state.manifest.root(key) == root]
    end = None if before is None else moment(before, "before")

    def stays(segment: Segment) -> Mask:
        goes = np.ones(len(segment.ids), dtype=bool)
        if root is not None:
            goes &= np.isin(segment.keys, keys)
        if camera is not None:
            goes &= segment.is_one_of("camera", [camera])
        if end is not None:
            goes &= (segment.times < end) & (segment.times != UNKNOWN_TIME)
        return ~goes

    if all(stays(segment).all() for segment in state.segments):
        raise UserError(_nothing(state, camera, before))
    return stays


def _nothing(state: State, camera: str | None, before: Any) -> str:
    cameras = state.texts("camera")
    if camera is not None and camera not in cameras:
        there = f"Its cameras: {first_few(cameras)}." if cameras else "No entry has one."
        return f"Gallery {state.folder.name} has no entry of camera {camera!r}.{nearest(camera, cameras)} {there}"
    unknown = sum(int((each.times == UNKNOWN_TIME).sum()) for each in state.segments)
    timeless = f" {unknown} entries have no time, and are before none." if before is not None and unknown else ""
    return f"Gallery {state.folder.name} has no entry that meets all of what is to be forgotten.{timeless}"


def copies(folder: Path, sources: Iterable[str], segments: Iterable[str]) -> tuple[str, ...]:
    """Return the files outside of a gallery that exist and may hold its vectors.

    These are the files that it was filled from, and what DVC's cache has of them and of the segments that are gone.
    The cache is asked for the versions that `<name>.dvc` and dvc.lock name now, not for those of earlier commits.

    Args:
        folder: of the gallery.
        sources: files that vectors were read from.
        segments: names of the segments that held what was forgotten.
    """
    gone = {f"{SEGMENTS}/{name}." for name in segments}
    found = []
    for source in map(Path, sources):
        found += [source] if source.exists() else []
        found += _cached(source, lambda _: True)
    found += _cached(folder, lambda name: any(name.startswith(each) for each in gone) and name != MANIFEST)
    return tuple(dict.fromkeys(str(file) for file in found))


def _cached(path: Path, wanted: Callable[[str], bool]) -> Iterator[Path]:
    """Yield the files of DVC's cache with the content of a file, or of those files of a folder that are wanted."""
    path = path.absolute()
    root = next((each for each in path.parents if (each / ".dvc").is_dir()), None)
    if root is None:
        return
    cache = _cache_of(root)
    for md5 in _digests(path, root):
        file = _in_cache(cache, md5)
        if not md5.endswith(".dir"):
            yield from [file] if file.exists() else []
            continue
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            for each in parse_json(read_regular(file)):
                held = _in_cache(cache, each["md5"])
                if wanted(each["relpath"]) and held.exists():
                    yield held


def _digests(path: Path, root: Path) -> Iterator[str]:
    """Yield the digests under which DVC knows a path: by `<path>.dvc`, and by dvc.lock at the root."""
    with contextlib.suppress(OSError, ValueError, AttributeError, TypeError, KeyError):
        for out in parse_yaml(read_regular(path.with_name(f"{path.name}.dvc")).decode()).get("outs", ()):
            yield out["md5"]
    with contextlib.suppress(OSError, ValueError, AttributeError, TypeError, KeyError):
        for stage in parse_yaml(read_regular(root / "dvc.lock").decode()).get("stages", {}).values():
            yield from (out["md5"] for out in stage.get("outs", ()) if root / out["path"] == path)


def _cache_of(root: Path) -> Path:
    """Return the folder of DVC's cache, as its settings have it."""
    settings = configparser.ConfigParser(interpolation=None)
    with contextlib.suppress(configparser.Error, OSError, UnicodeDecodeError):
        settings.read([root / ".dvc" / "config", root / ".dvc" / "config.local"], encoding="utf-8")
    return (root / ".dvc" / settings.get("cache", "dir", fallback="cache")).resolve()


def _in_cache(cache: Path, md5: str) -> Path:
    new = cache / "files" / "md5" / md5[:2] / md5[2:]
    return new if new.exists() else cache / md5[:2] / md5[2:]
