"""Reading, hashing and decoding files: in this process, or in a process of its own.

Opening a small JPEG is mostly Python, hence processes (docs/performance.md); they start fast, as little is imported.
"""

import hashlib
import io
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

_MOST_HELD = 8_000_000  # bytes of files, or one file where it is larger
_READY = "reid_pipeline is ready"  # all that the interpreter's own start prints comes before it
_PROGRAM = (
    "import json, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN);"  # the parent ends this process
    " sys.path[:] = json.loads(sys.stdin.buffer.readline());"
    f" from reid_pipeline.images.file_reader import serve; print({_READY!r}, flush=True); serve()"
)
# EXIF 2.3, tag 0x0112: what makes the stored picture upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TRANSPOSED = frozenset({5, 6, 7, 8})
_SURE_TO_CONVERT = frozenset({"RGB", "L", "P", "1", "CMYK", "RGBA", "LA", "YCbCr"})
_LARGEST_16_BIT = 65535
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_START_OF_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"  # JPEG markers; neither occurs in coded pixels
_CUT_SHORT = "truncated: the file ends before the picture does"
_LONGEST_REASON = 100  # characters of Pillow's own message


class PictureError(ValueError):
    """The bytes hold no usable picture; the message is a short phrase with the reason."""


class Picture(NamedTuple):
    """The result of decoding: the size in pixels as displayed and Pillow's mode as stored, or what is wrong."""

    width: int | None
    height: int | None
    mode: str
    fault: str


def load_picture(content: bytes) -> Image.Image:
    """Decode a whole file to its last pixel, as stored, or raise `PictureError`; of an animation, the first frame."""
    if not content:
        raise PictureError("empty file, 0 bytes")
    # Other code of this process may have set Pillow to ignore missing pixels, for all its callers.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    except Exception as error:  # Pillow's plugins raise many kinds on damaged bytes, struct.error among them
        raise PictureError(_reason(error, content)) from error
    if 0 in image.size:
        raise PictureError(f"no pixels: its size is {image.width} x {image.height}")
    if image.format in {"JPEG", "MPO"} and not _has_end(content):
        raise PictureError(_CUT_SHORT)
    return image


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none or the EXIF block is damaged."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # viewers, too, show a picture whose EXIF block is damaged
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def upright(image: Image.Image) -> Image.Image:
    """Return the picture as it is displayed."""
    turn = _UPRIGHT.get(orientation(image))
    return image if turn is None else image.transpose(turn)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return the picture in 8-bit RGB, or raise `PictureError` for numbers without an agreed way to colours.

    Transparent parts become white, as in most viewers. 16-bit grey is scaled (65535 becomes 255), where Pillow
    would clip it. CMYK is taken as Adobe stores it in JPEG and converted without a colour profile.
    """
    if image.mode.startswith(("I", "F")):
        return _grey_of_numbers(image).convert("RGB")
    try:
        if image.has_transparency_data:
            rgba = image.convert("LA" if image.mode == "La" else "RGBA").convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", image.size, "white"), rgba).convert("RGB")
        return image.convert("RGB")
    except ValueError as error:
        raise PictureError(f"Pillow's mode {image.mode} cannot be made RGB") from error


def describe(content: bytes) -> Picture:
    """Decode a whole file; whatever its bytes are, a `Picture` is returned and nothing raised."""
    try:
        image = load_picture(content)
        if image.mode not in _SURE_TO_CONVERT:
            to_rgb(image)
    except PictureError as fault:
        return Picture(None, None, "", str(fault))
    width, height = image.size
    if orientation(image) in _TRANSPOSED:
        width, height = height, width
    return Picture(width, height, image.mode, "")


class ReadFile(NamedTuple):
    """SHA-256 and size in bytes of a file's content, or the error that opening it gave."""

    sha256: str
    size: int
    error: str = ""


