"""The queries that a report shows, with their pictures."""

from pathlib import Path

import numpy as np
import pandas as pd

from reid_pipeline.evaluation.protocol import retrieval_draws, retrieval_inputs, score
from reid_pipeline.images.decode import read_image
from reid_pipeline.reporting.rank_lists import RankedQuery, pick_queries
from reid_pipeline.retrieval import ranked_lists
from reid_pipeline.schema.columns import CAMERA, IDENTITY, PATH, PID
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.parameters import EvaluationParameters, ReportParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.splits import SplitTables


def choose_ranked_queries(
    embeddings: Embeddings,
    split_tables: SplitTables,
    raw_images: RawFolder,
    evaluation: EvaluationParameters,
    report: ReportParameters,
) -> tuple[list[RankedQuery], list[RankedQuery]]:
    """Return the queries that went worst and best, with the first images of their ranked galleries.

    Of several draws the first is shown; none where nothing is tested on. Galleries are ranked by the
    embeddings, before any re-ranking; the average precision is that of the protocol.
    """
    table = split_tables.split_table
    draws = retrieval_draws(table, split_tables.galleries, evaluation)
    if not draws:
        return [], []
    queries, gallery = table.iloc[draws[0].query_rows], table.iloc[draws[0].gallery_rows]
    inputs = retrieval_inputs(embeddings, table, draws[0], evaluation)
    scores = score(inputs, evaluation).average_precision
    bad, good = pick_queries(scores, report.queries, groups=queries[PID].to_numpy())
    chosen = np.concatenate([bad, good])
    lists = ranked_lists(**inputs, query_rows=chosen, top=report.top)  # type: ignore[arg-type]
    shown = [
        _with_pictures(
            queries.iloc[query],
            gallery.iloc[listed[listed >= 0]],
            lists.matches[place][listed >= 0].tolist(),
            float(scores[query]),
            raw_images.root,
        )
        for place, (query, listed) in enumerate(zip(chosen, lists.gallery_rows, strict=True))
    ]
    return shown[: len(bad)], shown[len(bad) :]


def _with_pictures(
    query: pd.Series, gallery: pd.DataFrame, matches: list[bool], score: float, root: Path
) -> RankedQuery:
    return RankedQuery(
        query_image=read_image(root / query[PATH]),
        query_caption=_caption(query),
        average_precision=score,
        gallery_images=[read_image(root / path) for path in gallery[PATH]],
        matches=matches,
        captions=[_caption(row) for _, row in gallery.iterrows()],
    )


def _caption(row: pd.Series) -> str:
    camera = f" · camera {row[CAMERA]}" if row[CAMERA] else ""
    return f"id {row[IDENTITY]}{camera}"
