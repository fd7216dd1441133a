"""What a gallery says of probes, as tables: ranked entries of a search, and the answers of an identification."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from reid_pipeline.gallery import Filters, Gallery, Hits
from reid_pipeline.images.decode import read_image
from reid_pipeline.reporting.contact_sheets import Picture, thumbnail
from reid_pipeline.reporting.gallery_pages import Shown, missing_picture
from reid_pipeline.schema.columns import CAMERA, IDENTITY, PATH
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.gallery_parameters import FilterParameters

ENTRY_COLUMNS = (IDENTITY, PATH, CAMERA, "time", "collection", "trackid")
"""Of an entry, in tables of answers."""


@dataclass(frozen=True)
class Probes:
    """What is asked about.

    Attributes:
        names: paths of images, or the words.
        vectors: float32 [n, D], unit rows.
        cameras: of each; empty where it is not known.
        files: of each picture; None where words were asked by.
    """

    names: Sequence[str]
    vectors: np.ndarray
    cameras: Sequence[str]
    files: Sequence[Path | None]


def filters_of(given: FilterParameters, probes: Probes) -> Filters:
    """Return the filters of a gallery that the parameters mean."""
    return Filters(
        cameras=given.cameras or None,
        not_camera=np.array(probes.cameras, dtype=object) if given.other_cameras else None,
        since=given.since,
        before=given.before,
        collections=given.collections or None,
        identities=given.identities or None,
    )


def search_table(gallery: Gallery, probes: Probes, hits: Hits) -> pd.DataFrame:
    """Return a row for each probe and rank: probe, rank from 1, score (cosine), the entry, and its id."""
    probe, rank = np.nonzero(hits.ids >= 0)
    ids = hits.ids[probe, rank]
    entries = gallery.entries(ids)[list(ENTRY_COLUMNS)].reset_index(drop=True)
    asked = np.array(probes.names, dtype=object)[probe]
    scores = hits.scores[probe, rank].astype(np.float64)
    head = pd.DataFrame({"probe": asked, "rank": rank + 1, "score": scores}).astype({"probe": "str"})
    return pd.concat([head, entries, pd.DataFrame({"id": ids})], axis=1)


def shown_search(table: pd.DataFrame, probes: Probes, *, count: int) -> list[Shown]:
    """Return the first `count` probes with their ranked entries, as a page shows them."""
    groups = dict(list(table.groupby("probe", sort=False)))
    return [
        _shown(name, file, groups.get(name, table.head(0)), ("", ""))
        for name, file in list(zip(probes.names, probes.files, strict=True))[:count]
    ]
