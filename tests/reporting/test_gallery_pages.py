"""Pages of a gallery: bounded, whole without other files, and every value of the user's escaped."""

import base64
import io
import re

import numpy as np
import pandas as pd
from PIL import Image

from reid_pipeline.reporting.gallery_pages import (
    LISTED,
    AnswerContent,
    GalleryContent,
    Shown,
    missing_picture,
    render_answers,
    render_gallery,
)
from reid_pipeline.reporting.page import ROOT, aligned

RED = np.full((56, 28, 3), (200, 0, 0), dtype=np.uint8)
NASTY = "<script>alert(1)</script>"


def identities(count: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "identity": [NASTY, *(f"person {number}" for number in range(1, count))],
            "images": 3,
            "cameras": "north, south",
            "first": "",
            "last": "",
            "confirmed": [number % 2 == 0 for number in range(count)],
        }
    )


def test_a_page_of_answers_shows_probes_verdicts_and_what_is_left_out() -> None:
    shown = [Shown("new/1.jpg", "known: Ada", [RED, RED], ["Ada north 0.912"], kind="match")]
    shown.append(Shown(NASTY, "new", [missing_picture()], [], kind="mismatch"))
    content = AnswerContent("zoo", "Who is this?", "Lead.", [("Probes", "5")], shown, total=5, warnings=["Beware."])
    page = render_answers(content)
    assert NASTY not in page
    assert "&lt;script&gt;" in page
    for words in (
        "known: Ada",
        'class="match"',
        "Ada north 0.912",
        'alt="1: Ada north 0.912"',
        'alt="Probe"',
        "3 probes more",
        "Beware.",
        "Who is this?",
    ):
        assert words in page
    assert "No entry of the gallery is left by the filter." in page
    assert not re.search(rf"(?:src|href)=\"(?!data:|{ROOT})", page), "it loads nothing"
    pictures = [Image.open(io.BytesIO(base64.b64decode(found))) for found in re.findall(r"base64,([^\"]+)", page)]
    assert [each.size for each in pictures] == [(28, 56)] * 3, "a probe with its entry, and another probe"


def test_words_have_no_picture_of_their_own() -> None:
    row = Shown("red jacket", "", [RED, RED], ["Ada 0.3", "Bo 0.2"], asked=False).row()
    picture = Image.open(io.BytesIO(base64.b64decode(row["source"].partition("base64,")[2])))
    assert picture.size == (28 + 4 + 28 + 4, 56)


def test_the_page_of_a_gallery_lists_so_many_identities_and_counts_all() -> None:
    table = identities(LISTED + 5)
    page = render_gallery(GalleryContent("zoo", ["Done."], table, [("Promise", "none")], []))
    assert page.count("person ") == LISTED - 1
    assert f"The first {LISTED} of {LISTED + 5}" in page
    assert NASTY not in page
    assert f"{3 * (LISTED + 5):,}" in page
    assert ">252<" in page.replace("\n", ""), "every second of 505 is not confirmed"
    assert "north, south" in page
    assert '<th scope="col">First</th>' not in page, "empty columns are left out"


def test_a_name_neither_breaks_a_line_nor_steers_the_terminal() -> None:
    header, _, row = aligned([["probe", "identity"], ["a\nb\x1b[2J.jpg", "\u202egpj"]])
    assert row.split() == [r"a\nb\x1b[2J.jpg", r"\u202egpj"]
    assert len(header) == len(row)
