import numpy as np
import pytest
from made_records import make_epoch, make_metrics

from reid_pipeline.reporting.rank_lists import RankedQuery
from reid_pipeline.schema.records import EpochRecord, Metrics


@pytest.fixture
def ranked() -> RankedQuery:
    grey = np.full((64, 32, 3), 128, dtype=np.uint8)
    return RankedQuery(grey, "id 7 · camera 2", 0.25, [grey, grey, grey], [True, False, True], ["a", "b", "c"])


@pytest.fixture
def history() -> list[EpochRecord]:
    return [make_epoch(epoch) for epoch in (1, 2, 3)]


@pytest.fixture
def results() -> list[Metrics]:
    return [make_metrics("zero_shot", 0.2712), make_metrics("unsupervised_pcl", 0.6123, rank1=0.8, mINP=None)]
