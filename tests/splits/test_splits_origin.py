"""Tables say what they were made with, and are refused where that is something else."""

from pathlib import Path

import pandas as pd
import pytest

from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import IngestionParameters, SplitParameters
from reid_pipeline.splits import SplitTables, galleries_hash, normalise_splits, require_tables, with_origin

INGESTION = IngestionParameters(reader="custom")


@pytest.fixture
def tables(make_manifest, make_facts) -> SplitTables:
    rows = [(pid, camid, "train") for pid in (1, 2) for camid in (0, 1)]
    rows += [(pid, None, "test") for pid in (3, 4) for _ in range(3)]
    manifest = make_manifest([(pid, None, subset) for pid, _, subset in rows])
    return with_origin(
        normalise_splits(manifest, make_facts(manifest), SplitParameters()), INGESTION, SplitParameters()
    )


def stored(tables: SplitTables, folder: Path) -> SplitTables:
    found = []
    for name, table in (("a", tables.split_table), ("b", tables.galleries)):
        table.to_parquet(folder / name)
        found.append(pd.read_parquet(folder / name))
    return SplitTables(*found)


def test_their_own_parameters_are_accepted(tables: SplitTables, tmp_path: Path) -> None:
    found = stored(tables, tmp_path)
    require_tables(found.split_table, found.galleries, INGESTION, SplitParameters())


@pytest.mark.parametrize(
    ("ingestion", "splits", "says"),
    [
        (INGESTION, {"seed": 3}, r"splits\.seed was 0 and is 3"),
        (INGESTION, {"repeats": 2}, r"splits\.repeats was 10 and is 2"),
        (INGESTION.model_copy(update={"on_unreadable": "skip"}), {}, r"on_unreadable was 'fail' and is 'skip'"),
    ],
)
def test_others_are_refused(tables: SplitTables, tmp_path: Path, ingestion, splits, says) -> None:
    found = stored(tables, tmp_path)
    with pytest.raises(UserError, match=rf"{says}\. Make the tables anew: kedro run --pipeline=ingestion"):
        require_tables(found.split_table, found.galleries, ingestion, SplitParameters(**splits))


@pytest.mark.parametrize(("viewids", "accepted"), [((None,), True), ((2,), True), ((2, None), False)])
def test_a_table_of_before_without_viewpoint_serves_where_nothing_is_dropped(
    tables: SplitTables, viewids: tuple[int | None, ...], accepted: bool
) -> None:
    """An environment that drops takes tables that were made when nothing could be dropped, if it would drop none."""
    table = tables.split_table
    del table.attrs["origin"]["parameters"]["ingestion"]["without_viewpoint"]
    views = [viewids[row % len(viewids)] for row in range(len(table))]
    older = table.assign(viewid=pd.array(views, dtype="Int64"))
    assert older.attrs == table.attrs
    drop = INGESTION.model_copy(update={"without_viewpoint": "drop"})
    require_tables(older, None, INGESTION, SplitParameters())
    if accepted:
        require_tables(older, None, drop, SplitParameters())
    else:
        with pytest.raises(UserError, match=r"without_viewpoint was 'keep' and is 'drop'\. Make the tables anew"):
            require_tables(older, None, drop, SplitParameters())


def test_galleries_of_another_table_and_tables_of_the_first_version(tables: SplitTables, tmp_path: Path) -> None:
    found = stored(tables, tmp_path)
    other = found.split_table.copy()
    other.loc[0, "sha256"] = "f" * 64
    other.attrs = found.split_table.attrs
    with pytest.raises(UserError, match="Galleries and split table are of different runs of ingestion"):
        require_tables(other, found.galleries, INGESTION, SplitParameters())
    found.split_table.attrs = {}
    with pytest.raises(UserError, match="does not say what it was made with: it was written by an earlier"):
        require_tables(found.split_table, None, INGESTION, SplitParameters())


def test_the_digest_of_galleries_is_that_of_their_rows(tables: SplitTables) -> None:
    assert len(tables.galleries) > 2
    assert galleries_hash(tables.galleries) == galleries_hash(tables.galleries.copy())
    assert galleries_hash(tables.galleries[:-1]) != galleries_hash(tables.galleries)
    assert galleries_hash(tables.galleries[::-1]) != galleries_hash(tables.galleries)


def test_a_parameter_that_there_was_not_yet_had_its_default(tables: SplitTables, tmp_path: Path) -> None:
    found = stored(tables, tmp_path)
    made_with = found.split_table.attrs["origin"]["parameters"]
    del made_with["ingestion"]["columns"], made_with["splits"]["disjoint"]
    require_tables(found.split_table, found.galleries, INGESTION, SplitParameters())
    mapped = INGESTION.model_copy(update={"columns": {"pid": "individual"}})
    with pytest.raises(UserError, match=r"ingestion\.columns was None and is \{'pid': 'individual'\}\. Make"):
        require_tables(found.split_table, found.galleries, mapped, SplitParameters())
