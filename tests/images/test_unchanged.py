"""Images that are no longer what ingestion saw."""

import hashlib
import os
import re
from pathlib import Path

import pandas as pd
import pytest

from reid_pipeline.images.unchanged import require_same_folder, require_unchanged, stamp_files
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.tables import IMAGE_STAMPS

PATHS = ["a.jpg", "b/c.jpg", "d.jpg"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for place, path in enumerate(PATHS):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(bytes([place]) * 100)
    return tmp_path


@pytest.fixture
def rows(root: Path) -> pd.DataFrame:
    digests = [hashlib.sha256((root / path).read_bytes()).hexdigest() for path in PATHS]
    return pd.DataFrame({"path": PATHS, "sha256": digests})


def hashed(root: Path, rows: pd.DataFrame, stamps: pd.DataFrame | None) -> int:
    """How many files were read."""
    seen = [0]

    def done(number: int, total: int) -> None:
        assert number <= total
        seen[0] = number

    require_unchanged(root, rows, stamps, on_done=done)
    return seen[0]


def test_stamps_are_those_of_the_file_system(root: Path) -> None:
    stamps = IMAGE_STAMPS.validate(stamp_files(root, PATHS))
    for path, size, modified, changed in stamps.itertuples(index=False):
        facts = (root / path).stat()
        assert (size, modified, changed) == (100, facts.st_mtime_ns, facts.st_ctime_ns)
    assert stamp_files(root, ["gone.jpg"]).iloc[0].tolist() == ["gone.jpg", -1, -1, -1]


def test_unchanged_files_are_not_read(root: Path, rows: pd.DataFrame) -> None:
    stamps = stamp_files(root, PATHS)
    assert hashed(root, rows, stamps) == 0
    os.utime(root / "a.jpg")  # another time, and the same bytes
    assert hashed(root, rows, stamps) == 1
    assert hashed(root, rows, None) == 3
    assert hashed(root, rows, stamps[:1]) == 3


@pytest.mark.parametrize("keep_time", [True, False])
@pytest.mark.parametrize("stamped", [True, False])
def test_other_bytes_are_found(root: Path, rows: pd.DataFrame, keep_time: bool, stamped: bool) -> None:
    stamps = stamp_files(root, PATHS) if stamped else None
    facts = (root / "b/c.jpg").stat()
    (root / "b/c.jpg").write_bytes(b"x" * 100)  # of the same size
    if keep_time:
        os.utime(root / "b/c.jpg", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    (root / "d.jpg").unlink()
    says = r"2 of 3 images have changed since ingestion: b/c\.jpg, d\.jpg \(gone\), in .*Bring back"
    with pytest.raises(UserError, match=says):
        require_unchanged(root, rows, stamps)


def test_a_collection_is_read_from_one_folder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    stamps = stamp_files(root, PATHS)
    stamps.to_parquet(root / "stamps.parquet")
    stored = pd.read_parquet(root / "stamps.parquet")
    require_same_folder(root, stored)
    require_same_folder(root, None)
    other = tmp_path_factory.mktemp("other")
    says = rf"was read from {re.escape(str(root))} before, and is now .*collection=<name>"
    with pytest.raises(UserError, match=says):
        require_same_folder(other, stored)
    root.rename(root.with_name("moved"))
    require_same_folder(other, stored)  # what is gone was moved
