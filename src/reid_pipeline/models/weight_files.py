"""Named tensors in a file of any kind: the content decides how it is read, not the name, and nothing in it runs."""

import io
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from reid_pipeline.models.torch_archives import LEGACY_MAGIC, StorageReader, TorchFile, read_legacy, read_zip
from reid_pipeline.models.torch_pickles import Inert, NoWeightsError, StoredTensor
from reid_pipeline.schema.errors import first_few
from reid_pipeline.schema.regular_files import kind_of

NamedSets = Mapping[str, Mapping[str, Any]]

_ALONE = (
    "Where it was made, save its state_dict() alone, `torch.save(model.state_dict(), 'weights.pt')`, and set "
    "`pretrained` to that file."
)
_AGAIN = "Get the file again, and set `pretrained` to it."
_JOINED = "Set `pretrained` to one file with all the weights."
_UNPACK = "Unpack it, and set `pretrained` to what is in it."
_DEEPEST = 3  # dictionaries around the named tensors
_BEGINNINGS: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs", "is a pointer of Git LFS, not the file itself", "Fetch it with `git lfs pull`."),
    (rb"\s*(<!doctype|<html|<\?xml)", "is a page of the web that was saved in its place", _AGAIN),
    (rb"\x1f\x8b", "is compressed with gzip", _UNPACK),
    (
        rb"BZh|\xfd7zXZ|\x28\xb5\x2f\xfd|7z\xbc\xaf",
        "is compressed",
        "Unpack it, and set `pretrained` to what is in it.",
    ),
    (rb"\x93NUMPY", "is an array of NumPy", _ALONE),
    (rb"\x89HDF", "is an HDF5 file, as Keras writes", _ALONE),
    (rb"\x08[\x01-\x0a]\x12", "is an ONNX network", _ALONE),
    (rb"GGUF", "is a GGUF file", _ALONE),
    (rb"\s*[{\[]", "is text, as an index of weights in several files is", _JOINED),
)


class WeightFile(NamedTuple):
    """The named tensors of one file that were asked for."""

    tensors: dict[str, Tensor]
    others: dict[str, str]  # what stands under a name instead of a plain tensor
    scripted: bool  # a TorchScript archive


def read_weights(path: Path, choose: Callable[[NamedSets], str]) -> WeightFile:
    """Read one set of named tensors; `choose` is asked which, by its place in the file (`""` or `"state_dict"`).

    Raises:
        NoWeightsError: it is no regular file, damaged, cut short, of another kind, or holds no named tensors.
        OSError: it cannot be opened.
    """
    if kind := kind_of(path.stat().st_mode):
        raise NoWeightsError(f"is {kind}, no file with weights", "Correct `pretrained`.")
    with path.open("rb") as file:
        head = file.read(512)
        file.seek(0)
        if head[8:9] == b"{" and not head.startswith((b"PK", b"\x80", b"{")):
            return _safetensors(path, choose)
        contents = _torch_contents(file, head)
        sets = dict(_named_sets(contents.value))
        if not sets:
            raise _without_tensors(contents)
        named = sets[choose(sets)]
        reader = StorageReader(file, contents)
        tensors = {name: reader.tensor(value) for name, value in named.items() if isinstance(value, StoredTensor)}
    others = {name: value.describe() for name, value in named.items() if isinstance(value, Inert)}
    return WeightFile(tensors, others, contents.scripted)


def _safetensors(path: Path, choose: Callable[[NamedSets], str]) -> WeightFile:
    try:
        tensors = load_file(path, device="cpu")
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise NoWeightsError(f"is a safetensors file that was cut short or damaged ({reason})", _AGAIN) from None
    choose({"": tensors})
    return WeightFile(tensors, {}, scripted=False)


def _torch_contents(file: io.BufferedReader, head: bytes) -> TorchFile:
    if head.startswith(b"PK\3\4"):
        return read_zip(file)
    if head.startswith(LEGACY_MAGIC):
        return read_legacy(file)
    if not head:
        raise NoWeightsError("is empty", _AGAIN)
    if head[257:262] == b"ustar":
        raise NoWeightsError("is a tar archive", _UNPACK)
    for beginning, what, remedy in _BEGINNINGS:
        if re.match(beginning, head, re.IGNORECASE):
            raise NoWeightsError(what, remedy)
    if head.startswith(b"\x80"):
        raise NoWeightsError("is a pickle that torch did not write", _ALONE)
    raise NoWeightsError(f"begins with {head[:16]!r}, as no format of weights does", _AGAIN)


def _named_sets(value: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the dictionaries that hold tensors by name, with their place in the file; outer ones first."""
    if not isinstance(value, dict):
        return
    if any(isinstance(each, StoredTensor | Inert) for each in value.values()) and all(map(_is_name, value)):
        yield place, value
    if depth < _DEEPEST:
        for key, each in value.items():
            yield from _named_sets(each, f"{place}.{key}".lstrip("."), depth + 1)


def _is_name(key: Any) -> bool:
    return isinstance(key, str)


def _without_tensors(contents: TorchFile) -> NoWeightsError:
    value, names = contents.value, first_few(contents.names, 3)
    if isinstance(value, Inert):
        return NoWeightsError(f"holds a whole object of {value.qualified}, which only its own code can make", _ALONE)
    if contents.scripted and names:
        return NoWeightsError(f"has modules that restore themselves by code of their own, not run ({names})", _ALONE)
    if isinstance(value, StoredTensor):
        return NoWeightsError("holds one tensor without a name", _ALONE)
    of = f" (it names {names})" if names else ""
    kind = "an empty dictionary" if value == {} else f"a {type(value).__name__.lstrip('_')} without named tensors"
    return NoWeightsError(f"holds {kind}{of}", _ALONE)
