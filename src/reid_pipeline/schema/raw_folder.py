"""A raw folder, as the nodes that read from it see it."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from reid_pipeline.schema.errors import UserError, first_few, nearest, printable
from reid_pipeline.schema.regular_files import NotRegularFile, read_regular

_LARGEST = 1 << 30  # bytes of a list or table: a line for each of ten million images


@dataclass(frozen=True)
class RawFolder:
    """A listed folder."""

    root: Path
    files: tuple[str, ...]  # POSIX paths below the root, sorted
    not_text: frozenset[str] = frozenset()  # those of them that are no UTF-8, written with escapes such as \xe9
    notes: tuple[str, ...] = ()  # sentences for the dataset page: links that were not followed

    def require_text(self, paths: Iterable[str]) -> None:
        """Refuse files to be read whose names are no UTF-8 text, which no table can hold; a UserError names them."""
        if wrong := [path for path in paths if path in self.not_text]:
            raise UserError(
                f"{len(wrong)} paths in {printable(str(self.root))} are no UTF-8 text, which tables need:"
                f" {first_few(wrong)}. Rename the files or folders; if they are Latin-1, all at once: convmv -f latin1"
                f" -t utf8 -r --notest {printable(shlex.quote(str(self.root)))}"
            )

    def read_bytes(self, path: str) -> bytes:
        """Return the content of a regular file of 1 GiB at most, by its path below the root; else a UserError."""
        self.require_text([path])
        file, shown = self.root / path, printable(str(self.root / path))
        try:
            size = file.stat().st_size
            content = read_regular(file) if size <= _LARGEST else b""
        except FileNotFoundError as error:
            if path in self.files:
                raise UserError(f"File {shown} is a link that leads nowhere, or is gone. Mend it.") from error
            near = printable(nearest(path, self.files))
            raise UserError(f"There is no file {printable(path)} in {printable(str(self.root))}.{near}") from error
        except NotRegularFile as error:
            raise UserError(
                f"File {shown} cannot be read: {error.strerror}. Put the file itself there, or move this away."
            ) from error
        except (OSError, ValueError) as error:  # a ValueError: a null character in the name
            raise UserError(f"File {shown} cannot be read: {getattr(error, 'strerror', error)}.") from error
        if size > _LARGEST:
            raise UserError(
                f"File {shown} has {size / 1e9:.1f} GB, and lists and tables of images are read up to"
                f" {_LARGEST / 1e9:.1f} GB. Is it the right file?"
            )
        return content

    def read_text(self, path: str) -> str:
        """Return a file's text, UTF-8 with or without a byte order mark; a UserError if it is none."""
        try:
            return self.read_bytes(path).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            text = f"File {printable(str(self.root / path))} is no UTF-8 text (byte {error.start}). Save it as UTF-8."
            raise UserError(text) from error
