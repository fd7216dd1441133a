"""Files of weights, of every kind: read without running anything, or refused with what they are."""

import argparse
import collections
import contextlib
import datetime
import functools
import gzip
import io
import json
import logging
import operator
import os
import pickle
import random
import re
import socket
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from openai_format import torchscript_module
from safetensors.torch import save_file
from torch import Tensor, nn

from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.checkpoint_files import read_checkpoint
from reid_pipeline.models.pretrained import pretrained_state, weights_digest
from reid_pipeline.models.torch_pickles import NoWeightsError, unpickle
from reid_pipeline.models.weight_files import read_weights
from reid_pipeline.schema.errors import UserError

SOURCE = Path(__file__).resolve().parents[2] / "src"
STATE = {
    "visual.proj": torch.arange(6.0).reshape(2, 3),
    "visual.class_embedding": torch.arange(3.0).half(),
    "logit_scale": torch.tensor(4.0),
}
ADVICE = re.compile(r"weights_only|safe_globals|torch\.load|pickle_module|allowlist", re.IGNORECASE)

WriteFile = Callable[[Path], object]


def refusal(path: Path) -> str:
    """The answer to a file that cannot be used; neither it nor what caused it gives torch's advice."""
    with pytest.raises(UserError) as caught:
        read_checkpoint(path)
    error: BaseException | None = caught.value
    while error is not None:
        assert not ADVICE.search(str(error))
        error = error.__cause__ or error.__context__
    assert str(path) in str(caught.value)
    return str(caught.value)


def same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> bool:
    return found.keys() == wanted.keys() and all(
        found[key].dtype == each.dtype and found[key].stride() == each.stride() and torch.equal(found[key], each)
        for key, each in wanted.items()
    )


