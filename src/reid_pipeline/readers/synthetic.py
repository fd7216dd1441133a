"""The benchmark that the project draws for itself: people in Market-1501's layout."""

from dataclasses import replace

from reid_pipeline.readers import market1501
from reid_pipeline.readers._checks import check_variant
from reid_pipeline.readers._market_layout import read_market_layout
from reid_pipeline.schema.benchmark import Benchmark, Reading
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder

BENCHMARK = Benchmark(
    title="synthetic",
    noun="person",
    reference="drawn by this project; see docs/demo.md",
    licence="Apache-2.0, as the project.",
    source="Drawn from a seed when it is first read.",
    layout=market1501.BENCHMARK.layout,
)


def read(raw: RawFolder, ingestion: IngestionParameters) -> Reading:
    """Read the drawings just as the real Market-1501 is read; only their counts are their own.

    Raises:
        UserError: as for Market-1501; `ingestion.variant` is given, and there are no versions.
    """
    check_variant(ingestion, BENCHMARK)
    return Reading(read_market_layout(raw, replace(market1501.LAYOUT, benchmark=BENCHMARK)))
