"""The report's tables of where its figures come from."""

from collections.abc import Sequence
from typing import Any

from reid_pipeline.reporting.records import Record, measured
from reid_pipeline.reporting.tables import METRICS, UNMEASURED, percent

_IDENTITIES = 10
_SIDES = ("query", "gallery")


def breakdown_tables(breakdown: Record) -> list[dict[str, Any]]:
    """Return `title`, `caption`, `header` and `rows` of text of each table that has something to show.

    Args:
        breakdown: as in breakdown.json.
    """
    tables = [
        _intervals(breakdown.get("intervals") or {}),
        _camera_pairs(breakdown.get("camera_pairs") or []),
        _identities(breakdown.get("identities") or []),
    ]
    return [table for table in tables if table["rows"]]


def _intervals(intervals: Record) -> dict[str, Any]:
    names = [name for name in METRICS if f"{name}_low" in intervals]
    return {
        "title": "intervals",
        "caption": "95 % intervals, by resampling the queries; in %. Model and gallery stay the same.",
        "header": ["Figure", "From", "To"],
        "rows": [
            [METRICS[name], *(percent(measured(intervals, f"{name}_{end}")) for end in ("low", "high"))]
            for name in names
        ],
    }


def _camera_pairs(pairs: Sequence[Record]) -> dict[str, Any]:
    """Return mAP and Rank-1 as a matrix, query cameras down, gallery cameras across."""
    found = {(pair["query_camera"], pair["gallery_camera"]): pair for pair in pairs}
    names = {pair[f"{side}_camera"]: pair[f"{side}_camera_name"] for pair in pairs for side in _SIDES}
    cameras = sorted({camera for _, camera in found})
    rows = []
    for query_camera in sorted({camera for camera, _ in found}):
        cells = []
        for camera in cameras:
            pair = found.get((query_camera, camera), {})
            shown = [percent(measured(pair, name)) for name in ("mAP", "rank1")]
            cells.append(" / ".join(shown) if pair else UNMEASURED)
        rows.append([f"camera {names[query_camera]}", *cells])
    return {
        "title": "pairs of cameras",
        "caption": "mAP / Rank-1 in %: a camera's queries (down) on one camera of the gallery (across).",
        "header": ["Query", *(f"camera {names[camera]}" for camera in cameras)],
        "rows": rows,
    }


def _identities(identities: Sequence[Record]) -> dict[str, Any]:
    shown = identities[:_IDENTITIES]
    return {
        "title": "identities",
        "caption": f"The {len(shown)} identities that went worst, of {len(identities)}; in %.",
        "header": ["Identity", "mAP", "mINP", "Rank-1", "Valid queries"],
        "rows": [
            [
                identity["identity"],
                *(percent(measured(identity, name)) for name in ("mAP", "mINP", "rank1")),
                str(identity["num_valid_queries"]),
            ]
            for identity in shown
        ],
    }
