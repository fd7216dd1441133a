"""The pictures of a dataset page: read back from the page, they are those of the files."""

import base64
import io
import re
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_dataset_page import BAD, CLEAN, image, summarised

from reid_pipeline.evaluation.shown_dataset import IMAGES, MOST, ROWS, dataset_pictures
from reid_pipeline.reporting.dataset_page import render_dataset_page
from reid_pipeline.schema.raw_folder import RawFolder

SIZE = (40, 80)


def colour_of(path: str) -> tuple[int, int, int]:
    """A colour of its own for each path, far from those of others."""
    number = sum(map(ord, path))
    return number * 37 % 256, number * 91 % 256, number * 151 % 256


def written(folder: Path, images: list[dict]) -> RawFolder:
    """Write a picture of one colour for each image; g/4.jpg is cut short, and q/2.jpg is no picture."""
    for each in images:
        file = folder / each["path"]
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE, colour_of(each["path"])).save(file, "JPEG", quality=95)
        if each["path"] == "g/4.jpg":
            noise = np.random.default_rng(0).integers(0, 255, (80, 40, 3), dtype=np.uint8)
            Image.fromarray(noise).save(file, "JPEG", quality=95)
            file.write_bytes(file.read_bytes()[:3000])
    return RawFolder(folder, ())


def table_of(images: list[dict]) -> pd.DataFrame:
    rows = pd.DataFrame([each for each in images if each["split"]])
    return rows.sort_values("path", ignore_index=True)


def shown_on(page: str) -> dict[str, np.ndarray]:
    """Return the pictures of a page by the path that each has for its words."""
    found = re.findall(r'<img src="data:image/webp;base64,([^"]+)" alt="([^"]+)"', page)
    return {
        unescape(alt): np.asarray(Image.open(io.BytesIO(base64.b64decode(source))).convert("RGB"), dtype=int)
        for source, alt in found
    }


@pytest.fixture(scope="module")
def bad_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    raw = written(tmp_path_factory.mktemp("raw"), BAD)
    (raw.root / "q/2.jpg").write_text("none")
    summary = summarised(BAD)
    return render_dataset_page(summary, dataset_pictures(summary, table_of(BAD), raw))


def test_every_picture_is_that_of_its_file(bad_page: str) -> None:
    shown = shown_on(bad_page)
    left_out = {"q/2.jpg", "g/5.jpg", "g/3.jpg"}  # broken, junk, and a second of an identity
    assert set(shown) == {each["path"] for each in BAD} - left_out
    for path, pixels in shown.items():
        assert pixels.shape == (80, 40, 3)
        if path != "g/4.jpg":
            assert np.abs(pixels - colour_of(path)).max() < 12, path


def test_problems_show_what_they_are_about(bad_page: str) -> None:
    part = bad_page[bad_page.index('id="problems"') : bad_page.index('id="pictures"')]
    problems = dict(re.findall(r'<h3 class="mismatch">(.*?)</h3>(.*?)(?=<h3|</section>)', part, re.DOTALL))
    assert {title: sorted(shown_on(text)) for title, text in problems.items()} == {
        "Files that cannot be decoded": ["g/4.jpg"],
        "Queries without a match": ["q/1.jpg"],
        "Identities in both training and test": ["q/1.jpg", "t/0.jpg", "t/1.jpg"],
        "Identical files with different identities": ["g/2.jpg"],
        "Identical files in different splits": ["g/2.jpg", "q/1.jpg"],
        "Identical files in one split": ["g/2.jpg"],
        "Images that no split uses": ["q/3.jpg"],
    }
    assert '<span class="none">no picture: q/2.jpg</span>' in problems["Queries without a match"]
    cut = shown_on(problems["Files that cannot be decoded"])["g/4.jpg"]
    assert cut[:20].std() > 30, "what there is of it"
    assert cut[-8:].std() < 10, "and grey where it lacks"


def test_contact_sheets_are_bounded_whatever_there_is(tmp_path: Path) -> None:
    many = [image(f"t{pid}/{n}.jpg", pid, n % 2, "train") for pid in range(5, 25) for n in range(15)]
    queries = [image(f"q/{pid}.jpg", pid, 0, "query") for pid in range(100, 160)]
    others = [image(f"g/{n}.jpg", pid, 1, "gallery") for pid in (0, -2) for n in range(pid * 100, pid * 100 + 40)]
    table = table_of([*many, *queries, *others])
    summary = summarised(CLEAN)
    pictures = dataset_pictures(summary, table, RawFolder(tmp_path, ()))
    rows = {split: [(row.caption, len(row.paths)) for row in sheet] for split, sheet in pictures.splits.items()}
    assert len(rows["train"]) == ROWS
    assert {number for _, number in rows["train"]} == {IMAGES}
    assert rows["train"][0][0] == "fox-5: 15 images, 2 cameras"
    assert rows["query"] == [(f"One image each of {MOST} of 60 identities", MOST)]
    assert rows["gallery"] == [("Distractors: 40 images", MOST), ("Unlabelled: 40 images", MOST)]
    assert set(pictures.pictures.values()) == {None}, "the files are gone"
    assert pictures == dataset_pictures(summary, table, RawFolder(tmp_path, ()))
    assert render_dataset_page(summary, pictures).count("no picture: ") == ROWS * IMAGES + 3 * MOST