class Restoring(nn.Module):
    """A module that overwrites a file when it is restored."""

    def __init__(self, victim: Path) -> None:
        super().__init__()
        self.victim, self.number = str(victim), torch.zeros(1)

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return (self.victim, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.victim = state[0]
        self.training = state[1]
        self.number = torch.from_file(state[0], True, 4).fill_(1)

    def forward(self, x: Tensor) -> Tensor:
        return x


class Holder(nn.Module):
    def __init__(self, **parts: Tensor | nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part) if isinstance(part, nn.Module) else self.register_buffer(name, part)

    def forward(self, x: Tensor) -> Tensor:
        return x


def script(module: nn.Module, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(module).save(str(path))


def loaded_by_torch(path: Path) -> dict[str, Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.load(str(path)).state_dict()


def test_torchscript_runs_nothing_of_its_own(tmp_path: Path) -> None:
    victim, path = tmp_path / "thesis.txt", tmp_path / "clip.pt"
    victim.write_bytes(b"years of work...")
    tower = Holder(proj=STATE["visual.proj"], more=Restoring(victim))
    script(Holder(visual=tower), path)
    assert read_checkpoint(path).state == {"visual.proj": pytest.approx(STATE["visual.proj"])}
    script(Restoring(victim), tmp_path / "root.pt")
    text = refusal(tmp_path / "root.pt")
    assert "modules that restore themselves by code of their own, not run" in text
    assert "save its state_dict() alone" in text
    assert victim.read_bytes() == b"years of work..."
    loaded_by_torch(path)  # which shows that the file is what it is meant to be
    assert victim.read_bytes() != b"years of work..."


def test_nothing_of_the_package_loads_by_running() -> None:
    for module in SOURCE.rglob("*.py"):
        text = module.read_text(encoding="utf-8")
        assert not re.search(r"jit\.load|pickle\.loads?\(|weights_only=False|allow_pickle=True", text), module
        assert text.count("torch.load(") == text.count("weights_only=True"), module


def test_torchscript_has_the_state_that_torch_reads(tmp_path: Path) -> None:
    base = torch.randn(6, 8)
    state = {
        "a.of_half": torch.randn(3, 4).half(),
        "a.transposed": base.t(),
        "a.slice": base[2:4, 1:5],
        "a.expanded": torch.ones(1, 3).expand(4, 3),
        "b.of_bfloat16": torch.randn(3).bfloat16(),
        "b.of_double": torch.randn(3).double(),
        "b.of_bool": torch.tensor([True, False]),
        "empty": torch.zeros(0, 4),
        "input_resolution": torch.tensor(224),
    }
    torchscript_module(state).save(str(tmp_path / "a.pt"))
    found = read_weights(tmp_path / "a.pt", lambda sets: next(iter(sets)))
    assert found.scripted
    assert same(found.tensors, loaded_by_torch(tmp_path / "a.pt"))
    shared = (found.tensors[key].untyped_storage().data_ptr() for key in ("a.transposed", "a.slice"))
    assert len(set(shared)) == 1


def test_parameters_buffers_and_nothing_else(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4), nn.Sequential(nn.Linear(2, 2)), nn.LayerNorm(2))
    module.plain = torch.ones(3)
    module.again = module[0]
    script(module, tmp_path / "a.pt")
    found = read_weights(tmp_path / "a.pt", lambda sets: next(iter(sets))).tensors
    assert same(found, loaded_by_torch(tmp_path / "a.pt"))
    assert "plain" not in found


class Unknown:
    """A class that who reads the file does not have: a configuration, a callback."""

    def __init__(self) -> None:
        self.names = ["a"]


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "stored",
    [
        STATE,
        collections.OrderedDict(STATE),
        {key: nn.Parameter(each) for key, each in STATE.items()},
        {"model": STATE, "epoch": 3},
        {"teacher": STATE, "head": {"weight": torch.ones(2)}},
        {"model": {"clip": STATE}},
        {"state_dict": {f"module.{key}": each for key, each in STATE.items()}, "state_dict_ema": STATE},
        {"state_dict": STATE, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1}]}},
        {"model": STATE, "args": argparse.Namespace(lr=0.1, out=Path("runs"))},
        {"model": STATE, "best": np.float64(0.3), "curve": np.arange(3), "at": datetime.datetime(2024, 1, 1)},
        {"state_dict": STATE, "callbacks": {"checkpoint": Unknown()}, "cfg": collections.defaultdict(list)},
    ],
)
def test_tensors_are_found_and_read_beside_whatever_else(tmp_path: Path, stored: object, legacy: bool) -> None:
    torch.save(stored, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    assert same(read_checkpoint(tmp_path / "a.pt").state, STATE)


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.uint16, torch.complex64])
def test_newer_types_are_read_as_what_they_are(tmp_path: Path, kind: torch.dtype) -> None:
    torch.save({**STATE, "visual.other": torch.ones(3).to(kind)}, tmp_path / "a.pt")
    assert read_checkpoint(tmp_path / "a.pt").state["visual.other"].dtype == kind


