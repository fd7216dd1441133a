"""The report's tables of where its figures come from, for a breakdown written by hand."""

from reid_pipeline.reporting.report import breakdown_tables
from reid_pipeline.schema.records import Breakdown


def pair(query: int, gallery: int, mean: float, rank1: float) -> dict:
    names = {0: "gate", 1: "3", 4: "<b>pond</b>"}
    return {
        "query_camera": query,
        "query_camera_name": names[query],
        "gallery_camera": gallery,
        "gallery_camera_name": names[gallery],
        "mAP": mean,
        "rank1": rank1,
        "num_valid_queries": 1,
    }


def test_cameras_and_identities_are_called_as_the_collection_calls_them() -> None:
    identity = {"pid": 86, "identity": "Spot", "mAP": 0.125, "mINP": 0.25, "rank1": 0.0}
    pairs, identities = breakdown_tables(
        Breakdown.model_validate(
            {
                "benchmark": "own",
                "method": "pcl",
                "seed": 0,
                "camera_pairs": [pair(0, 1, 0.5, 0.0), pair(0, 4, 1.0, 1.0), pair(1, 4, 0.25, 0.5)],
                "identities": [{**identity, "num_valid_queries": 2}],
            }
        )
    )
    assert pairs.grid() == [
        ["Query", "camera 3", "camera <b>pond</b>"],
        ["camera gate", "50.0 / 0.0", "100.0 / 100.0"],
        ["camera 3", "—", "25.0 / 50.0"],
    ]
    assert identities.grid()[1:] == [["Spot", "12.5", "25.0", "0.0", "2"]]
