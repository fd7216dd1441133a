"""A raw folder, as the nodes that read from it see it."""

from dataclasses import dataclass
from pathlib import Path

from reid_pipeline.schema.errors import UserError, nearest


@dataclass(frozen=True)
class RawFolder:
    """A listed folder."""

    root: Path
    files: tuple[str, ...]  # POSIX paths below the root, sorted

    def read_bytes(self, path: str) -> bytes:
        """Return the content of a file, links included, by its path below the root; a UserError if it has none."""
        try:
            return (self.root / path).read_bytes()
        except FileNotFoundError as error:
            raise UserError(f"There is no file {path} in {self.root}.{nearest(path, self.files)}") from error
        except OSError as error:
            raise UserError(f"File {self.root / path} cannot be read: {error.strerror}.") from error

    def read_text(self, path: str) -> str:
        """Return a file's text, UTF-8 with or without a byte order mark; a UserError if it is none."""
        try:
            return self.read_bytes(path).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            text = f"File {self.root / path} is no UTF-8 text (byte {error.start}). Save it as UTF-8."
            raise UserError(text) from error
