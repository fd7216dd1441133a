"""The report's tables of where its figures come from."""

from collections.abc import Mapping, Sequence
from typing import Any

from reid_pipeline.reporting.formats import METRICS, UNMEASURED, percent
from reid_pipeline.reporting.tables import Column, Table
from reid_pipeline.schema.records import Breakdown, CameraPair, IdentityFigures

Pairs = Mapping[tuple[int, int], CameraPair]

_IDENTITIES = 10


def breakdown_tables(breakdown: Breakdown | None) -> list[Table[Any]]:
    """Return each table that has something to show."""
    if breakdown is None:
        return []
    tables: list[Table[Any]] = [
        _intervals(breakdown.intervals),
        _camera_pairs(breakdown.camera_pairs),
        _identities(breakdown.identities),
    ]
    return [table for table in tables if table.rows]


def _intervals(ends: Mapping[str, float]) -> Table[str]:
    columns = [
        Column[str]("Figure", lambda name: METRICS[name]),
        Column[str]("From", lambda name: percent(ends.get(f"{name}_low"))),
        Column[str]("To", lambda name: percent(ends.get(f"{name}_high"))),
    ]
    caption = "95 % intervals, by resampling the queries; in %. Model and gallery stay the same."
    return Table("intervals", columns, [name for name in METRICS if f"{name}_low" in ends], caption)


def _camera_pairs(pairs: Sequence[CameraPair]) -> Table[int]:
    """Return mAP and Rank-1 as a matrix, query cameras down, gallery cameras across."""
    found = {(pair.query_camera, pair.gallery_camera): pair for pair in pairs}
    across = {pair.gallery_camera: _camera(pair.gallery_camera, pair.gallery_camera_name) for pair in pairs}
    down = {pair.query_camera: _camera(pair.query_camera, pair.query_camera_name) for pair in pairs}
    first = Column[int]("Query", lambda query: down[query])
    columns = [first, *(_gallery_column(found, camera, across[camera]) for camera in sorted(across))]
    caption = "mAP / Rank-1 in %: a camera's queries (down) on one camera of the gallery (across)."
    return Table("pairs of cameras", columns, sorted(down), caption)


def _camera(number: int, name: str | None) -> str:
    return f"camera {number + 1 if name is None else name}"


def _gallery_column(pairs: Pairs, gallery: int, title: str) -> Column[int]:
    def cell(query: int) -> str:
        pair = pairs.get((query, gallery))
        return UNMEASURED if pair is None else f"{percent(pair.mAP)} / {percent(pair.rank1)}"

    return Column(title, cell)


def _identities(identities: Sequence[IdentityFigures]) -> Table[IdentityFigures]:
    column = Column[IdentityFigures]
    columns = [
        column("Identity", lambda each: f"pid {each.pid}" if each.identity is None else each.identity),
        column("mAP", lambda each: percent(each.mAP)),
        column("mINP", lambda each: percent(each.mINP)),
        column("Rank-1", lambda each: percent(each.rank1)),
        column("Valid queries", lambda each: str(each.num_valid_queries)),
    ]
    shown = identities[:_IDENTITIES]
    caption = f"The {len(shown)} identities that went worst, of {len(identities)}; in %."
    return Table("identities", columns, shown, caption)
