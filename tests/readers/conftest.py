"""Folders for the readers' tests: text files are really there; images are names, as no reader opens one."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pandas as pd
import pytest
from own_folder import Folder

from reid_pipeline.schema.raw_folder import RawFolder

Lay = Callable[..., RawFolder]


@pytest.fixture
def lay(tmp_path: Path) -> Lay:
    """Write text files below the test's folder; return it as a raw folder with them and the named images."""

    def lay(images: Iterable[str], texts: Mapping[str, str | bytes] | None = None) -> RawFolder:
        for name, content in (texts or {}).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return RawFolder(tmp_path, (*images, *(texts or {})))

    return lay


@pytest.fixture
def rows() -> Callable[[pd.DataFrame], dict[str, tuple]]:
    """Path to (identity, pid, camid, subset), with None for null."""

    def rows(manifest: pd.DataFrame) -> dict[str, tuple]:
        camids = [None if pd.isna(camid) else int(camid) for camid in manifest["camid"]]
        columns = (manifest["path"], manifest["identity"], manifest["pid"], camids, manifest["subset"])
        return {path: tuple(rest) for path, *rest in zip(*columns, strict=True)}

    return rows


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "own")
