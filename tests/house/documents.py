"""The project's documents and what is in them."""

import re
from pathlib import Path

from console_blocks import DOCUMENTS as DOCUMENTS


def blocks(document: Path, language: str) -> list[str]:
    """Return the fenced blocks of one language, in order."""
    fence = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return fence.findall(document.read_text())


def file_block(document: Path, path: str) -> str:
    """Return the block whose first line is a comment with `path`."""
    language = {".py": "python", ".yml": "yaml"}[Path(path).suffix]
    (found,) = [block for block in blocks(document, language) if block.startswith(f"# {path}\n")]
    return found
