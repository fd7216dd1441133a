"""The report's tables of where its figures come from."""

from collections.abc import Sequence
from dataclasses import dataclass

from reid_pipeline.reporting.tables import METRICS, UNMEASURED, percent
from reid_pipeline.schema.records import Breakdown, CameraPair, IdentityFigures

_IDENTITIES = 10


@dataclass(frozen=True)
class TextTable:
    """A table of text."""

    title: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def breakdown_tables(breakdown: Breakdown | None) -> list[TextTable]:
    """Return each table that has something to show."""
    if breakdown is None:
        return []
    tables = [_intervals(breakdown), _camera_pairs(breakdown.camera_pairs), _identities(breakdown.identities)]
    return [table for table in tables if table.rows]


def _intervals(breakdown: Breakdown) -> TextTable:
    found = breakdown.intervals
    return TextTable(
        title="intervals",
        caption="95 % intervals, by resampling the queries; in %. Model and gallery stay the same.",
        header=["Figure", "From", "To"],
        rows=[
            [METRICS[name], *(percent(found.get(f"{name}_{end}")) for end in ("low", "high"))]
            for name in METRICS
            if f"{name}_low" in found
        ],
    )


def _camera_pairs(pairs: Sequence[CameraPair]) -> TextTable:
    """Return mAP and Rank-1 as a matrix, query cameras down, gallery cameras across."""
    found = {(pair.query_camera, pair.gallery_camera): pair for pair in pairs}
    across = {pair.gallery_camera: _camera(pair.gallery_camera, pair.gallery_camera_name) for pair in pairs}
    down = {pair.query_camera: _camera(pair.query_camera, pair.query_camera_name) for pair in pairs}
    rows = [
        [down[query], *(_pair(found.get((query, gallery))) for gallery in sorted(across))] for query in sorted(down)
    ]
    return TextTable(
        title="pairs of cameras",
        caption="mAP / Rank-1 in %: a camera's queries (down) on one camera of the gallery (across).",
        header=["Query", *(across[camera] for camera in sorted(across))],
        rows=rows,
    )


def _camera(number: int, name: str | None) -> str:
    return f"camera {number + 1 if name is None else name}"


def _pair(pair: CameraPair | None) -> str:
    return UNMEASURED if pair is None else f"{percent(pair.mAP)} / {percent(pair.rank1)}"


def _identities(identities: Sequence[IdentityFigures]) -> TextTable:
    shown = identities[:_IDENTITIES]
    return TextTable(
        title="identities",
        caption=f"The {len(shown)} identities that went worst, of {len(identities)}; in %.",
        header=["Identity", "mAP", "mINP", "Rank-1", "Valid queries"],
        rows=[
            [
                f"pid {each.pid}" if each.identity is None else each.identity,
                *(percent(value) for value in (each.mAP, each.mINP, each.rank1)),
                str(each.num_valid_queries),
            ]
            for each in shown
        ],
    )
