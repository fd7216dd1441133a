"""Pages of a gallery: who is in it, and what was found of the images or words that were asked about."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reid_pipeline.reporting.contact_sheets import HEIGHT, Picture, row_of, source_of
from reid_pipeline.reporting.formats import count, counted
from reid_pipeline.reporting.page import Column, Headline, Table, rendered
from reid_pipeline.reporting.rank_lists import place_of
from reid_pipeline.schema.columns import IDENTITY

LISTED = 500
"""Identities in the table of the page; the CSV has all."""
_MISSING = (200, 204, 210)


@dataclass(frozen=True)
class Shown:
    """A row of pictures with words: a probe and its nearest entries, or an identity and its images.

    Attributes:
        title: what was asked about, or whose images they are.
        verdict: the answer in words; empty where there is none.
        pictures: uint8 [H, W, 3], of which the first is the probe where `asked`.
        lines: a few words on each of the other pictures, in their order.
        kind: CSS class of the verdict, "match", "mismatch" or empty.
        asked: whether the first picture is the one asked about.
    """

    title: str
    verdict: str
    pictures: Sequence[Picture]
    lines: Sequence[str]
    kind: str = ""
    asked: bool = True

    def row(self) -> dict[str, Any]:
        """Return what the template shows."""
        source = source_of(row_of(self.pictures, asked=self.asked)) if self.pictures else ""
        alt = f"{self.title}: {'; '.join(self.lines) or 'no picture'}"
        return {"title": self.title, "verdict": self.verdict, "source": source, "alt": alt}

    def ranked(self) -> dict[str, Any]:
        """Return what the template shows where each picture has its own words, the nearest first."""
        query, *entries = self.pictures if self.asked else [None, *self.pictures]
        places = [
            place_of(picture, str(rank), [line])
            for rank, (picture, line) in enumerate(zip(entries, self.lines, strict=True), 1)
            if picture is not None
        ]
        asked = None if query is None else place_of(query, "Probe", [])
        return {"title": self.title, "verdict": self.verdict, "kind": self.kind, "query": asked, "places": places}


@dataclass(frozen=True)
class AnswerContent:
    """What a page of answers shows.

    Attributes:
        name: of the gallery.
        title: of the page, such as "Who is this?".
        lead: sentences at the top.
        facts: names and values below them.
        shown: the probes, or those of them that are shown.
        total: how many there were.
        warnings: sentences that a reader must not miss.
    """

    name: str
    title: str
    lead: str
    facts: Sequence[tuple[str, str]]
    shown: Sequence[Shown]
    total: int
    warnings: Sequence[str] = ()


def render_answers(content: AnswerContent) -> str:
    """Return the page of a search, or of an identification; it loads nothing, and every value is escaped."""
    left_out = content.total - len(content.shown)
    rest = f"{counted(left_out, 'probe')} more: the tables beside this page have all." if left_out else ""
    rows = [each.ranked() for each in content.shown]
    return rendered("gallery_answers.html.j2", content=content, rows=rows, rest=rest)


@dataclass(frozen=True)
class GalleryContent:
    """What the page of a gallery shows.

    Attributes:
        name: of the gallery.
        done: what the last change did, in sentences.
        identities: columns identity, images, cameras, first, last, confirmed.
        facts: names and values.
        shown: some identities with their images.
    """

    name: str
    done: Sequence[str]
    identities: pd.DataFrame
    facts: Sequence[tuple[str, str]]
    shown: Sequence[Shown]


def render_gallery(content: GalleryContent) -> str:
    """Return the page of a gallery; it loads nothing, and every value is escaped."""
    table = content.identities
    unconfirmed = int((~table.confirmed).sum())
    headlines = [
        Headline("Identities", count(len(table))),
        Headline("Images", count(int(table.images.sum()))),
        Headline("Not confirmed", count(unconfirmed), "clusters that nobody named"),
    ]
    rest = f"The first {count(LISTED)} of {count(len(table))}; identities.csv has all." if len(table) > LISTED else ""
    rows = [each.row() for each in content.shown]
    listed = identities_table(table.head(LISTED))
    return rendered("gallery.html.j2", content=content, headlines=headlines, table=listed, rows=rows, rest=rest)


def identities_table(identities: pd.DataFrame) -> Table:
    """Return the identities of a gallery as a table."""
    words = {IDENTITY: "Identity", "images": "Images", "cameras": "Cameras", "first": "First", "last": "Last"}
    listed = identities[list(words)].assign(images=[count(each) for each in identities.images])
    columns = [Column(title, listed[name].tolist(), words=name != "images") for name, title in words.items()]
    confirmed = Column("Confirmed", ["yes" if each else "no" for each in identities.confirmed], words=True)
    return Table("Identities", [*columns, confirmed]).without_empty_columns()


def missing_picture() -> Picture:
    """Return a grey tile, uint8 [H, W, 3], in the place of a picture whose file is gone."""
    return np.full((HEIGHT, HEIGHT // 2, 3), _MISSING, dtype=np.uint8)