def test_a_file_without_checksums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(STATE, tmp_path / "a.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert same(read_checkpoint(tmp_path / "a.pt").state, STATE)


def test_content_decides_not_the_suffix(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "a.pt")
    torch.save(STATE, tmp_path / "b.safetensors")
    for name in ("a.pt", "b.safetensors"):
        assert same(read_checkpoint(tmp_path / name).state, STATE)


def _calls(function: Callable[..., object], *arguments: object) -> object:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return function, arguments

    return Trap()


@pytest.mark.parametrize("function", [os.system, os.remove, eval, exec, __import__, socket.create_connection])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_names_what_acts(tmp_path: Path, function: Callable[..., object], legacy: bool) -> None:
    arguments = (f"touch {tmp_path / 'sprung'}",)
    stored = {"state_dict": STATE, "extra": _calls(function, *arguments)}
    torch.save(stored, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    text = refusal(tmp_path / "a.pt")
    assert re.search(rf"it names '[\w.]*{function.__name__}', a function of Python's own that no weights need", text)
    assert "nothing of it was run" in text
    assert not (tmp_path / "sprung").exists()


class Recipe:
    """As training programs store them: with a class of its own inside."""

    class Plan:
        pass

    def rate(self) -> float:
        return 0.1


@pytest.mark.parametrize("legacy", [False, True])
def test_what_training_programs_store_beside_tensors_is_no_fault(tmp_path: Path, legacy: bool) -> None:
    extra = [
        functools.partial(torch.optim.AdamW, lr=0.1), re.compile("a"), random.Random(1), logging.getLogger("x"),
        Recipe.Plan(), Recipe().rate, torch.relu, Ellipsis, len, type, operator.itemgetter(1), [].append,
    ]  # fmt: skip
    for each in extra:
        stored = {"state_dict": STATE, "epoch": 3, "arguments": {"value": each}}
        torch.save(stored, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
        assert same(read_checkpoint(tmp_path / "a.pt").state, STATE), each


def test_a_whole_network_says_so(tmp_path: Path) -> None:
    torch.save(Holder(proj=STATE["visual.proj"]), tmp_path / "a.pt")
    text = refusal(tmp_path / "a.pt")
    assert "it holds a whole object of test_models_weight_files.Holder, which only its own code can make" in text
    assert "save its state_dict() alone, `torch.save(model.state_dict(), 'weights.pt')`" in text


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        ({}, "it holds an empty dictionary"),
        ([1, 2], "it holds a list without named tensors"),
        (torch.ones(2), "it holds one tensor without a name"),
        ({"epoch": 3}, "it holds a dict without named tensors"),
        ({"teacher": STATE, "student": STATE}, r"it holds several networks \(teacher, student\). Save the one"),
        ({"layer": torch.ones(2)}, r"no tensor is named 'visual...'. It has 1 tensors: layer"),
        ({"state_dict": {"vision_model.x": torch.ones(2)}}, "the names of Hugging Face transformers' CLIP"),
    ],
)
def test_what_holds_no_clip_says_what_it_holds(tmp_path: Path, stored: object, says: str) -> None:
    torch.save(stored, tmp_path / "a.pt")
    assert re.search(says, refusal(tmp_path / "a.pt"))


def _packed(change: Callable[[str, bytes], bytes | None], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A torch file with some of its members changed, and its checksums right."""
    source, packed = io.BytesIO(), io.BytesIO()
    torch.save(STATE, source)
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(packed, "w", compression) as new:
        for info in old.infolist():
            content = change(info.filename, old.read(info))
            if content is not None:
                new.writestr(info.filename, content)
    return packed.getvalue()


def _pickled(change: Callable[[bytes], bytes]) -> bytes:
    return _packed(lambda name, content: change(content) if name.endswith("data.pkl") else content)


def _written(write: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def _doubled() -> bytes:
    file = io.BytesIO(_packed(lambda _, content: content))
    with warnings.catch_warnings(), zipfile.ZipFile(file, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr(archive.namelist()[-1], b"another")
    return file.getvalue()


def _zip_of_a_zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.pt", WHOLE)
    return file.getvalue()


def _header(text: bytes, length: int | None = None) -> bytes:
    return (len(text) if length is None else length).to_bytes(8, "little") + text


WHOLE = _written(lambda file: torch.save(STATE, file))
LEGACY = _written(lambda file: torch.save(STATE, file, _use_new_zipfile_serialization=False))
DEEP = b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
LAST = WHOLE.index(STATE["visual.proj"].numpy().tobytes())
CUT = "cut short or damaged"
BYTES = {
    "empty": (b"", "it is empty. Get the file again"),
    "cut zip": (WHOLE[: len(WHOLE) // 2], "a zip archive that was cut short or damaged"),
    "flipped bit": (WHOLE[:LAST] + b"\1" + WHOLE[LAST + 1 :], r"damaged: the bytes of the storage '\d' are not those"),
    "cut legacy": (LEGACY[:-3], "it was cut short"),
    "cut in a legacy pickle": (LEGACY[:200], "cut short or damaged: a pickle in it has no end"),
    "cut safetensors": (_header(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'), CUT),
    "huge header": (_header(b"{}", 2**60), CUT),
    "deep header": (_header(DEEP), CUT),
    "no JSON": (_header(b"{nothing"), CUT),
    "git lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS.*`git lfs pull`"),
    "web page": (b"\n<!DOCTYPE html><html>Not found</html>", "a page of the web that was saved in its place"),
    "another page": (b"<HTML><body>", "a page of the web"),
    "gzip": (gzip.compress(WHOLE), "compressed with gzip. Unpack it"),
    "tar": (bytes(257) + b"ustar" + bytes(300), "a tar archive. Unpack it"),
    "index": (json.dumps({"weight_map": {"a": "1.bin"}}).encode(), "text, as an index of weights in several files"),
    "YAML": (b"- a\n- b\n", "begins with b'- a"),
    "NumPy": (_written(lambda file: np.save(file, np.ones(3))), "an array of NumPy"),
    "npz": (_written(lambda file: np.savez(file, a=np.ones(3))), r"zip archive of other files \(a.npy\)"),
    "zip of a zip": (_zip_of_a_zip(), r"zip archive of other files \(a.pt\), not one of torch's. Unpack it"),
    "pickle": (pickle.dumps({"a": 1}), "a pickle that torch did not write"),
    "picture": (b"\xff\xd8\xff\xe0" + bytes(100), r"begins with b'\\xff\\xd8"),
    "zeros": (bytes(1000), "begins with b'"),
    "compressed": (_packed(lambda _, content: content, zipfile.ZIP_DEFLATED), "another program has compressed"),
    "doubled member": (_doubled(), "two members of one name"),
    "no list": (_packed(lambda n, c: None if n.endswith("data.pkl") else c), "not one of torch's. Unpack it"),
    "no storage": (_packed(lambda n, c: None if n.endswith("/data/0") else c), "the storage '0' has 0 of 24"),
    "short storage": (_packed(lambda n, c: c[:-4] if n.endswith("/data/0") else c), "'0' has 20 of 24 bytes"),
    "big-endian": (_packed(lambda n, c: b"big" if n.endswith("byteorder") else c), "another byte order"),
    "beyond": (_pickled(lambda c: c.replace(b"K\x02K\x03\x86", b"K\xffK\x03\x86", 1)), "only 6 numbers are stored"),
    "memo bomb": (_pickled(lambda _: b"\x80\2}r\xff\xff\xff\x7f."), "a memo beyond the pickle's length"),
    "long string": (_pickled(lambda _: b"\x80\4\x8d" + b"\xff" * 7 + b"\0x."), "a damaged pickle"),
    "no end": (_pickled(lambda c: c[:-1]), "a damaged pickle"),
    "deep pickle": (_pickled(lambda _: b"\x80\2" + b"]" * 10_000 + b"a" * 9_999 + b"."), "a list without named"),
    "odd storage": (_pickled(lambda c: c.replace(b"FloatStorage", b"OtherStorage")), "a storage of an unknown kind"),
    "no opcode": (_pickled(lambda _: b"\x80\2\xfe."), "a damaged pickle"),
}  # fmt: skip


@pytest.mark.parametrize("name", BYTES)
def test_bytes_that_are_no_weights_say_what_they_are(tmp_path: Path, name: str) -> None:
    content, says = BYTES[name]
    (tmp_path / "a.pt").write_bytes(content)
    text = refusal(tmp_path / "a.pt")
    assert re.search(says, text, re.DOTALL)
    assert "`pretrained`" in text or "git lfs pull" in text


@pytest.mark.parametrize("at", range(0, len(WHOLE), 97))
def test_a_file_cut_or_damaged_anywhere_is_answered(tmp_path: Path, at: int) -> None:
    """Whatever a byte stands for: refused in a sentence, or it does not matter and the numbers are right."""
    for start in (WHOLE, LEGACY):
        for content in (
            start[:at],
            start[:at] + bytes([start[at] ^ 255]) + start[at + 1 :] if at < len(start) else start,
        ):
            (tmp_path / "a.pt").write_bytes(content)
            with contextlib.suppress(UserError):
                read_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (os.mkfifo, r"a FIFO \(named pipe\)"),
        (Path.mkdir, "a folder"),
        (lambda p: p.symlink_to("/dev/zero"), "a device"),
    ],
)
def test_what_is_no_file(tmp_path: Path, make: WriteFile, says: str) -> None:
    make(tmp_path / "a.pt")
    assert re.search(f"it is {says}, no file with weights", refusal(tmp_path / "a.pt"))
    with pytest.raises(UserError, match=f"are {says}, no file with weights"):
        weights_digest("demo-vit", tmp_path / "a.pt")


CHANGES: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "NaN": (lambda t: t.index_fill(0, torch.tensor(0), torch.nan), "128 of 24576 numbers of tensor '{}' are NaN"),
    "infinite": (lambda t: t * torch.inf, "not finite: .*'{}' are NaN or infinite"),
    "half overflow": (lambda t: t.double() * 1e300, "not finite: 24576 of 24576 numbers of tensor '{}'"),
    "int8": (lambda t: t.to(torch.int8), "tensor '{}' is of type int8. Allowed: floats of 16, 32 or 64 bits"),
    "int64": (lambda t: t.to(torch.int64), "tensor '{}' is of type int64"),
    "bool": (lambda t: t > 0, "tensor '{}' is of type bool"),
    "complex": (lambda t: t.to(torch.complex64), "tensor '{}' is of type complex64"),
    "fp8": (lambda t: t.to(torch.float8_e5m2), "tensor '{}' is of type float8_e5m2"),
    "meta": (lambda t: t.to("meta"), r"tensor '{}' is a tensor without numbers \(of the device 'meta'\)"),
    "sparse": (lambda t: t.to_sparse(), "tensor '{}' is a sparse tensor"),
    "CSR": (lambda t: t.to_sparse_csr(), "tensor '{}' is a sparse tensor"),
    "quantised": (lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8), "tensor '{}' is a quantised tensor"),
    "NumPy": (lambda t: t.numpy(), "tensor '{}' is an array or number of NumPy"),
    "an object": (lambda _: Unknown(), "tensor '{}' is an object of test_models_weight_files.Unknown"),
    "zero-sized": (lambda t: t[:0], r"tensor '{}' is \[0, 128\] in the file and \[192, 128\] in the model"),
    "one side": (lambda _: torch.ones(2), r"tensor '{}' is \[2\] in the file"),
    "a number": (lambda _: 3, "tensor '{}' is absent from the file"),
    "huge by stride": (lambda _: torch.ones(1).expand(1 << 40), r"tensor '{}' is \[1099511627776\] in the file"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("change", CHANGES)
def test_numbers_that_are_no_weights(tmp_path: Path, demo_state: dict[str, Tensor], change: str) -> None:
    alter, says = CHANGES[change]
    torch.save({**demo_state, "visual.proj": alter(demo_state["visual.proj"])}, tmp_path / "a.pt")
    with pytest.raises(UserError, match=says.format("visual.proj")) as error:
        pretrained_state(Architecture("demo-vit"), tmp_path / "a.pt")
    assert "`pretrained`" in str(error.value)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("write", [torch.save, save_file])
def test_other_floats_are_read(tmp_path: Path, demo_state: dict[str, Tensor], kind: torch.dtype, write) -> None:
    write({key: each.to(kind) for key, each in demo_state.items()}, tmp_path / "a.pt")
    found = pretrained_state(Architecture("demo-vit"), tmp_path / "a.pt")
    assert all(torch.equal(each, demo_state[key].to(kind).float()) for key, each in found.items())


def test_a_pickle_gives_its_classes_no_attributes() -> None:
    """Of what a pickle sets on what it names, nothing outlives it."""
    value = unpickle(b"\x80\2cmy.module\nThing\n)\x81}X\1\0\0\0aK\1sb.").value
    assert value.describe() == "an object of my.module.Thing"
    assert value.state == {"a": 1}
    for name in (b"torch._utils\n_rebuild_tensor_v2\n", b"collections\nOrderedDict\n", b"torch\nFloatStorage\n"):
        with pytest.raises(NoWeightsError, match="a damaged pickle"):
            unpickle(b"\x80\2c" + name + b"N}X\6\0\0\0harmedK\1s\x86b.")
    assert not hasattr(collections.OrderedDict, "harmed")
