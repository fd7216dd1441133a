"""The containers that torch writes: the zip of `torch.save`, TorchScript's, and the older stream without a zip.

Bytes are read from where they lie, in the bounds that the file has; nothing is unpacked, and no path in it is used.
"""

import io
import os
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from reid_pipeline.models.torch_pickles import Inert, NoWeightsError, Storage, StoredTensor, pickle_end, unpickle
from reid_pipeline.schema.errors import first_few

LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_MOST_SOURCE = 1 << 24  # bytes of one TorchScript source
_MOST_MODULES = 50_000
_CLASS = re.compile(r"^class (\w+)\(\w+\):$", re.MULTILINE)
_DECLARED = re.compile(r"^  __(?:parameters|buffers)__ = \[(.*)\]$", re.MULTILINE)
_ANNOTATED = re.compile(r"^  (\w+) : Tensor$", re.MULTILINE)
_QUOTED = re.compile(r'"([^"]*)"')

Place = tuple[int, int]


class TorchFile(NamedTuple):
    """What a file of torch holds, its tensors not read yet."""

    value: Any  # nested dictionaries with StoredTensor and Inert; of TorchScript, {name: StoredTensor}
    names: list[str]  # of classes and functions that were left alone; of TorchScript, modules with __setstate__
    places: dict[str, Place]  # start and length of each storage
    checksums: dict[str, int]  # CRC-32 of each storage, where the file has them
    scripted: bool = False


class StorageReader:
    """Reads the tensors of an open file; those that share a storage share their memory."""

    def __init__(self, file: io.BufferedReader, contents: TorchFile) -> None:
        self._file, self._contents = file, contents
        self._read: dict[str, bytearray] = {}

    def tensor(self, stored: StoredTensor) -> Tensor:
        """Return one tensor; NoWeightsError where the file does not have all its numbers."""
        content = self._content(stored.storage)
        numel = len(content) // stored.dtype.itemsize
        last = stored.offset + sum((side - 1) * step for side, step in zip(stored.size, stored.stride, strict=True))
        empty = 0 in stored.size
        if not empty and last >= numel:
            raise NoWeightsError(f"has a tensor {list(stored.size)} of which only {numel} numbers are stored")
        if empty:
            return torch.empty(stored.size, dtype=stored.dtype)
        return torch.frombuffer(content, dtype=stored.dtype).as_strided(stored.size, stored.stride, stored.offset)

    def _content(self, storage: Storage) -> bytearray:
        key, wanted = storage.key, storage.numel * storage.dtype.itemsize
        if key not in self._read:
            start, length = self._contents.places.get(key, (0, -1))
            if wanted > length:
                raise NoWeightsError(f"lacks numbers: the storage {key!r} has {max(length, 0)} of {wanted} bytes")
            content = bytearray(length)
            self._file.seek(start)
            if self._file.readinto(content) != length:
                raise NoWeightsError("was cut short")
            if key in self._contents.checksums and zlib.crc32(content) != self._contents.checksums[key]:
                raise NoWeightsError(f"is damaged: the bytes of the storage {key!r} are not those written (CRC-32)")
            self._read[key] = content
        content = self._read[key]
        return content[:wanted] if len(content) % storage.dtype.itemsize else content


def read_zip(file: io.BufferedReader) -> TorchFile:
    """Return what a zip of `torch.save` or TorchScript holds."""
    try:
        with zipfile.ZipFile(file) as archive:
            return _zip_contents(file, archive)
    except zipfile.BadZipFile as error:
        raise NoWeightsError(f"is a zip archive that was cut short or damaged ({error})") from None
    except NoWeightsError:
        raise
    except (EOFError, LookupError, OverflowError, RuntimeError, ValueError, struct.error, zlib.error) as error:
        raise NoWeightsError(f"is a zip archive that torch did not write ({error})") from None


def _zip_contents(file: io.BufferedReader, archive: zipfile.ZipFile) -> TorchFile:
    members = {info.filename: info for info in archive.infolist()}
    if len(members) != len(archive.infolist()):
        raise NoWeightsError("is a zip archive with two members of one name")
    roots = [name.removesuffix("data.pkl") for name in members if re.fullmatch(r"[^/]+/data\.pkl", name)]
    if len(roots) != 1:
        raise NoWeightsError(
            f"is a zip archive of other files ({first_few(list(members), 3)}), not one of torch's",
            "Unpack it, and set `pretrained` to the weights in it.",
        )
    root = roots[0]
    stored = {name: info for name, info in members.items() if name.startswith((f"{root}data.pkl", f"{root}data/"))}
    if any(info.compress_type or info.file_size != info.compress_size for info in stored.values()):
        raise NoWeightsError(
            "is an archive of torch that another program has compressed",
            "Get the original, or pack it anew without compression (`zip -0 -r`), and set `pretrained` to it.",
        )
    order = members.get(f"{root}byteorder")
    if order is not None and _bytes(file, _place(file, order)) != sys.byteorder.encode():
        raise NoWeightsError("was written on a machine of another byte order")
    places = {name.removeprefix(f"{root}data/"): _place(file, info) for name, info in stored.items()}
    # Written with `torch.serialization.set_crc32_options(False)`, no member has its checksum.
    version = members.get(f"{root}version")
    checked = version is not None and zlib.crc32(_bytes(file, _place(file, version))) == version.CRC
    checksums = {name.removeprefix(f"{root}data/"): info.CRC for name, info in stored.items()} if checked else {}
    pickled = _bytes(file, places.pop(f"{root}data.pkl"))
    if zlib.crc32(pickled) != checksums.pop(f"{root}data.pkl", zlib.crc32(pickled)):
        raise NoWeightsError("is damaged: the bytes that list its tensors are not those written (CRC-32)")
    value, names = unpickle(pickled)
    scripted = f"{root}constants.pkl" in members
    if scripted:
        declared = _declarations(archive, root)
        value = dict(_state(value, declared))
        names = [name for name in names if declared.get(name, ()) is None]
    return TorchFile(value, names, places, checksums, scripted)


