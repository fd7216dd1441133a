"""Where split table and galleries come from: noted in the tables' own attributes, which Parquet stores."""

from typing import Any

import pandas as pd

from reid_pipeline.schema.columns import PATH, REPEAT, TEST_SET
from reid_pipeline.schema.digests import digest_of_json
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.parameters import IngestionParameters, SplitParameters
from reid_pipeline.splits.normalise import SplitTables, data_hash

_ORIGIN = "origin"
_AGAIN = "Make the tables anew: kedro run --pipeline=ingestion, with --env and --params as here."


def galleries_hash(galleries: pd.DataFrame) -> str:
    """Return the SHA-256 of sampled galleries: test set, repeat and path of every row, in order."""
    return digest_of_json([galleries[name].tolist() for name in (TEST_SET, REPEAT, PATH)])


def with_origin(tables: SplitTables, ingestion: IngestionParameters, splits: SplitParameters) -> SplitTables:
    """Note in both tables which parameters they were made with, in the galleries of which table they are."""
    tables.split_table.attrs[_ORIGIN] = {"version": 1, "parameters": _parameters(ingestion, splits)}
    tables.galleries.attrs[_ORIGIN] = {"version": 1, "data": data_hash(tables.split_table)}
    return tables


def require_tables(
    split_table: pd.DataFrame, galleries: pd.DataFrame | None, ingestion: IngestionParameters, splits: SplitParameters
) -> None:
    """Refuse (with a UserError) tables that were made with other parameters than a run's, or are not of each other."""
    made_with = split_table.attrs.get(_ORIGIN, {}).get("parameters")
    if made_with is None:
        raise UserError(
            "The split table does not say what it was made with: it was written by an earlier version of this"
            f" project. {_AGAIN} Images that it knew are not decoded again."
        )
    differing = [
        f"{block}.{name} was {made_with.get(block, {}).get(name)!r} and is {value!r}"
        for block, values in _parameters(ingestion, splits).items()
        for name, value in values.items()
        if made_with.get(block, {}).get(name) != value
    ]
    if differing:
        raise UserError(
            f"The split table was made with other parameters than this run's: {first_few(differing)}."
            f" {_AGAIN} Or give the values that it was made with."
        )
    noted = {} if galleries is None else galleries.attrs.get(_ORIGIN, {})
    if "data" in noted and noted["data"] != data_hash(split_table):
        raise UserError(f"Galleries and split table are of different runs of ingestion. {_AGAIN}")


def _parameters(ingestion: IngestionParameters, splits: SplitParameters) -> dict[str, dict[str, Any]]:
    return {"ingestion": ingestion.model_dump(mode="json"), "splits": splits.model_dump(mode="json")}
