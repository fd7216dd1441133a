"""Where a model looks in an image, and which parts of a query are like the images that it ranks first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reid_pipeline.evaluation.embedding import Extraction
from reid_pipeline.evaluation.sampled_groups import Groups, Integers
from reid_pipeline.schema.columns import JUNK_PID, PATH
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.explanations import AttendedImage, Attention, ComparedImage, HeatMap, SimilarImages

if TYPE_CHECKING:
    from reid_pipeline.models.embedder import Embedder

_DIGITS = 5
_TRIED = 500
"""Queries, of which a few with a match are shown: a bound where hardly any has one."""


@dataclass(frozen=True)
class Candidates:
    """Which images each query may meet: rows of the split table."""

    queries: Integers
    gallery: Integers
    pids: Integers | None = None  # this and the next by row of the table; None: a query meets all images but itself
    camids: Integers | None = None  # None: no camera filter

    def met_by(self, query: int) -> Integers:
        """Return the gallery rows that count for a query, as the protocol has it."""
        met: Integers = self.gallery[self.gallery != query]
        if self.pids is None:
            return met
        counts = self.pids[met] != JUNK_PID
        if self.camids is not None:
            counts &= (self.pids[met] != self.pids[query]) | (self.camids[met] != self.camids[query])
        counted: Integers = met[counts]
        return counted


def attended_images(
    embedder: "Embedder", before: "Embedder | None", split_table: pd.DataFrame, rows: Integers, extraction: Extraction
) -> Attention:
    """Return where two models look in the images of some rows, by `models.attention_maps` or what stands for it."""
    from reid_pipeline.models.attention_maps import why_no_attention

    encoder = embedder.encoder
    nothing: list[HeatMap | None] = [None] * len(rows)
    maps = [
        nothing if each is None else _attention_of(each, split_table, rows, extraction) for each in (before, embedder)
    ]
    why_not = why_no_attention(encoder)
    if not why_not and len(rows) and maps[1][0] is None:
        why_not = f"{encoder.name} computes its attention in a way that cannot be followed"
    paths = split_table[PATH].iloc[rows]
    images = [
        AttendedImage(path=path, before=earlier, after=later)
        for path, earlier, later in zip(paths, *maps, strict=True)
        if later is not None
    ]
    tower, blocks = f"{encoder.name} ({encoder.KIND})", encoder.num_blocks
    return Attention(kind=encoder.pooling, tower=tower, blocks=blocks, images=tuple(images), why_not=why_not)


def _attention_of(
    embedder: "Embedder", split_table: pd.DataFrame, rows: Integers, extraction: Extraction
) -> Sequence[HeatMap | None]:
    """Return a map of each row's image: its attention or, of a map of convolutions, each cell's cosine to the whole."""
    from reid_pipeline.models.attention_maps import attention_maps, why_no_attention

    encoder = embedder.encoder
    found: list[HeatMap | None] = []
    follows, is_map = not why_no_attention(encoder), encoder.pooling == "map"
    for images, *ids in extraction.inputs(embedder, split_table, rows):
        made = attention_maps(encoder, images, *ids) if follows else None
        if made is not None:
            grids, elsewhere = made.grids.cpu().numpy(), made.elsewhere.tolist()
            found += [_heat_map(grid, min(1.0, share)) for grid, share in zip(grids, elsewhere, strict=True)]
        elif is_map:
            whole_BE, cells_BNE = embedder(images, *ids), embedder.cells(images, *ids)
            cosines_BN = (cells_BNE @ whole_BE[:, :, None])[:, :, 0].cpu().numpy()
            found += [_heat_map(each.reshape(encoder.grid_size)) for each in cosines_BN]
        else:
            found += [None] * len(images)
    return found


def similar_images(
    embedder: "Embedder",
    embeddings: Embeddings,
    groups: Groups,
    candidates: Candidates,
    count: int,
    extraction: tuple[Extraction, pd.DataFrame],
) -> list[SimilarImages]:
    """Return the first `count` queries, of different groups, that meet an image of their own group and of another one.

    Of each it is the nearest by cosine of the embeddings as they were extracted. The map has of each cell of the query,
    read alone (`Embedder.cells`), the cosine to the embedding of that image, less the mean cosine to all embedded
    images: features lie in a narrow cone, and what all images share would hide what these two do.
    """
    group_of = np.full(len(extraction[1]), -1)
    group_of[groups.rows] = groups.group
    used: set[int] = set()
    found: list[SimilarImages] = []
    for query in candidates.queries[:_TRIED].tolist():
        own = int(group_of[query])
        if len(found) == count or own < 0 or own in used:
            continue
        met = candidates.met_by(query)
        same = group_of[met] == own
        if same.all() or not same.any():
            continue
        used.add(own)
        cosines = embeddings.of(met) @ embeddings.of(np.array([query]))[0]
        best = [int(np.flatnonzero(side)[cosines[side].argmax()]) for side in (same, ~same)]
        found.append(_compared(embedder, embeddings, (query, met[best], cosines[best]), groups, extraction))
    return found


def _compared(
    embedder: "Embedder",
    embeddings: Embeddings,
    ranked: tuple[int, Integers, NDArray[np.float32]],
    groups: Groups,
    extraction: tuple[Extraction, pd.DataFrame],
) -> SimilarImages:
    (query, others, cosines), (how, split_table) = ranked, extraction
    (images, *ids) = next(iter(how.inputs(embedder, split_table, np.array([query]))))
    cells_NE = embedder.cells(images, *ids)[0].cpu().numpy()
    special_2E = embeddings.of(others) - embeddings.vectors.mean(axis=0)
    heat = (cells_NE @ special_2E.T).T.reshape(len(others), *embedder.encoder.grid_size)
    paths = split_table[PATH]
    same, other = (
        ComparedImage(path=paths.iloc[row], cosine=round(float(cosine), _DIGITS), cells=_heat_map(each))
        for row, cosine, each in zip(others.tolist(), cosines, heat, strict=True)
    )
    return SimilarImages(path=paths.iloc[query], by=groups.by, same=same, other=other)


def _heat_map(grid: np.ndarray, elsewhere: float | None = None) -> HeatMap:
    rows, columns = grid.shape
    values = tuple(round(float(value), _DIGITS) for value in grid.ravel())
    rest = {} if elsewhere is None else {"elsewhere": round(elsewhere, _DIGITS)}
    return HeatMap(rows=rows, columns=columns, values=values, **rest)
