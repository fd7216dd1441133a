"""A gallery whose files are not as they were written is refused: no answer comes from damaged files."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from small_gallery import MODEL, clustered, filled, manifest, rows

from reid_pipeline.gallery import Gallery, segments
from reid_pipeline.schema.errors import UserError

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda _: b"",
    "one byte": lambda content: content[:300] + bytes([content[300] ^ 0xFF]) + content[301:],
    "zeros": lambda content: content[:200] + bytes(len(content) - 200),
    "longer": lambda content: content + b"more",
}


@pytest.mark.parametrize("index", ["ivf", "hnsw"])
def test_damaged_segments_are_refused(index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "INDEXED_FROM", 50)
    whole = tmp_path / "whole"
    filled(whole, clustered(0, 20, 3), rows([f"p{row // 3}" for row in range(60)]), index)
    files = sorted((whole / "segments").iterdir())
    assert len(files) == 3
    for file in files:
        for damage in DAMAGES.values():
            folder = tmp_path / "zoo"
            shutil.copytree(whole, folder)
            (folder / "segments" / file.name).write_bytes(damage(file.read_bytes()))
            with pytest.raises(UserError, match=f"Gallery zoo is damaged: segments/{file.name} is not as it was wri"):
                Gallery.open(folder)
            shutil.rmtree(folder)


def test_a_changed_manifest_is_refused(tmp_path: Path) -> None:
    """A threshold or a name that is another by one character is valid JSON."""
    folder = tmp_path / "zoo"
    gallery = filled(folder, clustered(0, 20, 3), rows([f"p{row // 3}" for row in range(60)]))
    threshold = gallery.calibrate(0.1).threshold
    whole = (folder / "gallery.json").read_bytes()
    assert Gallery.open(folder).calibration == gallery.calibration
    for old, new in (("p3", "p9"), (f"{threshold!r}", "0.1")):
        (folder / "gallery.json").write_bytes(whole.replace(old.encode(), new.encode(), 1))
        with pytest.raises(UserError, match=r"gallery\.json is damaged, or was changed by hand"):
            Gallery.open(folder)
    (folder / "gallery.json").write_bytes(whole[:-9])
    with pytest.raises(UserError, match=r"no manifest of a gallery that this version reads.*Bring .* back whole"):
        Gallery.open(folder)
    (folder / "gallery.json").unlink()
    (folder / "gallery.json").mkdir()
    with pytest.raises(UserError, match=r"no gallery in .*zoo: .*gallery\.json is no file in a folder"):
        Gallery.open(folder)


def test_a_gallery_without_checks_is_read(tmp_path: Path) -> None:
    """Of an earlier version; damage that its libraries meet is named, too."""
    folder = tmp_path / "zoo"
    filled(folder, clustered(0, 20, 3), rows([f"p{row // 3}" for row in range(60)]))
    check, file = manifest(folder)["check"], folder / "gallery.json"
    checks = manifest(folder)["segments"][0]["checks"]
    text = file.read_text().replace(check, "")
    for each in checks.values():
        text = text.replace(each, "")
    text = text.replace('".arrow": "",', "").replace('".npy": ""', "")
    file.write_text(text)
    assert len(Gallery.open(folder)) == 60
    (folder / "segments/000000.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(UserError, match=r"Gallery zoo is damaged: segments/000000\.\*"):
        Gallery.open(folder)


def test_a_full_disk_is_named_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = filled(tmp_path / "zoo", clustered(0, 2, 1), rows(["Anna", "Bert"]))

    errors = [OSError(errno.ENOSPC, "No space left on device")]

    def full(_: int) -> None:
        if errors:
            raise errors.pop()

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match=r"No space left on device: '.*zoo/segments/000001\.npy'"):
            gallery.enrol(clustered(5, 1, 1), rows(["Cleo"]), model=MODEL)
    assert len(Gallery.open(tmp_path / "zoo")) == 2
    assert len(list((tmp_path / "zoo/segments").iterdir())) == 2, "nothing is left of it"
