"""Pickles of torch, read without running what they name.

A pickle names functions and classes, and says what to call with what. Here no name is looked up: those few by which
torch rebuilds a plain tensor give its description, `StoredTensor`, and every other gives an `Inert` object that
remembers what would have been made. Nothing is imported, called or allocated for a file's sake.
"""

import io
import pickle
import pickletools
from typing import IO, Any, ClassVar, NamedTuple

import torch

_STORAGES = {
    "FloatStorage": torch.float32, "HalfStorage": torch.float16, "DoubleStorage": torch.float64,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64, "ComplexDoubleStorage": torch.complex128, "UntypedStorage": torch.uint8,
    "QInt8Storage": torch.qint8, "QUInt8Storage": torch.quint8, "QInt32Storage": torch.qint32,
}  # fmt: skip
_PLAIN = {"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3"}
_WRAPPED = {"_rebuild_parameter", "_rebuild_parameter_with_state", "_rebuild_from_type_v2"}
_OTHER_TENSORS = {
    "torch._utils._rebuild_qtensor": "a quantised tensor",
    "torch._utils._rebuild_sparse_tensor": "a sparse tensor",
    "torch._utils._rebuild_sparse_csr_tensor": "a sparse tensor",
    "torch._utils._rebuild_nested_tensor": "a nested tensor",
    "torch._utils._rebuild_meta_tensor_no_storage": "a tensor without numbers (of the device 'meta')",
    "torch.Tensor.conj": "a conjugate or negated view",
}
# What no weights need, and who names it wants harm; of other names nothing is called either, and they are no fault.
_HARMFUL_MODULES = {
    "commands", "ctypes", "importlib", "marshal", "nt", "os", "posix", "pty", "runpy", "shutil", "signal", "socket",
    "subprocess", "sys", "urllib", "webbrowser",
}  # fmt: skip
_HARMFUL_BUILTINS = {"__import__", "breakpoint", "compile", "eval", "exec", "execfile", "file", "input", "open"}
_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_MOST_NAMES = 20_000
_FAULTS = (  # what bytes that are no pickle, or an ill one, make the unpickler raise
    ArithmeticError, AttributeError, EOFError, ImportError, LookupError, MemoryError, RuntimeError, TypeError,
    ValueError, pickle.UnpicklingError,
)  # fmt: skip


class NoWeightsError(ValueError):
    """A file that holds no weights, or none that can be read: its text goes on from "The checkpoint 'x' "."""

    def __init__(self, fault: str, remedy: str = "") -> None:
        super().__init__(fault)
        self.remedy = remedy


class Storage(NamedTuple):
    """Numbers in the file, by their key there."""

    key: str
    dtype: torch.dtype
    numel: int


class StoredTensor(NamedTuple):
    """A strided view of a storage, not read yet."""

    storage: Storage
    dtype: torch.dtype
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class Inert:
    """Stands for an object of a class, or for what a function would return; made without either."""

    __slots__ = ("args", "state")
    qualified: ClassVar[str] = ""
    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any, **_: Any) -> "Inert":
        """Remember the arguments alone."""
        made = super().__new__(cls)
        made.args, made.state = args, None
        return made

    def __init__(self, *args: Any, **_: Any) -> None:
        """Take what `__new__` has stored already."""

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __call__(self, *_: Any) -> "Inert":
        """Stand for what calling the object would return."""
        return _inert(f"{self.qualified}()")()

    def __setitem__(self, key: Any, value: Any) -> None:
        """Ignore an entry of a mapping of an unknown class."""

    def append(self, item: Any) -> None:
        """Ignore an item of a list of an unknown class."""

    def describe(self) -> str:
        """Say what this would have been."""
        if self.qualified.startswith("numpy."):
            return "an array or number of NumPy"
        return _OTHER_TENSORS.get(self.qualified, f"an object of {self.qualified}")


class _OrderedDict(dict[Any, Any]):
    """`collections.OrderedDict`, without the attributes that a pickle may give it."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        """Ignore them: torch notes the modules' versions there."""


class _StorageKind(NamedTuple):
    dtype: torch.dtype