def _place(file: io.BufferedReader, info: zipfile.ZipInfo) -> Place:
    """Return where the bytes of a member that is not compressed lie."""
    file.seek(info.header_offset)
    header = file.read(30)
    if len(header) < 30 or header[:4] != b"PK\3\4":
        raise NoWeightsError("is a zip archive that was cut short or damaged (no member where one should be)")
    before = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    start = info.header_offset + 30 + before
    if start + info.file_size > os.fstat(file.fileno()).st_size:
        raise NoWeightsError("is a zip archive that was cut short or damaged (a member goes beyond its end)")
    return start, info.file_size


def _bytes(file: io.BufferedReader, place: Place) -> bytes:
    file.seek(place[0])
    return file.read(place[1])


def read_legacy(file: io.BufferedReader) -> TorchFile:
    """Return what torch wrote before version 1.6: five pickles, and each storage behind its count."""
    starts = []
    try:
        for _ in range(5):
            starts.append(file.tell())
            pickle_end(file)
    except (ValueError, OverflowError, MemoryError):
        raise NoWeightsError("was cut short or damaged: a pickle in it has no end") from None
    position = file.tell()
    value, names = unpickle(_bytes(file, (starts[3], starts[4] - starts[3])))
    keys = unpickle(_bytes(file, (starts[4], position - starts[4]))).value
    sizes = {storage.key: storage.dtype.itemsize for storage in _storages(value)}
    places = {}
    for key in keys if isinstance(keys, list) else []:
        count = int.from_bytes(_bytes(file, (position, 8)), "little")
        length = count * sizes.get(str(key), 1)
        places[str(key)] = position + 8, length
        position += 8 + length
    if position > os.fstat(file.fileno()).st_size:
        raise NoWeightsError("was cut short")
    return TorchFile(value, names, places, {})


def _storages(value: Any) -> Iterator[Storage]:
    """Yield the storages of nested containers, each as often as it stands there; cycles end."""
    stack, seen = [value], set()
    while stack:
        each = stack.pop()
        if isinstance(each, StoredTensor):
            yield each.storage
        elif isinstance(each, Storage):
            yield each
        elif isinstance(each, dict | list | tuple | Inert) and id(each) not in seen:
            seen.add(id(each))
            inside = [each.args, each.state] if isinstance(each, Inert) else each
            stack.extend(inside.values() if isinstance(inside, dict) else inside)


def _declarations(archive: zipfile.ZipFile, root: str) -> dict[str, set[str] | None]:
    """Return the names of parameters and buffers of each TorchScript module, from its source, read as text.

    They are None where it has code of its own to restore itself, which is not run.
    """
    declared: dict[str, set[str] | None] = {}
    for info in archive.infolist():
        path = info.filename.removeprefix(f"{root}code/")
        if path == info.filename or not path.endswith(".py"):
            continue
        with archive.open(info) as member:
            source = member.read(_MOST_SOURCE).decode(errors="replace")
        _, *parts = _CLASS.split(source)
        for name, body in zip(parts[::2], parts[1::2], strict=True):
            own = {each for line in _DECLARED.findall(body) for each in _QUOTED.findall(line)}
            if "\n  __buffers__ = [" not in body:  # an early TorchScript, which does not tell them from other tensors
                own.update(_ANNOTATED.findall(body))
            qualified = f"{path.removesuffix('.py').replace('/', '.')}.{name}"
            declared[qualified] = None if "\n  def __setstate__(" in body else own
    return declared


def _state(module: Any, declared: Mapping[str, set[str] | None]) -> Iterator[tuple[str, Any]]:
    """Yield parameters and buffers of a TorchScript module and of those in it, as its `state_dict()` has them."""
    stack = [("", module)]
    visited = 0
    while stack:
        prefix, each = stack.pop()
        visited += 1
        if visited > _MOST_MODULES or prefix.count(".") > 100:
            raise NoWeightsError("is a TorchScript archive whose modules are nested without end")
        if not isinstance(each, Inert) or not isinstance(each.state, dict):
            continue
        own = declared.get(each.qualified)
        if own is None:
            continue
        for name, value in each.state.items():
            if isinstance(value, Inert) and value.qualified in declared:
                stack.append((f"{prefix}{name}.", value))
            elif name in own:
                yield f"{prefix}{name}", value
