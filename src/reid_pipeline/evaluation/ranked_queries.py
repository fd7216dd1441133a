"""The queries that a report shows, with their images."""

import numpy as np
import pandas as pd

from reid_pipeline.evaluation.protocol import retrieval_draws, retrieval_inputs, score, with_tracklets
from reid_pipeline.images.decode import read_image
from reid_pipeline.reporting.rank_lists import RankedQuery, pick_queries
from reid_pipeline.retrieval import ranked_lists
from reid_pipeline.schema.columns import CAMERA, IDENTITY, PATH, PID
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.parameters import EvaluationParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.report_parameters import ReportParameters
from reid_pipeline.splits import SplitTables, white_value


def choose_ranked_queries(
    embeddings: Embeddings,
    split_tables: SplitTables,
    raw_images: RawFolder,
    evaluation: EvaluationParameters,
    report: ReportParameters,
) -> tuple[list[RankedQuery], list[RankedQuery]]:
    """Return the worst and the best queries, with the first images of their ranked galleries.

    They are of the first draw; none where nothing is tested on. Galleries are ranked by the embeddings, before any
    re-ranking; the average precision is that of the protocol. Of a tracklet the first image is shown.
    """
    table = split_tables.split_table
    draws = retrieval_draws(table, split_tables.galleries, evaluation)
    if not draws:
        return [], []
    tested, draw = with_tracklets(embeddings, table, draws[0], evaluation)
    queries, gallery = table.iloc[draw.query_rows], table.iloc[draw.gallery_rows]
    inputs = retrieval_inputs(tested, table, draw, evaluation)
    scores = score(inputs, evaluation).average_precision
    bad, good = pick_queries(scores, report.queries, groups=queries[PID].to_numpy())
    selected = np.concatenate([bad, good])
    lists = ranked_lists(**inputs, query_rows=selected, top=report.top)
    shown, white = [], white_value(table)
    for row, listed, matches in zip(selected, lists.gallery_rows, lists.matches, strict=True):
        query, ranked = queries.iloc[row], gallery.iloc[listed[listed >= 0]]
        ranked_query = RankedQuery(
            query_image=read_image(raw_images.root / query[PATH], white_value=white),
            query_caption=_caption(query),
            average_precision=float(scores[row]),
            gallery_images=[read_image(raw_images.root / path, white_value=white) for path in ranked[PATH]],
            matches=matches[listed >= 0].tolist(),
            captions=[_caption(each) for _, each in ranked.iterrows()],
        )
        shown.append(ranked_query)
    return shown[: len(bad)], shown[len(bad) :]


def _caption(row: pd.Series) -> str:
    camera = f" · camera {row[CAMERA]}" if row[CAMERA] else ""
    return f"id {row[IDENTITY]}{camera}"
