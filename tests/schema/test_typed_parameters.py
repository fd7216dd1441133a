"""Parameters as a user types them: what is printed can be typed."""

import pytest

from reid_pipeline.cli.parameters import given_parameters
from reid_pipeline.schema.typed import typed

KNOWN = ["seed", "raw_root", "collection", "variant", "ingestion", "backbone", "pcl", "compute"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"seed": 1, "compute": {"device": "cuda:0", "threads": 2}},
        {"raw_root": "/a b, c/it's", "seed": 3},
        {"raw_root": "~/x", "collection": "2024", "variant": "on"},
        {"collection": "null"},
        {"ingestion": {"table": "photos.csv", "columns": {"path": "file name", "pid": "1"}, "white_value": None}},
        {
            "backbone": {"image_size": [32, 16], "pretrained": "weights/a, b.pt"},
            "pcl": {"plan": {"learning_rate": 1e-05}},
        },
        {"backbone": {"pretrained": "no"}, "ingestion": {"strict_counts": True}},
        {"backbone": {"pretrained": 'ünï: #1 \\ "x"'}},
    ],
)
def test_what_is_printed_is_read_back(given):
    assert given_parameters(typed(given), KNOWN) == given


def test_what_needs_no_quotes_has_none():
    assert typed({"seed": 1, "raw_root": "/a b", "compute.device": "cpu"}) == "seed=1,raw_root=/a b,compute.device=cpu"