class FileReader:
    """Reads files below a folder, holds them until the next reading, and decodes those that the caller asks for."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._held: list[bytes] = []

    def read(self, paths: Sequence[str]) -> list[ReadFile]:
        """Read and hash the first files of `paths`: as many as may be held, and at least one."""
        self._held = []
        found: list[ReadFile] = []
        size = 0
        for path in paths:
            try:
                # Unbuffered and without a Path: a fifth of the time that a small file takes.
                with open(os.path.join(self._folder, path), "rb", buffering=0) as file:  # noqa: PTH118, PTH123
                    content = file.readall()
                found.append(ReadFile(hashlib.sha256(content).hexdigest(), len(content)))
            except OSError as error:
                content = b""
                found.append(ReadFile("", 0, error.strerror or str(error)))
            self._held.append(content)
            size += len(content)
            if size >= _MOST_HELD:
                break
        return found

    def decode(self, places: Sequence[int]) -> list[Picture]:
        """Decode the files at these places of the last reading."""
        return [describe(self._held[place]) for place in places]


class ReaderGone(Exception):  # noqa: N818 - a state, handled by the caller and never shown
    """The process ended, or never began."""


class ReadingProcess:
    """A `FileReader` in another process, which the first call starts; `startable` is false once one did not start.

    It is a program: `multiprocessing` would run the caller's main module again, and a notebook has none.
    """

    def __init__(self, folder: str, command: Sequence[str] = (sys.executable, "-c", _PROGRAM)) -> None:
        self._folder = folder
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self.startable = True

    def read(self, paths: Sequence[str]) -> list[ReadFile]:
        """Do as `FileReader.read`; `ReaderGone`: the process ended or did not start, and the next call starts one."""
        return [ReadFile(*found) for found in self._ask(["read", list(paths)])]

    def decode(self, places: Sequence[int]) -> list[Picture]:
        """Do as `FileReader.decode`; `ReaderGone`: the process ended, and what it had read is lost."""
        return [Picture(*found) for found in self._ask(["decode", list(places)])]

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process:
            self._process.kill()  # it writes nothing
            self._process.communicate()
            self._process = None

    def _ask(self, request: Any) -> Any:
        try:
            process = self._process or self._start()
            _send(process, request)
            return json.loads(_line(process))
        except (OSError, EOFError) as error:
            self.close()
            raise ReaderGone(str(error)) from error

    def _start(self) -> "subprocess.Popen[bytes]":
        self.startable = False  # until it is ready
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
        _send(self._process, [str(folder) for folder in sys.path])
        _send(self._process, self._folder)
        while _line(self._process).strip() != _READY.encode():
            pass
        self.startable = True
        return self._process


def _send(process: "subprocess.Popen[bytes]", request: Any) -> None:
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    process.stdin.write(json.dumps(request).encode() + b"\n")
    process.stdin.flush()


def _line(process: "subprocess.Popen[bytes]") -> bytes:
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    line = process.stdout.readline()
    if not line.endswith(b"\n"):
        raise EOFError("the process ended")
    return line


def serve() -> None:
    """Answer lines of JSON, ["read", paths] or ["decode", places], by lines of JSON; the first line is the folder."""
    warnings.simplefilter("ignore")  # Pillow's, about odd files; they would break the line of a progress bar
    lines, answers = sys.stdin.buffer, sys.stdout.buffer
    reader = FileReader(json.loads(lines.readline()))
    while line := lines.readline():
        verb, given = json.loads(line)
        answer = reader.read(given) if verb == "read" else reader.decode(given)
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def _has_end(content: bytes) -> bool:
    """Return whether the end marker follows a JPEG's last scan; Pillow decodes the filling of a broken download."""
    return content.endswith(_END_OF_IMAGE) or content.rfind(_END_OF_IMAGE) > content.rfind(_START_OF_SCAN)


def _reason(error: Exception, content: bytes) -> str:
    text = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
    if isinstance(error, Image.DecompressionBombError):
        return f"too large, or a decompression bomb: {text}"
    if isinstance(error, UnidentifiedImageError):
        known = content.startswith(_SIGNATURES)
        return "truncated or damaged in its first part" if known else "not an image that Pillow knows"
    if isinstance(error, EOFError) or "truncated" in text.lower() or "unexpected end" in text.lower():
        return _CUT_SHORT
    return f"damaged: {text}"


def _grey_of_numbers(image: Image.Image) -> Image.Image:
    """Return 8-bit grey of a picture of 16-bit or wider numbers."""
    import numpy as np

    values = np.asarray(image)
    if image.mode == "F":
        raise PictureError("its pixels are fractions without an agreed black and white; save it with 8 bits")
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > _LARGEST_16_BIT:
        raise PictureError(f"its pixels go from {low} to {high}, beyond 16 bits; save it with 8 bits")
    return Image.fromarray(np.round(values / (_LARGEST_16_BIT / 255)).astype(np.uint8))
