"""What a gallery says of probes: ranked entries of a search and answers of an identification, as tables and pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from reid_pipeline.gallery import Filters, Gallery, Hits
from reid_pipeline.images.decode import read_image
from reid_pipeline.reporting.contact_sheets import Picture, thumbnail
from reid_pipeline.reporting.formats import counted
from reid_pipeline.reporting.gallery_pages import AnswerContent, Shown, missing_picture, render_answers
from reid_pipeline.reporting.page import aligned
from reid_pipeline.schema.columns import CAMERA, IDENTITY, PATH
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.gallery_parameters import FilterParameters, IdentifyParameters, SearchParameters

PROBE, RANK, SCORE, ID = "probe", "rank", "score", "id"
_ENTRY = (IDENTITY, PATH, CAMERA, "time", "collection", "trackid")
_PRINTED = 12
"""Rows in the terminal."""
_KINDS = {"known": "match", "new": "mismatch", "unsure": ""}

Answers = tuple[pd.DataFrame, str, str, str]
"""Table, the same as CSV, page, and what the terminal prints."""


@dataclass(frozen=True)
class Probes:
    """What is asked about.

    Attributes:
        names: paths of images, or the words.
        vectors: float32 [n, D], unit rows.
        cameras: of each; empty where it is not known.
        files: of each picture; None where words were asked by.
        remarks: sentences for the page and the terminal.
    """

    names: Sequence[str]
    vectors: np.ndarray
    cameras: Sequence[str]
    files: Sequence[Path | None]
    remarks: Sequence[str] = ()


def search_answers(gallery: Gallery, probes: Probes, search: SearchParameters, given: FilterParameters) -> Answers:
    """Rank the entries for each probe, best first."""
    hits = gallery.search(probes.vectors, search.top, filters=filters_of(given, probes))
    table = search_table(gallery, probes, hits)
    without = [name for name, ids in zip(probes.names, hits.ids, strict=True) if (ids < 0).all()]
    remarks = [*probes.remarks, *([f"The filter leaves no entry for {first_few(without)}."] if without else [])]
    content = AnswerContent(
        name=gallery.name,
        title="Search",
        lead="The entries that are most like each probe, the nearest first; the number is the cosine of the two"
        " embeddings. It ranks, and does not decide: who is known is the question of identify.",
        facts=_facts(gallery, given, len(probes.names)),
        shown=[_shown(gallery, probes, row, hits, ("", "")) for row in range(min(search.shown, len(probes.names)))],
        total=len(probes.names),
        warnings=remarks,
    )
    best = table[table[RANK] == 1]
    printed = [[PROBE, "nearest", SCORE, PATH], *([p, i, f"{s:.3f}", f] for p, i, s, f in _rows(best))]
    return table, _csv(table), render_answers(content), _printed(printed, remarks)


def search_table(gallery: Gallery, probes: Probes, hits: Hits) -> pd.DataFrame:
    """Return a row for each probe and rank: probe, rank from 1, score (cosine), the entry, and its id."""
    probe, rank = np.nonzero(hits.ids >= 0)
    ids = hits.ids[probe, rank]
    entries = gallery.entries(ids)[list(_ENTRY)].reset_index(drop=True)
    head = {
        PROBE: pd.Series([probes.names[row] for row in probe], dtype="str"),
        RANK: rank + 1,
        SCORE: hits.scores[probe, rank].astype(np.float64),
    }
    return pd.concat([pd.DataFrame(head), entries, pd.DataFrame({ID: ids})], axis=1)


def filters_of(given: FilterParameters, probes: Probes) -> Filters:
    """Return the filters of a gallery that the parameters mean."""
    return Filters(
        cameras=given.cameras or None,
        not_camera=list(probes.cameras) if given.other_cameras else None,
        since=given.since,
        before=given.before,
        collections=given.collections or None,
        identities=given.identities or None,
    )


def picture_of(file: Path) -> Picture:
    """Return the thumbnail of a picture, uint8 [H, W, 3]; a grey tile where the file is gone or damaged."""
    try:
        return thumbnail(read_image(file))
    except UserError:
        return missing_picture()


def _shown(gallery: Gallery, probes: Probes, row: int, hits: Hits, verdict: tuple[str, str]) -> Shown:
    """Return a probe with its nearest entries, as the page shows it."""
    ids = hits.ids[row][hits.ids[row] >= 0]
    entries, file = gallery.entries(ids), probes.files[row]
    scores = hits.scores[row][: len(ids)]
    lines = [
        " ".join(filter(None, [each.identity, each.camera, f"{score:.3f}"]))
        for each, score in zip(entries.itertuples(), scores, strict=True)
    ]
    pictures = [picture_of(Path(path)) for path in entries[PATH]]
    asked = [] if file is None else [picture_of(file)]
    return Shown(probes.names[row], verdict[0], [*asked, *pictures], lines, kind=verdict[1], asked=file is not None)


def _facts(gallery: Gallery, given: FilterParameters, count: int) -> list[tuple[str, str]]:
    filters = {name: value for name, value in given.model_dump().items() if value}
    said = [(f"Filter {name}", ", ".join(value) if isinstance(value, tuple) else str(value)) for name, value in filters.items()]
    return [("Probes", str(count)), ("Model", gallery.model[:12]), *said]


def _csv(table: pd.DataFrame) -> str:
    return str(table.to_csv(index=False, lineterminator="\n", float_format="%.6f"))


def _printed(rows: list[list[str]], remarks: Sequence[str]) -> str:
    more = len(rows) - 1 - _PRINTED
    return "\n".join([*aligned(rows[: _PRINTED + 1]), *([f"and {more} more"] if more > 0 else []), *remarks])