class _Rebuilding(NamedTuple):
    """One of the functions of `torch._utils` that rebuild a tensor."""

    name: str

    def __call__(self, *args: Any) -> Any:
        if self.name == "_rebuild_from_type_v2":
            return args[0](*args[2])
        if self.name in _WRAPPED:
            return args[0]
        storage, offset, size, stride = args[:4]
        rest = args[6:]
        dtype = storage.dtype
        if self.name == "_rebuild_tensor_v3":
            dtype, rest = rest[0], rest[1:]
        if any(rest):  # marks of a conjugate or negated view, whose numbers are not those in the file
            return _inert("torch.Tensor.conj")()
        numbers = (offset, *size, *stride)
        possible = len(size) == len(stride) <= 64 and all(type(each) is int and 0 <= each < 1 << 48 for each in numbers)
        if not isinstance(storage, Storage) or not isinstance(dtype, torch.dtype) or not possible:
            raise pickle.UnpicklingError("a tensor without a storage or with impossible sizes")
        return StoredTensor(storage, dtype, offset, tuple(size), tuple(stride))


def _inert(qualified: str) -> type[Inert]:
    return type("Inert", (Inert,), {"__slots__": (), "qualified": qualified})


class Unpickled(NamedTuple):
    """What one pickle holds."""

    value: Any
    names: list[str]  # of the classes and functions in it that were left alone, sorted


def unpickle(data: bytes) -> Unpickled:
    """Return what a pickle holds, with `StoredTensor` for plain tensors and `Inert` for whatever else has a class.

    Raises:
        NoWeightsError: damaged bytes, or a pickle that names a function which runs commands or code.
    """
    try:
        _require_bounded(data)
        unpickler = _InertUnpickler(data)
        value = unpickler.load()
    except _FAULTS as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise NoWeightsError(f"holds a damaged pickle ({reason})") from None
    harmful = sorted(name for name in unpickler.names if _is_harmful(name))
    if harmful:
        name = harmful[0].replace("posix.", "os.").replace("nt.", "os.")
        raise NoWeightsError(
            f"names {name!r}, a function of Python's own that no weights need; nothing of it was run",
            "Do not trust the file: get the weights from elsewhere, and set `pretrained` to them.",
        )
    return Unpickled(value, sorted(unpickler.names))


def pickle_end(file: IO[bytes]) -> None:
    """Move behind the pickle that begins here; ValueError where there is none."""
    for _ in pickletools.genops(file):
        pass


class _InertUnpickler(pickle.Unpickler):
    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self.names: set[str] = set()
        self._classes: dict[str, type[Inert]] = {}

    def find_class(self, module: str, name: str) -> Any:
        module = _PYTHON_2.get(module, module)
        if module == "torch._utils" and name in _PLAIN | _WRAPPED:
            return _Rebuilding(name)
        if module == "torch._tensor" and name in _WRAPPED:
            return _Rebuilding(name)
        if module in {"torch", "torch.storage", "torch.cuda"} and name in _STORAGES:
            return _StorageKind(_STORAGES[name])
        if module == "torch" and isinstance(dtype := getattr(torch, name, None), torch.dtype):
            return dtype
        qualified = f"{module}.{name}"
        if qualified == "collections.OrderedDict":
            return _OrderedDict
        return self._attribute if qualified == "builtins.getattr" else self._named(qualified)

    def _attribute(self, owner: Any, name: Any, *_: Any) -> type[Inert]:
        """Stand for `getattr`, by which nested classes and bound methods are named."""
        return self._named(f"{getattr(owner, 'qualified', type(owner).__name__)}.{name}")

    def _named(self, qualified: str) -> type[Inert]:
        self.names.add(qualified)
        if len(self.names) > _MOST_NAMES:
            raise pickle.UnpicklingError("too many classes")
        return self._classes.setdefault(qualified, _inert(qualified))

    def persistent_load(self, pid: Any) -> Storage:
        kind, key, numel = pid[1], pid[2], pid[4]
        views = pid[5:] and pid[5] is not None
        if not isinstance(kind, _StorageKind) or type(numel) is not int or numel < 0 or views:
            raise pickle.UnpicklingError("a storage of an unknown kind")
        return Storage(str(key), kind.dtype, numel)


def _require_bounded(data: bytes) -> None:
    """Refuse what would make the unpickler reserve memory that the file's size does not justify."""
    for opcode, argument, _ in pickletools.genops(data):
        if "PUT" in opcode.name and int(argument or 0) > len(data):
            raise ValueError("a memo beyond the pickle's length")


def _is_harmful(qualified: str) -> bool:
    module, _, name = qualified.partition(".")
    return name in _HARMFUL_BUILTINS if module == "builtins" else module in _HARMFUL_MODULES
