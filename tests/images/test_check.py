"""Facts of real files: hashes, sizes, faults, and what is not decoded a second time."""

import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFile

from reid_pipeline.images.check import FEW, check_images
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.tables import IMAGE_FACTS


def picture(width: int = 5, height: int = 9, mode: str = "RGB", kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (width, height), 0).save(buffer, kind, **options)
    return buffer.getvalue()


def write(folder: Path, files: dict[str, bytes]) -> list[str]:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return list(files)


def many_pictures(folder: Path) -> list[str]:
    """Write enough pictures, all different, that processes decode some of them."""
    colours = np.arange(2 * FEW + 400)
    return write(
        folder, {f"{colour:05d}.ppm": b"P6 1 2 255\n" + int(colour).to_bytes(3, "big") * 2 for colour in colours}
    )


def test_hash_size_and_mode_in_the_order_asked_for(tmp_path):
    files = {
        "z/drawn.png": picture(5, 9),
        "a/grey.jpg": picture(16, 8, "L", "JPEG"),
        "ink.jpg": picture(7, 3, "CMYK", "JPEG"),
        "names with space/füchse 狐.png": picture(2, 4, "RGBA"),
        "palette.gif": picture(11, 12, "P", "GIF"),
        "deep.png": picture(3, 2, "I;16"),
    }
    facts = check_images(tmp_path, write(tmp_path, files))
    IMAGE_FACTS.validate(facts)
    assert list(facts["path"]) == list(files)
    assert list(facts["sha256"]) == [hashlib.sha256(content).hexdigest() for content in files.values()]
    assert list(facts["bytes"]) == [len(content) for content in files.values()]
    assert list(facts["width"]) == [5, 16, 7, 2, 11, 3]
    assert list(facts["height"]) == [9, 8, 3, 4, 12, 2]
    assert list(facts["mode"]) == ["RGB", "L", "CMYK", "RGBA", "P", "I;16"]
    assert (facts["fault"] == "").all()
    backwards = check_images(tmp_path, list(files)[::-1])
    pd.testing.assert_frame_equal(backwards, facts[::-1].reset_index(drop=True))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_width_and_height_are_those_displayed(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    write(tmp_path, {"a.jpg": picture(20, 10, kind="JPEG", exif=exif)})
    facts = check_images(tmp_path, ["a.jpg"])
    wanted = [10, 20] if orientation >= 5 else [20, 10]
    assert facts.loc[0, ["width", "height"]].tolist() == wanted


def test_faults_are_rows_and_never_exceptions(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    noise = np.random.default_rng(0).integers(0, 256, (128, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG")
    whole = buffer.getvalue()
    huge = bytearray(picture(kind="BMP"))
    huge[18:26] = (60_000).to_bytes(4, "little") * 2
    fraction = io.BytesIO()
    Image.new("F", (2, 2), 0.5).save(fraction, "TIFF")
    files = {
        "good.jpg": whole,
        "empty.jpg": b"",
        "note.jpg": b"not a picture",
        "cut.jpg": whole[: len(whole) * 2 // 3],
        "filled.jpg": whole[: len(whole) * 2 // 3] + bytes(len(whole) // 3),
        "bomb.bmp": bytes(huge),
        "fraction.tif": fraction.getvalue(),
    }
    facts = check_images(tmp_path, write(tmp_path, files))
    IMAGE_FACTS.validate(facts)
    faults = dict(zip(facts["path"], facts["fault"], strict=True))
    assert faults.pop("bomb.bmp").startswith("too large, or a decompression bomb: Image size (3600000000")
    assert faults == {
        "good.jpg": "",
        "empty.jpg": "empty file, 0 bytes",
        "note.jpg": "not an image of the formats that are read (JPEG, PNG, BMP, WEBP, TIFF, GIF, PPM)",
        "cut.jpg": "truncated: the file ends before the picture does",
        "filled.jpg": "truncated: the file ends before the picture does",
        "fraction.tif": "its pixels are fractions without an agreed black and white; save it with 8 bits",
    }
    assert facts["width"].isna().tolist() == facts["height"].isna().tolist() == [False] + [True] * 6
    assert facts["bytes"].tolist() == [len(content) for content in files.values()]


class TestKnown:
    """Facts that are not those of the file show that it was not decoded."""

    @staticmethod
    def changed(facts: pd.DataFrame) -> pd.DataFrame:
        return facts.assign(width=facts["width"] + 1000, mode="known")

    def test_known_content_is_not_decoded_again_under_any_name(self, tmp_path):
        write(tmp_path, {"a.png": picture(5, 9), "b.png": picture(6, 9)})
        known = self.changed(check_images(tmp_path, ["a.png", "b.png"]))
        (tmp_path / "a.png").rename(tmp_path / "renamed.png")
        facts = check_images(tmp_path, ["b.png", "renamed.png"], known=known)
        IMAGE_FACTS.validate(facts)
        assert facts["path"].tolist() == ["b.png", "renamed.png"]
        assert facts["width"].tolist() == [1006, 1005]
        assert facts["height"].tolist() == [9, 9]
        assert facts["mode"].tolist() == ["known", "known"]

    def test_changed_content_is_decoded(self, tmp_path):
        write(tmp_path, {"a.png": picture(5, 9), "b.png": picture(6, 9)})
        known = self.changed(check_images(tmp_path, ["a.png", "b.png"]))
        write(tmp_path, {"a.png": picture(8, 3)})
        facts = check_images(tmp_path, ["a.png", "b.png"], known=known)
        assert facts["width"].tolist() == [8, 1006]
        assert facts["mode"].tolist() == ["RGB", "known"]

    def test_a_fault_is_known_too(self, tmp_path):
        write(tmp_path, {"a.png": b"", "b.png": b"text"})
        first = check_images(tmp_path, ["a.png", "b.png"])
        known = first.assign(fault=first["fault"] + ", as was known")
        again = check_images(tmp_path, ["a.png", "b.png"], known=known)
        pd.testing.assert_frame_equal(again, known)

    def test_a_stored_table_serves(self, tmp_path):
        paths = write(tmp_path, {"a.png": picture(5, 9), "b.png": b"text"})
        first = check_images(tmp_path, paths)
        self.changed(first).to_parquet(tmp_path / "facts.parquet")
        again = check_images(tmp_path, paths, known=pd.read_parquet(tmp_path / "facts.parquet"))
        pd.testing.assert_frame_equal(again, self.changed(first))

    def test_an_empty_table_knows_nothing(self, tmp_path):
        paths = write(tmp_path, {"a.png": picture(5, 9)})
        nothing = check_images(tmp_path, [])
        IMAGE_FACTS.validate(nothing)
        assert check_images(tmp_path, paths, known=nothing)["width"].tolist() == [5]


def test_equal_files_have_equal_facts(tmp_path):
    names = [f"{number}.png" for number in range(100)]
    write(tmp_path, {name: picture(3 + number % 2, 9) for number, name in enumerate(names)})
    facts = check_images(tmp_path, names)
    assert facts["width"].tolist() == [3, 4] * 50
    assert facts["sha256"].nunique() == 2


def test_missing_files_are_counted_and_named(tmp_path):
    write(tmp_path, {"here.png": picture(), "folder/also.png": picture()})
    gone = [f"gone {number}.png" for number in range(7)]
    with pytest.raises(UserError, match=r"^7 of 9 images cannot be opened in .*: gone 0\.png") as caught:
        check_images(tmp_path, ["here.png", *gone, "folder/also.png"])
    text = str(caught.value)
    assert "gone 4.png (No such file or directory) and 2 more. Put back what is gone, make the others readable" in text
    assert "gone 5.png" not in text


@pytest.mark.parametrize("threads", [0, -2])
def test_threads_below_one_are_refused(tmp_path, threads):
    with pytest.raises(UserError, match=f"`threads` is {threads}; give 1 or more"):
        check_images(tmp_path, [], threads=threads)


@pytest.mark.slow
class TestMany:
    """More files than threads decode: the others go to processes."""

    @pytest.mark.parametrize("threads", [None, 1, 2])
    def test_all_facts_are_those_of_the_files(self, tmp_path, threads):
        paths = many_pictures(tmp_path)
        broken = write(tmp_path, {"aaa.jpg": b"", "zzz.jpg": b"none", "wide.ppm": b"P6 3 1 255\n" + b"abcabcabc"})
        paths = [*paths[:50], broken[0], *paths[50:], *broken[1:]]
        steps: list[int] = []
        facts = check_images(tmp_path, paths, threads=threads, on_done=steps.append)
        assert facts["path"].tolist() == paths
        wanted = [hashlib.sha256((tmp_path / path).read_bytes()).hexdigest() for path in paths]
        assert facts["sha256"].tolist() == wanted
        assert facts.index[facts["fault"] != ""].tolist() == [50, len(paths) - 2]
        sound = facts[facts["fault"] == ""]
        assert (sound["width"][:-1] == 1).all()
        assert (sound["height"][:-1] == 2).all()
        assert sound.iloc[-1][["path", "width", "height"]].tolist() == ["wide.ppm", 3, 1]
        assert steps == sorted(steps)
        assert steps[-1] == len(paths)
        assert len(steps) >= len(paths) / 256  # a bar that moves

    def test_on_done_counts_what_is_known(self, tmp_path):
        paths = many_pictures(tmp_path)[:200]
        steps: list[int] = []
        known = check_images(tmp_path, paths)
        check_images(tmp_path, paths, known=known, on_done=steps.append)
        assert steps[-1] == 200
        assert len(steps) >= 8

    @pytest.mark.parametrize("how", ["stdin", "unguarded script"])
    def test_it_works_whatever_the_main_module_is(self, tmp_path, how):
        # `multiprocessing` would fail for the first, and begin the second anew in every process.
        many_pictures(tmp_path / "images")
        program = (
            "from pathlib import Path\n"
            "from reid_pipeline.images.check import FEW, check_images\n"
            "print('begun')\n"
            "root = Path('images')\n"
            "facts = check_images(root, sorted(path.name for path in root.iterdir()), threads=2)\n"
            "print(len(facts), (facts['fault'] == '').sum())\n"
        )
        (tmp_path / "script.py").write_text(program)
        command = [sys.executable, "-" if how == "stdin" else "script.py"]
        done = subprocess.run(
            command,
            input=program,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert done.stdout.split() == ["begun", str(2 * FEW + 400), str(2 * FEW + 400)], done.stderr
